"""Images built by a real Docker engine and pushed to real registries: judged, and run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairing_core import errors
from fairing_core.build.append import AppendBuilder
from fairing_core.build.docker.builder import DockerBuilder, PodmanBuilder
from fairing_core.build.docker.engine import Engine
from fairing_core.images.reference import ImageRef
from fairing_core.types import BuildContext, BuildRequest, Built, ContextFile, RegistryAccess
from tests.bench import bases, podman, tiny
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
BUILDERS: Mapping[str, tuple[type[DockerBuilder], Callable[[Bench], Path]]] = {
    "docker_engine": (DockerBuilder, socket_of),
    "podman_engine": (PodmanBuilder, podman.socket_of),
}
# Where an engine has no say in it, or what Podman has of it is proven by another test.
DOCKER_ALONE = pytest.mark.parametrize("docker", ["docker_engine"], indirect=True)
PODMAN_ALONE = pytest.mark.parametrize("docker", ["podman_engine"], indirect=True)
PASSWORDS = ("wr0ng", "pusher-7Qm2", "reader-9Xt4")


class EngineBuilds:
    """Builds with the bench's engine, as `TrainJob` does; what it made is removed at the end."""

    def __init__(
        self, build: Builds, builder: type[DockerBuilder], host: str, engine: DockerClient
    ) -> None:
        self.build = build
        self.builder = builder
        self.host = host
        self.engine = engine
        self.made: list[str] = []

    def __call__(self, at: Registry, *files: ContextFile, base: str, **more: Any) -> Built:
        context = more.pop("context", None) or context_of(*files, python=more.pop("python", None))
        request = self.request(at, context, base)
        options = {"network": "host", "image_name": "app", "host": self.host, **more}
        builder = self.builder(**options)
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
        import docker.errors as docker_errors

        try:
            self.engine.images.get(built.image)
        except docker_errors.NotFound:  # Podman doesn't know by its digest what it has pushed
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


@pytest.fixture(params=BUILDERS)
def docker(
    build: Builds, bench: Bench, prefix: str, request: pytest.FixtureRequest
) -> Iterator[EngineBuilds]:
    import docker.errors as docker_errors

    engine: DockerClient = request.getfixturevalue(request.param)
    builder, place = BUILDERS[request.param]
    builds = EngineBuilds(build, builder, f"unix://{place(bench)}", engine)
    before = {each["Id"] for each in engine.api.containers(all=True)}
    yield builds
    for image in (*tags(engine, prefix), *builds.made):
        with contextlib.suppress(docker_errors.NotFound):
            engine.images.remove(image, force=True)
    after = engine.api.containers(all=True)
    left = [each for each in after if each["Id"] not in before]
    assert not [each for each in left if each["Command"] == "true"]  # none that was looked into


def tags(engine: DockerClient, prefix: str) -> Sequence[str]:
    """The names of a test's images."""
    import docker.errors as docker_errors

    for _ in range(20):
        # Podman can't list while another test's image goes away.
        with contextlib.suppress(docker_errors.APIError):
            return [tag for image in engine.images.list() for tag in image.tags if prefix in tag]
        time.sleep(0.2)
    raise AssertionError("the engine can't list its images")


def dated(docker: EngineBuilds, registry: Registry, base: Base) -> str:
    """A base with dates in its history: Podman reuses no steps on one without, as the bench's."""
    named = base.at(registry)
    return docker(registry, *SAYS, base=named, image_name="dated", push=False).image


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
    assert any(line.lower().startswith("step 1/") for line in docker.log)


@DOCKER_ALONE
def test_what_is_sent_is_told(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base, prefix: str
) -> None:
    new = inline("/app/new", prefix.encode())
    docker(plain_registry, *SAYS, new, base=base_python.at(plain_registry))
    traffic = docker.build.traffic
    assert traffic["sent"] > 0
    assert traffic["mounted"] == 1


