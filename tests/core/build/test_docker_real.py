"""Images built by a real Docker engine and pushed to real registries: judged, and run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairing_core import errors
from fairing_core.build.append import AppendBuilder
from fairing_core.build.docker import DockerBuilder
from fairing_core.build.engine import DockerAddress, Engine
from fairing_core.images.reference import ImageRef
from fairing_core.types import BuildContext, BuildRequest, Built, ContextFile, RegistryAccess
from tests.bench import bases, tiny
from tests.bench.bases import Base
from tests.bench.bench import Bench
from tests.bench.docker import socket_of
from tests.bench.judges import Judges
from tests.bench.registry import Registry
from tests.core.build.conftest import Builds, context_of
from tests.core.build.harness import inline
from tests.core.build.test_append_real import PEAK, judge

if TYPE_CHECKING:
    from docker import DockerClient

PROGRAM = f"""
import hashlib, json, os, pathlib, stat, sys
here = pathlib.Path(__file__).parent
found = {{}}
for path in sorted(here.rglob("*")):
    told = path.lstat()
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    mode = oct(stat.S_IMODE(told.st_mode))
    found[str(path)] = [mode, told.st_uid, told.st_gid, content]
(here / "out.txt").write_text("beside")
(here / "sub" / "out.txt").write_text("below")
(here / "new").mkdir()
print(json.dumps([os.getuid(), os.getgid(), os.getcwd(), sys.argv, found]))
print(json.dumps([os.environ.get("{bases.STARTED}"), os.environ["PATH"]]))
sys.exit(3)
""".encode()
FILES = (
    inline("/app/main.py", PROGRAM),
    inline("/app/sub/data", b"data"),
    inline("/app/sub/run.sh", b"#!/bin/sh\n", mode=0o755),
    inline("/opt/models/weights", b"w"),
)
SAYS = (inline("/app/main.py", b"print('said')"),)
PASSWORDS = ("wr0ng", "pusher-7Qm2", "reader-9Xt4")


class EngineBuilds:
    """Builds with the bench's engine, as `TrainJob` does; what it made is removed at the end."""

    def __init__(self, build: Builds, host: str, engine: DockerClient) -> None:
        self.build = build
        self.host = host
        self.engine = engine
        self.made: list[str] = []

    def __call__(self, at: Registry, *files: ContextFile, base: str, **more: Any) -> Built:
        context = more.pop("context", None) or context_of(*files, python=more.pop("python", None))
        request = self.request(at, context, base)
        options = {"network": "host", "image_name": "app", "host": self.host, **more}
        builder = DockerBuilder(**options)
        assert builder.supports(request) is None
        built = builder.build(request)
        self.made.append(built.image)
        return built

    def request(self, registry: Registry, context: BuildContext, base: str) -> BuildRequest:
        told = RegistryAccess(plain_http=registry.ca is None, ca=registry.ca)
        return BuildRequest(
            context,
            base_image=base,
            registry=f"{registry.name}/{registry.prefix}",
            registries={registry.name: told},
            report=self.build.report,
        )

    def runs(self, built: Built) -> tuple[int, str]:
        """The exit code and the output of a plain run of the image."""
        if built.image not in self.made:
            self.engine.images.pull(built.image)
            self.made.append(built.image)
        container = self.engine.containers.create(built.image, network_mode="host")
        try:
            container.start()
            code = container.wait(timeout=60)["StatusCode"]
            return code, container.logs(stdout=True, stderr=True).decode()
        finally:
            container.remove(v=True, force=True)

    @property
    def log(self) -> list[str]:
        return [str(told["line"]) for name, told in self.build.events if name == "build-log"]


@pytest.fixture
def docker(build: Builds, bench: Bench, docker_engine: DockerClient) -> Iterator[EngineBuilds]:
    import docker.errors as docker_errors

    builds = EngineBuilds(build, f"unix://{socket_of(bench)}", docker_engine)
    before = {each["Id"] for each in docker_engine.api.containers(all=True)}
    yield builds
    for image in builds.made:
        with contextlib.suppress(docker_errors.ImageNotFound):
            docker_engine.images.remove(image, force=True)
    after = docker_engine.api.containers(all=True)
    left = [each for each in after if each["Id"] not in before]
    assert not [each for each in left if each["Command"] == "true"]  # none that was looked into


def failing(docker: EngineBuilds, kind: str, *arguments: Any, **more: Any) -> errors.BuildError:
    with pytest.raises(errors.BuildError) as caught:
        docker(*arguments, **more)
    said = f"{caught.value} {caught.value.tail} {docker.build.events}"
    assert caught.value.kind == kind, said
    assert not any(password in said for password in PASSWORDS)
    return caught.value


# --- what it makes --------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["base_python", "base_user"])
def test_the_image_behaves_as_the_one_of_append(
    fixture: str,
    docker: EngineBuilds,
    plain_registry: Registry,
    judges: Judges,
    request: pytest.FixtureRequest,
    base_python: Base,
) -> None:
    base = request.getfixturevalue(fixture).at(plain_registry)
    built = docker(plain_registry, *FILES, base=base, python="3.11")
    config = judge(judges, plain_registry, built.image)
    asked = docker.request(plain_registry, context_of(*FILES, python="3.11"), base)
    appended = AppendBuilder(image_name="appended").build(asked)
    code, said = docker.runs(built)
    assert (code, said) == docker.runs(appended)
    assert code == 3
    facts = [built.uid, built.gid, built.python, built.platform]
    assert facts == [appended.uid, appended.gid, "3.11", "linux/amd64"]
    other = judge(judges, plain_registry, appended.image)["config"]
    told = {key: config["config"].get(key) for key in other}
    assert told == other


def test_the_digest_is_the_registry_s_own(
    docker: EngineBuilds, plain_registry: Registry, judges: Judges, base_python: Base, prefix: str
) -> None:
    new = inline("/app/new", prefix.encode())
    built = docker(plain_registry, *SAYS, new, base=base_python.at(plain_registry), tag="v1")
    name, _, digest = built.image.partition("@")
    assert judges.crane(plain_registry, "digest", f"{name}:v1") == digest
    traffic = docker.build.traffic
    assert traffic["sent"] > 0
    assert traffic["mounted"] == 1
    assert any(line.startswith("Step 1/") for line in docker.log)