@DOCKER_ALONE
def test_the_same_input_is_built_and_sent_once(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    base = dated(docker, plain_registry, base_python)
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


@DOCKER_ALONE
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
    base = dated(docker, plain_registry, base_pip)
    for text in (b"print(1)", b"print(2)"):
        docker.build.events.clear()
        docker(plain_registry, inline("/app/main.py", text), *files, base=base)
    steps = [line for line in docker.log if "step" in line.lower() or "cache" in line]
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
    for tag in tags(docker.engine, registry.prefix):
        docker.engine.images.remove(tag, force=True)
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
        ("FRUM x", "dockerfile", ["FRUM", "mend"]),
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
        assert {"first", "last"} <= {*error.tail.splitlines()[-3:]}
    assert "imagebuilder" not in str(error)  # Podman shows its own insides


@DOCKER_ALONE
@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("FRUM x", "dockerfile", ["line 2"]),
        ("RUN --mount=type=cache,target=/x true", "dockerfile", ["BuildKit"]),
        ("COPY --from=127.0.0.1:1/a:1 /x /x", "registry-unreachable", ["127.0.0.1:1"]),
    ],
)
def test_what_docker_alone_says_of_a_dockerfile(
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


@PODMAN_ALONE
def test_podman_takes_an_image_to_copy_from_that_can_t_be_had_for_none(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    base = base_python.at(plain_registry)
    text = f"FROM {base}\nCOPY --from=127.0.0.1:1/a:1 /x /x\n"
    own = inline("/Dockerfile", text.encode())
    error = failing(docker, "base-not-found", plain_registry, *SAYS, own, base=base)
    assert "127.0.0.1:1/a:1" in str(error)


@PODMAN_ALONE
def test_podman_mounts_for_a_step(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    base = base_python.at(plain_registry)
    text = f"FROM {base}\nCOPY app/ /app/\nRUN --mount=type=cache,target=/x touch /x/y\n"
    built = docker(plain_registry, *SAYS, inline("/Dockerfile", text.encode()), base=base)
    assert built.platform == "linux/amd64"


def test_requirements_without_pip_say_so(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    files = [*SAYS, inline("/app/requirements.txt", b"tiny\n")]
    base = base_python.at(plain_registry)
    error = failing(docker, "run-failed", plain_registry, *files, base=base)
    assert "has no pip" in str(error)


@DOCKER_ALONE
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
    built = docker(plain_registry, *SAYS, base=base_python.at(plain_registry), push=False)
    there = request.getfixturevalue(fixture).image("x") if fixture else "127.0.0.1:1/x"
    docker.engine.images.get(built.image).tag(there, "1")
    docker.made.append(f"{there}:1")
    with (
        Engine(docker.builder.find, docker.host) as engine,
        pytest.raises(errors.BuildError) as caught,
    ):
        engine.push(ImageRef.parse(f"{there}:1"), None, docker.build.report)
    assert caught.value.kind == kind


def test_what_the_engine_has_not_is_not_pushed(
    docker: EngineBuilds, plain_registry: Registry
) -> None:
    image = ImageRef.parse(plain_registry.image("nope:1"))
    with (
        Engine(docker.builder.find, docker.host) as engine,
        pytest.raises(errors.BuildError) as caught,
    ):
        engine.push(image, None, docker.build.report)
    assert caught.value.kind == "image-missing"


@DOCKER_ALONE
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


@DOCKER_ALONE
def test_a_file_that_changes_meanwhile_is_named(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base, tmp_path: Path
) -> None:
    path = tmp_path / "grows"
    path.write_text("more than was said")
    file = ContextFile("/app/grows", path, size=3)
    with pytest.raises(errors.UnreadableInput, match="grows changed"):
        docker(plain_registry, *SAYS, file, base=base_user.at(plain_registry))


@DOCKER_ALONE
def test_what_is_foreseen_is_what_is_built(
    docker: EngineBuilds, plain_registry: Registry, base_user: Base
) -> None:
    base = base_user.at(plain_registry)
    built = docker(plain_registry, *SAYS, base=base, python="3.11")
    builder = docker.builder(image_name="app", host=docker.host)
    asked = docker.request(plain_registry, context_of(*SAYS, python="3.11"), base)
    foreseen, checks = builder.foresee(asked)
    assert foreseen.image.partition(":")[0] == built.image.partition(":")[0]
    assert (foreseen.uid, foreseen.gid, foreseen.python) == (1000, 100, "3.11")
    assert {check.name: check.ok for check in checks} == dict.fromkeys(
        ("engine", "base image", "user", "python", "push"), True
    )


WAITING = """
import sys
from fairing_core.build.docker import builder as docker
from fairing_core.types import BuildContext, BuildRequest, ContextFile
builder, base, host, name, *seconds = sys.argv[1:]
steps = [f'RUN ["sleep", "{each}"]' for each in seconds]
text = "\\n".join([f"FROM {base}", *steps, ""]).encode()
file = ContextFile("/Dockerfile", text, size=len(text))
context = BuildContext((file,), ("true",), digest="sha256:" + "0" * 64)
request = BuildRequest(context, base_image=base, registry=name)
getattr(docker, builder)(push=False, host=host, tag="waits", network="host").build(request)
"""


@DOCKER_ALONE
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_build_ends_with_its_client(
    how: signal.Signals, docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    seconds = f"300.{os.getpid()}{how:d}"
    end_in_a_step(how, docker, plain_registry, base_python, seconds)
    until(lambda: not sleeping(seconds))


@PODMAN_ALONE
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_build_of_podman_ends_with_the_step_that_its_client_left(
    how: signal.Signals, docker: EngineBuilds, plain_registry: Registry, base_python: Base
) -> None:
    import docker.errors as docker_errors

    first, second = f"10.{os.getpid()}{how:d}", f"300.{os.getpid()}{how:d}"
    name = end_in_a_step(how, docker, plain_registry, base_python, first, second)
    until(lambda: not sleeping(first))
    time.sleep(2)
    assert not sleeping(second)
    with pytest.raises(docker_errors.NotFound):
        docker.engine.images.get(name)


def end_in_a_step(
    how: signal.Signals, docker: EngineBuilds, registry: Registry, base: Base, *seconds: str
) -> str:
    """Ends a client while the build's first step sleeps; gives the image's name."""
    named = base.at(registry)
    docker(registry, *SAYS, base=named, push=False)  # it is there
    place = f"{registry.name}/{registry.prefix}"
    words = [docker.builder.__name__, named, docker.host, place, *seconds]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, *words], env=environ, stderr=subprocess.PIPE
    ) as run:
        try:
            until(lambda: sleeping(seconds[0]))
            run.send_signal(how)
            run.communicate(timeout=20)
        finally:
            run.kill()
    return f"{place}/fairing-job:waits"


def sleeping(seconds: str) -> bool:
    return any(told.endswith(f"sleep\0{seconds}\0".encode()) for told in commands())


def commands() -> Iterator[bytes]:
    """What runs on this machine, in containers too: Podman's API shows none of a build."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            yield path.read_bytes()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


COMMAND = """
import sys
from pathlib import Path
from fairing_core.build.docker import builder as docker
from fairing_core.types import BuildContext, BuildRequest, ContextFile
builder, path, base, host = sys.argv[1:]
size = Path(path).stat().st_size
file = ContextFile("/app/data", Path(path), size=size)
context = BuildContext((file,), ("true",), digest="sha256:" + "0" * 64)
request = BuildRequest(context, base_image=base)
built = getattr(docker, builder)(push=False, host=host, tag="big").build(request)
print(built.image)
"""


@DOCKER_ALONE
@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_context(
    docker: EngineBuilds, plain_registry: Registry, base_python: Base, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    words = [str(path), base_python.at(plain_registry), docker.host]
    done = subprocess.run(
        [sys.executable, "-c", PEAK + COMMAND, docker.builder.__name__, *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    docker.made.append(done.stdout.split()[-1])
    assert int(done.stderr.split()[-1]) * 1024 < 100e6