def test_the_same_input_is_built_and_sent_once(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    base = base_python.at(plain_registry)
    first = docker(plain_registry, *SAYS, base=base)
    assert docker(plain_registry, *SAYS, base=base) == first
    assert docker.build.traffic["sent"] == 0


NAMES = (
    *("a b", "$HOME", "${HOME}", 'say "hi"', "it's", "back\\slash", "[ab]", "*", "?", "ü.txt"),
    *("#x", "%d", "a=b", "{x}", "--flag", "~", "tab\tin", "\\$x", "[]]", "l\nf", "日本"),
)


def test_names_of_every_kind_arrive(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    program = (
        b"import json, os\n"
        b"print(json.dumps([sorted(os.listdir(place)) for place in ('/opt', 'n', '/srv')]))"
    )
    files = [inline("/app/main.py", program)]
    files += [inline(f"/opt/{name}") for name in NAMES]
    files += [inline(f"/app/n/{name}") for name in NAMES]
    files += [inline(f"/srv/$c/{at}") for at in range(60)] + [inline("/srv/a [b]/1")]
    built = docker(plain_registry, *files, base=base_python.at(plain_registry))
    assert json.loads(docker.runs(built)[1]) == [
        sorted(NAMES),
        sorted(NAMES),
        ["$c", "a [b]"],
    ]


@pytest.mark.parametrize("count", [1, 60])
def test_folders_of_the_base_keep_their_owner_and_ours_are_the_program_s(
    count: int, docker: EngineBuilds, plain_registry: Registry, base_user: Base
) -> None:
    program = (
        b"import json, os\nplaces = ('/opt', '/opt/ours', '/opt/ours/0', '/app', '/etc')\n"
        b"print(json.dumps([os.stat(place).st_uid for place in places]))"
    )
    files = [inline(f"/opt/ours/{number}") for number in range(count)]
    files += [inline("/app/main.py", program), inline("/etc/ours.conf")]
    built = docker(plain_registry, *files, base=base_user.at(plain_registry))
    owners = json.loads(docker.runs(built)[1])
    assert owners == [0, 1000, 1000, 1000, 0]


WORDS = {
    "PLAIN": "x",
    "DOLLAR": "$HOME ${PATH} \\$x",
    "QUOTES": "\"double\" 'single'",
    "BACK": "a\\b\\",
    "EMPTY": "",
    "UNICODE": "ü日本",
    "BLANKS": "  a  b\t",
}


def test_variables_labels_user_and_entrypoint_come_out_as_they_went_in(
    docker: EngineBuilds, plain_registry: Registry, judges: Judges, base_user: Base
) -> None:
    program = b"import json, os\nprint(json.dumps([os.getuid(), os.getgid(), dict(os.environ)]))"
    built = docker(
        plain_registry,
        inline("/app/main.py", program),
        base=base_user.at(plain_registry),
        env=WORDS,
        labels=WORDS,
        user="1234:5678",
        entrypoint=["/usr/bin/env", "A=$B 'c'"],
    )
    assert (built.uid, built.gid) == (1234, 5678)
    uid, gid, environ = json.loads(docker.runs(built)[1])
    assert (uid, gid, environ["A"]) == (1234, 5678, "$B 'c'")
    assert {key: environ[key] for key in WORDS} == WORDS
    config = judge(judges, plain_registry, built.image)["config"]
    assert {key: config["Labels"][key] for key in WORDS} == WORDS


@pytest.mark.parametrize(
    "line",
    [
        f"./wheels/{tiny.WHEEL}",
        f"tiny @ file:///app/wheels/{tiny.WHEEL}",
        "--no-index\n--find-links wheels\ntiny==1",
        "--no-index\n--find-links file:///app/wheels\ntiny==1",
        "-r more/list.txt",
    ],
)
def test_requirements_are_installed_from_a_wheel_among_the_inputs(
    line: str,
    docker: EngineBuilds,
    plain_registry: Registry,
    base_pip: Base,
) -> None:
    more = b"--no-index\n--find-links file:///app/wheels\ntiny\n"
    built = docker(
        plain_registry,
        inline("/app/main.py", b"import tiny"),
        inline("/app/logging.py", b"raise SystemExit('a module of the user was imported by pip')"),
        inline("/app/requirements.txt", line.encode()),
        inline("/app/more/list.txt", more),
        inline(f"/app/wheels/{tiny.WHEEL}", tiny.wheel()),
        base=base_pip.at(plain_registry),
    )
    assert docker.runs(built) == (0, f"{tiny.SAYS}\n")


def test_requirements_stay_installed_while_the_code_changes(
    docker: EngineBuilds, plain_registry: Registry, base_pip: Base
) -> None:
    files = [inline("/app/requirements.txt", b"# nothing\n")]
    for text in (b"print(1)", b"print(2)"):
        docker.build.events.clear()
        base = base_pip.at(plain_registry)
        docker(plain_registry, inline("/app/main.py", text), *files, base=base)
    steps = [line for line in docker.log if "Step" in line or "cache" in line]
    install = next(at for at, line in enumerate(steps) if ": RUN" in line)
    assert "Using cache" in steps[install + 1]


def test_an_own_dockerfile_wins(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base, tmp_path: Path
) -> None:
    base = base_user.at(plain_registry)
    text = f"ARG WHO\nFROM {base}\nARG WHO\nUSER root\nRUN echo $WHO > /who\nUSER 77\n"
    text += 'COPY app/ /app/\nCMD ["cat", "/who"]\n'
    path = tmp_path / "My.Dockerfile"
    path.write_text(text)
    inputs = inline("/Dockerfile", text.replace("echo", "echo 1").encode())
    given: dict[str, Any] = {"base": base, "build_args": {"WHO": "ada"}}
    built = docker(plain_registry, *SAYS, inputs, dockerfile_path=path, **given)
    assert (built.uid, built.gid) == (77, 0)
    assert docker.runs(built) == (0, "ada\n")
    assert docker.runs(docker(plain_registry, *SAYS, inputs, **given)) == (0, "1 ada\n")


def test_without_a_push_the_image_stays_in_the_engine(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    base = base_python.at(plain_registry)
    built = docker(plain_registry, *SAYS, base=base, push=False)
    assert built.image.startswith(plain_registry.image("app:"))
    assert docker.runs(built) == (0, "said\n")
    assert docker.build.events[-1][0] == "build-log"
    status, _, _ = plain_registry.ask(f"/v2/{plain_registry.prefix}/app/tags/list")
    assert status == 404


def test_a_base_that_only_the_engine_has_is_built_on(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base, prefix: str
) -> None:
    first = docker(plain_registry, *SAYS, base=base_python.at(plain_registry), push=False)
    docker.engine.images.get(first.image).tag(f"{prefix}/mine", "1")
    docker.made.append(f"{prefix}/mine:1")
    built = docker(plain_registry, *SAYS, base=f"{prefix}/mine:1", image_name="second")
    assert docker.runs(built) == (0, "said\n")


@pytest.mark.real
@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
def test_base_and_push_get_the_keychain_s_credentials(
    fixture: str,
    docker: EngineBuilds,
    judges: Judges,
    base_user: Base,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    docker.build.login(registry.name, "pusher", registry.users["pusher"])
    caplog.set_level("DEBUG")
    built = docker(registry, *SAYS, base=base_user.at(registry))
    judge(judges, registry, built.image, "pusher")
    told = f"{caplog.text} {docker.build.events}"
    assert not any(password in told for password in PASSWORDS)
    docker.engine.images.remove(base_user.at(registry))  # the engine pulls it again, by itself
    docker.engine.images.remove(built.image, force=True)
    text = f"FROM {base_user.at(registry)}\nCOPY app/ /app/\n"
    docker(registry, *SAYS, inline("/Dockerfile", text.encode()), base="unused")


# --- what fails -----------------------------------------------------------------------------------


def test_a_base_that_is_nowhere(docker: EngineBuilds, plain_registry: Registry) -> None:
    base = plain_registry.image("nope:1")
    assert base in str(failing(docker, "base-not-found", plain_registry, *SAYS, base=base))
    own = inline("/Dockerfile", f"FROM {base}\n".encode())
    failing(docker, "base-not-found", plain_registry, *SAYS, own, base=base)


def test_a_base_that_wants_a_login(
    docker: EngineBuilds,
    plain_registry: Registry,
    token_registry: Registry,
    judges: Judges,
    base_user: Base,
) -> None:
    base = token_registry.image("base:1")  # of this test alone: nobody has pulled it before
    judges.crane(token_registry, "copy", base_user.at(token_registry), base, user="pusher")
    error = failing(docker, "base-denied", plain_registry, *SAYS, base=base)
    assert "docker login" in str(error)


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("RUN echo first; echo last >&2; exit 7", "run-failed", ["exit code 7", "\n  last"]),
        ('RUN ["nope"]', "run-failed", ["nope", "not found"]),
        ("COPY nope /x", "copy-failed", ["nope"]),
        ("FRUM x", "dockerfile", ["FRUM", "line 2"]),
        ("RUN --mount=type=cache,target=/x true", "dockerfile", ["BuildKit"]),
        ("COPY --from=127.0.0.1:1/a:1 /x /x", "registry-unreachable", ["127.0.0.1:1"]),
    ],
)
def test_a_dockerfile_that_fails_says_where(
    line: str,
    kind: str,
    words: list[str],
    docker: EngineBuilds,
    plain_registry: Registry,
    base_python: Base,
) -> None:
    base = base_python.at(plain_registry)
    own = inline("/Dockerfile", f"FROM {base}\n{line}\n".encode())
    error = failing(docker, kind, plain_registry, *SAYS, own, base=base)
    assert all(word in str(error) for word in words), str(error)
    assert "\x1b" not in str(error) + error.tail
    if "exit" in line:
        assert {*error.tail.splitlines()[-3:-1]} == {"first", "last"}


def test_requirements_without_pip_say_so(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    files = [*SAYS, inline("/app/requirements.txt", b"tiny\n")]
    base = base_python.at(plain_registry)
    error = failing(docker, "run-failed", plain_registry, *files, base=base)
    assert "has no pip" in str(error)


@pytest.mark.real
@pytest.mark.parametrize(
    ("fixture", "who"),
    [
        ("basic_registry", "nobody"),
        ("basic_registry", "wrong"),
        ("token_registry", "nobody"),
        ("token_registry", "wrong"),
        ("token_registry", "reader"),
    ],
)
def test_a_push_that_is_denied(
    fixture: str,
    who: str,
    docker: EngineBuilds,
    plain_registry: Registry,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    if who != "nobody":
        user = "reader" if who == "reader" else "pusher"
        docker.build.login(
            registry.name, user, registry.users[user] if who == "reader" else "wr0ng"
        )
    failing(docker, "push-denied", registry, *SAYS, base=base_python.at(plain_registry))
    assert docker.log == []  # nothing was built for nothing


def test_a_registry_that_is_down(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    error = failing(
        docker,
        "registry-unreachable",
        plain_registry,
        *SAYS,
        base=base_python.at(plain_registry),
        registry="127.0.0.1:1/team",
    )
    assert "127.0.0.1:1" in str(error)


@pytest.mark.real
@pytest.mark.parametrize(
    ("fixture", "kind"),
    [
        ("basic_registry", "push-denied"),
        ("token_registry", "push-denied"),
        (None, "registry-unreachable"),
    ],
)
def test_what_the_engine_says_of_a_push_is_understood(
    fixture: str | None,
    kind: str,
    docker: EngineBuilds,
    plain_registry: Registry,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    built = docker(plain_registry, *SAYS, base=base_python.at(plain_registry))
    there = request.getfixturevalue(fixture).image("x") if fixture else "127.0.0.1:1/x"
    docker.engine.images.get(built.image).tag(there, "1")
    docker.made.append(f"{there}:1")
    with (
        Engine(DockerAddress(), docker.host) as engine,
        pytest.raises(errors.BuildError) as caught,
    ):
        engine.push(ImageRef.parse(f"{there}:1"), None, docker.build.report)
    assert caught.value.kind == kind


def test_what_the_engine_has_not_is_not_pushed(
    docker: EngineBuilds, plain_registry: Registry
) -> None:
    image = ImageRef.parse(plain_registry.image("nope:1"))
    with (
        Engine(DockerAddress(), docker.host) as engine,
        pytest.raises(errors.BuildError) as caught,
    ):
        engine.push(image, None, docker.build.report)
    assert caught.value.kind == "image-missing"


def test_what_does_not_fit_is_found_before_it_is_built(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base
) -> None:
    base = base_user.at(plain_registry)
    with pytest.raises(errors.ImageError, match=r"needs Python 3\.9, and .* has 3\.11"):
        docker(plain_registry, *SAYS, base=base, python="3.9")
    with pytest.raises(errors.ImageError, match="ghost"):
        docker(plain_registry, *SAYS, base=base, user="ghost")
    with pytest.raises(errors.PlatformNotFound, match="linux/arm64"):
        docker(plain_registry, *SAYS, base=base, platform="linux/arm64")
    assert docker.log == []


def test_a_file_that_changes_meanwhile_is_named(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base, tmp_path: Path
) -> None:
    path = tmp_path / "grows"
    path.write_text("more than was said")
    file = ContextFile("/app/grows", path, size=3)
    with pytest.raises(errors.UnreadableInput, match="grows changed"):
        docker(plain_registry, *SAYS, file, base=base_user.at(plain_registry))


def test_what_is_foreseen_is_what_is_built(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base
) -> None:
    base = base_user.at(plain_registry)
    built = docker(plain_registry, *SAYS, base=base, python="3.11")
    builder = DockerBuilder(image_name="app", host=docker.host)
    asked = docker.request(plain_registry, context_of(*SAYS, python="3.11"), base)
    foreseen, checks = builder.foresee(asked)
    assert foreseen.image.partition(":")[0] == built.image.partition(":")[0]
    assert (foreseen.uid, foreseen.gid, foreseen.python) == (1000, 100, "3.11")
    assert {check.name: check.ok for check in checks} == dict.fromkeys(
        ("engine", "base image", "user", "python", "push"), True
    )


WAITING = """
import sys
from fairing_core.build.docker import DockerBuilder
from fairing_core.types import BuildContext, BuildRequest, ContextFile
base, host = sys.argv[1:]
text = f'FROM {base}\\nRUN ["sleep", "300"]\\n'.encode()
file = ContextFile("/Dockerfile", text, size=len(text))
context = BuildContext((file,), ("true",), digest="sha256:" + "0" * 64)
def report(name, /, **fields):
    print(fields.get("line"), flush=True)
request = BuildRequest(context, base_image=base, report=report)
DockerBuilder(push=False, host=host, tag="waits", network="host").build(request)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_build_ends_with_its_client(
    how: signal.Signals, docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    def sleeping() -> int:
        return sum("sleep 300" in each["Command"] for each in docker.engine.api.containers())

    base = base_python.at(plain_registry)
    docker(plain_registry, *SAYS, base=base, push=False)  # it is there
    words = [sys.executable, "-c", WAITING, base, docker.host]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout
        assert any(b"Running in" in line for line in run.stdout)
        until(lambda: sleeping() == 1)
        run.send_signal(how)
        run.communicate(timeout=20)
    until(lambda: sleeping() == 0)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


COMMAND = """
import sys
from pathlib import Path
from fairing_core.build.docker import DockerBuilder
from fairing_core.types import BuildContext, BuildRequest, ContextFile
path, base, host = sys.argv[1:]
size = Path(path).stat().st_size
file = ContextFile("/app/data", Path(path), size=size)
context = BuildContext((file,), ("true",), digest="sha256:" + "0" * 64)
request = BuildRequest(context, base_image=base)
built = DockerBuilder(push=False, host=host, tag="big").build(request)
print(built.image)
"""


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_context(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    done = subprocess.run(
        [sys.executable, "-c", PEAK + COMMAND, path, base_python.at(plain_registry), docker.host],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    docker.made.append(done.stdout.split()[-1])
    assert int(done.stderr.split()[-1]) * 1024 < 100e6
