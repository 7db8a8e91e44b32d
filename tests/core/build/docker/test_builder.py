"""The builders docker and podman, with an engine in memory."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.build.docker import log as enginelog
from fairing_core.build.docker.builder import DockerBuilder, PodmanBuilder
from fairing_core.build.docker.engine import DockerAddress, PodmanAddress
from fairing_core.types import BuildRequest, Built, ContextFile, Credentials, Import
from tests.core.build.conftest import MAIN, Builds, context_of
from tests.core.build.docker.engine import BASE_ID, MADE_ID, FakeEngine, image
from tests.core.build.harness import inline
from tests.core.images.registry import FakeRegistry

BASE = "registry.example/base:1"
PIN = f"registry.example/base@sha256:{'d' * 64}"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    found = FakeRegistry()
    yield found
    found.close()


@pytest.fixture
def engine(registry: FakeRegistry) -> Iterator[FakeEngine]:
    with tempfile.TemporaryDirectory() as folder:  # a socket's path is short
        found = FakeEngine(Path(folder, "e.sock"), registry)
        yield found
        found.close()


class Docker:
    """Builds with an engine in memory."""

    def __init__(self, build: Builds, engine: FakeEngine, registry: FakeRegistry) -> None:
        self.build = build
        self.engine = engine
        self.registry = registry

    def request(self, *files: ContextFile, **more: Any) -> BuildRequest:
        told = {key: more.pop(key) for key in ("python", "imports") if key in more}
        fields = {"base_image": BASE, "registry": f"{self.registry.host}/team", **more}
        return BuildRequest(context_of(*files, **told), report=self.build.report, **fields)

    def __call__(self, *files: ContextFile, python: str | None = None, **options: Any) -> Built:
        builder = DockerBuilder(**{"host": self.engine.url, "image_name": "app", **options})
        return builder.build(self.request(*files, python=python))

    @property
    def dockerfile(self) -> list[str]:
        call = self.engine.asked("POST /build")[-1]
        return call.files()["./Dockerfile"].decode().splitlines()


@pytest.fixture
def docker(build: Builds, engine: FakeEngine, registry: FakeRegistry) -> Docker:
    engine.image(BASE)
    return Docker(build, engine, registry)


def failing(kind: str, docker: Docker, *arguments: Any, **more: Any) -> errors.BuildError:
    with pytest.raises(errors.BuildError) as caught:
        docker(*arguments, **more)
    assert caught.value.kind == kind, str(caught.value)
    return caught.value


# --- what it makes --------------------------------------------------------------------------------


def test_an_image_is_built_pushed_and_confirmed(docker: Docker) -> None:
    built = docker()
    name, _, digest = built.image.partition("@")
    assert name == f"{docker.registry.host}/team/app"
    assert digest in docker.registry.manifests["team/app"]
    assert docker.registry.count("HEAD", f"/manifests/{digest}") == 1
    assert (built.uid, built.gid, built.platform) == (0, 0, "linux/amd64")
    call = docker.engine.asked("POST /build")[0]
    assert call.query["platform"] == "linux/amd64"
    assert call.query["t"].startswith(f"{name}:")
    assert "networkmode" not in call.query
    assert call.files()["./app/main.py"] == b"print(1)"
    assert docker.dockerfile[0] == f"FROM {PIN}"
    events = dict(docker.build.events)
    traffic = {key: events["pushed"][key] for key in ("sent", "mounted", "skipped", "copied")}
    assert traffic == {"sent": 1024, "mounted": 1, "skipped": 1, "copied": 0}


def test_a_base_that_the_engine_lacks_is_pulled(docker: Docker) -> None:
    docker.engine.images.clear()
    docker.engine.pulls[BASE] = image(BASE)
    docker.build.login("registry.example", "ada", "s3cret")
    docker()
    call = docker.engine.asked("POST /images/create")[0]
    assert call.query["platform"] == "linux/amd64"
    assert call.auth["username"] == "ada"
    assert call.auth["password"] == "s3cret"
    pulled = dict(docker.build.events)["pulled"]
    assert (pulled["image"], pulled["bytes"]) == (BASE, 5_000)


def test_a_base_for_another_platform_is_pulled_anew(docker: Docker) -> None:
    docker.engine.image(BASE, architecture="arm64")
    docker.engine.pulls[BASE] = image(BASE)
    docker()
    docker.engine.pulls[BASE] = image(BASE, architecture="arm64")
    docker.engine.image(BASE, architecture="arm64")
    with pytest.raises(errors.PlatformNotFound, match=r"is for linux/arm64, not for linux/amd64"):
        docker()


def test_a_base_of_no_registry_is_named_by_its_id(docker: Docker) -> None:
    docker.engine.images[BASE]["RepoDigests"] = ["<none>@<none>"]
    docker()
    assert docker.dockerfile[0] == f"FROM {BASE_ID}"


def test_a_named_user_is_looked_up_in_the_image_and_nothing_is_left(docker: Docker) -> None:
    docker.engine.image(BASE, User="ada:lab")
    docker.engine.etc = {"passwd": b"root:x:0:0::/:\nada:x:1000:100::/:\n", "group": b"lab:x:7:\n"}
    built = docker()
    assert (built.uid, built.gid) == (1000, 7)
    assert docker.dockerfile[1].startswith("COPY --chown=1000:7 ")
    assert [str(call) for call in docker.engine.asked("containers")] == [
        "POST /containers/create",
        "GET /containers/c0/archive",
        "DELETE /containers/c0",
    ]


def test_a_user_that_the_image_lacks_is_an_error_and_nothing_is_left(docker: Docker) -> None:
    with pytest.raises(errors.ImageError, match="ghost"):
        docker(user="ghost")
    assert docker.engine.asked("DELETE /containers/c0")
    assert not docker.engine.asked("POST /build")


@pytest.mark.parametrize(
    ("links", "found"),
    [
        ({"/usr/bin/python3": "/usr/bin/python3.11"}, "3.11"),
        ({"/bin/python": "/opt/v/bin/python3.12", "/usr/bin/python3": "/x/python3.9"}, "3.12"),
        ({"/usr/bin/python3.11": ""}, None),
    ],
)
def test_python_is_told_by_the_name_that_its_program_leads_to(
    links: dict[str, str], found: str | None, docker: Docker
) -> None:
    docker.engine.links = links
    if found:
        assert docker(python=found).python == found
        with pytest.raises(errors.ImageError, match=rf"needs Python 3\.8, and .* has {found}"):
            docker(python="3.8")
    else:
        with pytest.raises(errors.ImageError, match=r"python='3\.8'"):
            docker(python="3.8")
        builder = DockerBuilder(host=docker.engine.url, python="3.8")
        assert builder.build(docker.request(python="3.8")).python == "3.8"


def test_options_reach_the_dockerfile_and_the_engine(docker: Docker) -> None:
    docker(user="7:8", env={"A": "$1"}, labels={"l": "x"}, entrypoint=[], network="host", tag="v1")
    call = docker.engine.asked("POST /build")[0]
    assert call.query["networkmode"] == "host"
    assert call.query["t"] == f"{docker.registry.host}/team/app:v1"
    assert docker.dockerfile[1:] == [
        'COPY --chown=7:8 ["app/", "/app/"]',
        'ENV A="\\$1"',
        'LABEL l="x"',
        "WORKDIR /app",
        "USER 7:8",
        "ENTRYPOINT []",
        'CMD ["python3", "/app/main.py"]',
    ]


def test_without_a_push_the_name_and_tag_are_the_engine_s(docker: Docker) -> None:
    built = docker(push=False)
    assert built.image.startswith(f"{docker.registry.host}/team/app:")
    request = docker.request(registry=None)
    local = DockerBuilder(host=docker.engine.url, push=False).build(request)
    assert local.image.startswith("fairing-job:")
    assert docker.registry.asked == []


def test_the_same_input_gives_the_same_tag_and_bytes(docker: Docker) -> None:
    docker()
    docker()
    one, two = docker.engine.asked("POST /build")
    assert one.body == two.body
    assert one.query == two.query
    docker(env={"A": "1"})
    assert docker.engine.asked("POST /build")[-1].query["t"] != one.query["t"]


# --- the user's own Dockerfile --------------------------------------------------------------------

OWN = b"ARG V\nFROM other.example/x:1 AS x\nFROM --platform=linux/amd64 y\nCOPY --from=x /a /a\n"


def test_an_own_dockerfile_among_the_inputs_is_sent_as_it_is(docker: Docker) -> None:
    docker.build.login("other.example", "ada", "s3cret")
    docker.engine.user = "77:7"
    built = docker(MAIN, inline("/Dockerfile", OWN), build_args={"V": "1"})
    call = docker.engine.asked("POST /build")[0]
    assert call.files()["./Dockerfile"] == OWN
    assert call.query["buildargs"] == '{"V": "1"}'
    assert call.auth["other.example"]["password"] == "s3cret"
    assert (built.uid, built.gid) == (77, 7)
    assert not docker.engine.asked(f"/images/{BASE}")  # its base is its own affair


def test_a_step_gets_the_proxies_of_docker_s_configuration(docker: Docker) -> None:
    proxies = {"default": {"httpProxy": "http://proxy.example:3128"}}
    (docker.build.home / "config.json").write_text(json.dumps({"proxies": proxies}))
    docker()
    args = json.loads(docker.engine.asked("POST /build")[0].query["buildargs"])
    assert args["HTTP_PROXY"] == "http://proxy.example:3128"


def test_a_dockerfile_that_is_named_wins_over_one_among_the_inputs(
    docker: Docker, tmp_path: Path
) -> None:
    path = tmp_path / "My.Dockerfile"
    path.write_text("FROM mine\n")
    docker(MAIN, inline("/Dockerfile", OWN), dockerfile_path=path)
    assert docker.dockerfile == ["FROM mine"]
    path.unlink()
    with pytest.raises(errors.MissingInput, match=r"My\.Dockerfile"):
        docker(dockerfile_path=path)


def test_the_python_of_an_own_dockerfile_s_image_is_looked_at(docker: Docker) -> None:
    docker.engine.links = {"/usr/bin/python3": "/usr/bin/python3.9"}
    with pytest.raises(errors.ImageError, match=r"the image of your Dockerfile has 3\.9"):
        docker(MAIN, inline("/Dockerfile", OWN), python="3.11")
    assert not docker.engine.asked("/push")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"user": "1"}, "user"),
        ({"env": {"A": "1"}, "labels": {"B": "1"}}, "env, labels"),
        ({"entrypoint": []}, "entrypoint"),
    ],
)
def test_what_an_own_dockerfile_says_can_t_be_said_beside_it(
    options: dict[str, Any], word: str, docker: Docker
) -> None:
    request = docker.request(MAIN, inline("/Dockerfile", OWN))
    builder = DockerBuilder(host=docker.engine.url, **options)
    assert f"and {word} can't be added" in (builder.supports(request) or "")
    with pytest.raises(errors.Unsupported, match="docker can't build this"):
        builder.build(request)


def test_build_args_are_for_an_own_dockerfile(docker: Docker) -> None:
    builder = DockerBuilder(host=docker.engine.url, build_args={"V": "1"})
    assert "dockerfile_path" in (builder.supports(docker.request()) or "")


# --- credentials ----------------------------------------------------------------------------------


def test_a_push_gets_the_keychain_s_credentials(docker: Docker) -> None:
    docker.build.login(docker.registry.host, "ada", "s3cret")
    docker()
    assert docker.engine.asked("/push")[0].auth == {
        "username": "ada",
        "password": "s3cret",
        "serveraddress": docker.registry.host,
    }


def test_an_identity_token_is_sent_as_one_and_a_plugin_is_asked(docker: Docker) -> None:
    class Registry:
        def credentials(self, host: str) -> Credentials:
            return Credentials("<token>", "t0ken")

    request = docker.request(registry_for=lambda host: Registry())
    DockerBuilder(host=docker.engine.url).build(request)
    assert docker.engine.asked("/push")[0].auth["identitytoken"] == "t0ken"


def test_docker_s_own_credentials_are_not_sent_to_others(docker: Docker) -> None:
    docker.build.login("elsewhere.example", "ada", "s3cret")
    docker()
    assert docker.engine.asked("POST /build")[0].auth == {}
    assert docker.engine.asked("/push")[0].auth == {}


# --- what fails -----------------------------------------------------------------------------------


def message(text: str, code: int | None = None) -> dict[str, Any]:
    detail = {"message": text} if code is None else {"message": text, "code": code}
    return {"errorDetail": detail, "error": text}


def test_a_step_that_fails_has_its_last_lines_without_colours(docker: Docker) -> None:
    docker.engine.log = [
        {"stream": "Step 2/4 : RUN pip\n"},
        {"stream": "\x1b[91mno such "},
        {"stream": "wheel\n\x1b[0m"},
        {"stream": "10%\r100%\r\n"},
        message("The command 'pip' returned a non-zero code: 7", 7),
    ]
    error = failing("run-failed", docker)
    assert "exit code 7" in str(error)
    assert error.tail == "Step 2/4 : RUN pip\nno such wheel\n100%"
    assert str(error).endswith("\n  no such wheel\n  100%")
    lines = [fields["line"] for name, fields in docker.build.events if name == "build-log"]
    assert lines == error.tail.splitlines()
    assert not docker.engine.asked("/push")


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "dockerfile parse error line 2: unknown instruction: FRUM", "dockerfile"),
        (500, "write /x: no space left on device", "disk-full"),
        (500, "something else", "failed"),
    ],
)
def test_a_build_that_is_refused_says_why(
    status: int, text: str, kind: str, docker: Docker
) -> None:
    docker.engine.refusals["/build"] = (status, text)
    assert text in str(failing(kind, docker))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("denied: requested access to the resource is denied", "push-denied"),
        ("unauthorized: authentication required", "push-denied"),
        ("no basic auth credentials", "push-denied"),
        ("tag does not exist: x/y:1", "image-missing"),
        (
            'Get "https://r/v2/": x509: certificate signed by unknown authority',
            "registry-untrusted",
        ),
        ("http: server gave HTTP response to HTTPS client", "registry-untrusted"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "registry-unreachable"),
        ("dial tcp: lookup nope.invalid: no such host", "registry-unreachable"),
    ],
)
def test_a_push_that_fails_says_why(text: str, kind: str, docker: Docker) -> None:
    docker.engine.pushes = [{"status": "Preparing", "id": "l1"}, message(text)]
    assert text in str(failing(kind, docker))


def test_an_engine_that_hangs_up_is_the_fault_that_is_told(docker: Docker) -> None:
    docker.engine.log = [{"stream": "Step 1/4 : FROM b\n"}, {"stream": "hangs up"}]
    assert "it broke off" in str(failing("engine-failed", docker))
    docker.engine.log = ()
    docker.engine.pushes = [{"status": "hangs up"}]
    failing("engine-failed", docker)


def test_an_engine_that_hangs_up_while_it_is_looked_into_is_told(docker: Docker) -> None:
    docker.engine.image(BASE, User="ada")
    docker.engine.etc = {"passwd": b"hangs up"}
    assert "it broke off" in str(failing("engine-failed", docker))


def test_a_push_without_a_digest_is_none(docker: Docker) -> None:
    docker.engine.pushes = [{"status": "Pushed", "id": "l1"}]
    failing("image-missing", docker)


def test_a_push_that_left_nothing_in_the_registry_is_found_out(docker: Docker) -> None:
    docker.engine.pushes = [{"aux": {"Tag": "1", "Digest": f"sha256:{'0' * 64}"}}]
    failing("image-missing", docker)


def test_a_registry_that_takes_no_push_is_known_before_the_build(docker: Docker) -> None:
    docker.registry.users["ada"] = "s3cret"
    failing("push-denied", docker)
    assert failing("registry-unreachable", docker, registry="127.0.0.1:1/x")
    assert not docker.engine.asked("POST /build")


def test_a_file_that_changes_meanwhile_is_the_fault_that_is_told(
    docker: Docker, tmp_path: Path
) -> None:
    path = tmp_path / "grows"
    path.write_text("more")
    with pytest.raises(errors.UnreadableInput, match="grows changed"):
        docker(MAIN, ContextFile("/app/grows", path, size=2))
    path.unlink()
    with pytest.raises(errors.MissingInput, match="grows"):
        docker(MAIN, ContextFile("/app/grows", path, size=2))


@pytest.mark.parametrize(
    ("text", "doing", "kind"),
    [
        ("pull access denied for x, repository does not exist", "pull", "base-denied"),
        ("manifest for x:1 not found: manifest unknown", "pull", "base-not-found"),
        ("COPY failed: file not found in build context", "build", "copy-failed"),
        ('building at STEP "COPY a b": checking on sources: no such file', "build", "copy-failed"),
        ('building at STEP "RUN x": while running runtime: exit status 3', "build", "run-failed"),
        ("COPY --from=r/a:1: no stage or image found with that name", "build", "base-not-found"),
        ("failed to find image r/x:1: r/x:1: image not known", "push", "image-missing"),
        ('building at STEP "FRUM ": Build error: Unknown instruction: "F"', "build", "dockerfile"),
        ("OCI runtime create failed: exec: executable file not found", "build", "run-failed"),
        (
            "invalid from flag value a: dial tcp 1: connection refused",
            "build",
            "registry-unreachable",
        ),
        ("the --mount option requires BuildKit. Refer to", "build", "dockerfile"),
    ],
)
def test_words_of_engines_are_understood(text: str, doing: Any, kind: str) -> None:
    assert enginelog.fault(text, doing, "x").kind == kind


def test_a_step_that_was_killed_wants_memory() -> None:
    assert "memory" in str(enginelog.fault("returned", "build", "x", code=137))


@given(st.text("ab\n\r\t \x1b[1m", max_size=80), st.integers(1, 9))
def test_lines_come_whole_however_they_are_cut(text: str, size: int) -> None:
    found: list[list[str]] = []
    for step in (size, 100):
        found.append([])
        lines = enginelog.Lines(found[-1].append)
        for at in range(0, len(text), step):
            lines.add(text[at : at + step])
        lines.end()
    assert found[0] == found[1]
    assert not {"\x1b", "\r", "\n"} & set("".join(found[0]))


# --- where the engine is --------------------------------------------------------------------------


def test_an_engine_that_answers_can_build(docker: Docker) -> None:
    assert DockerBuilder(host=docker.engine.url).supports(docker.request()) is None


def test_what_is_missing_is_said_without_an_engine() -> None:
    request = BuildRequest(context_of(), base_image="a")
    assert "no registry is named" in (DockerBuilder(host="unix:///x").supports(request) or "")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for sockets, and no word of where an engine is."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def reason(builder: DockerBuilder) -> str:
    request = BuildRequest(context_of(), base_image="a", registry="r.example/x")
    return builder.supports(request) or ""


def test_an_engine_that_is_not_there_says_where_it_was_looked_for(short: Path) -> None:
    told = reason(DockerBuilder(host=f"unix://{short}/none"))
    assert f"no Docker engine answers at unix://{short}/none: there is no such socket" in told
    assert "systemctl start docker" in told
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{short}/dead")
    told = reason(PodmanBuilder(host=f"unix://{short}/dead"))
    assert "no Podman engine answers" in told
    assert "nobody listens" in told
    with pytest.raises(errors.BuildError) as caught:
        DockerBuilder(host=f"unix://{short}/dead").build(
            BuildRequest(context_of(), base_image="a", registry="r.example/x")
        )
    assert caught.value.kind == "engine-unreachable"


def test_a_silent_engine_is_not_waited_for_long(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairing_core.build.docker.engine._QUICK", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{short}/mute")
        mute.listen()
        assert "it is silent" in reason(DockerBuilder(host=f"unix://{short}/mute"))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # the child only asks
def test_a_socket_without_the_right_to_it_says_so(engine: FakeEngine) -> None:
    builder = DockerBuilder(host=engine.url)
    assert reason(builder) == ""  # what has to be imported is, before the rights are gone
    engine.socket.chmod(0)
    told = without_rights(lambda: reason(builder))
    assert "you have no right to its socket" in told


def without_rights(ask: Callable[[], str]) -> str:
    """What a process that may not do everything gets."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            os.write(writing, ask().encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with open(reading, "rb") as told:
        return told.read().decode()


def test_certificates_that_are_missing_are_told(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CERT_PATH", str(short / "none"))
    told = reason(DockerBuilder(host="tcp://127.0.0.1:1"))
    assert told.startswith("no Docker engine answers: ")
    assert "certificate" in told


def test_a_password_in_an_address_is_not_shown(short: Path) -> None:
    told = reason(DockerBuilder(host="tcp://ada:s3cret@127.0.0.1:1"))
    assert "s3cret" not in told
    assert "127.0.0.1:1" in told


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    assert "pip install 'fairing-core[docker]'" in reason(DockerBuilder())


def test_docker_is_looked_for_as_its_command_does(
    short: Path, build: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = DockerAddress()
    assert str(find(None)) == "unix:///var/run/docker.sock"
    import hashlib

    name = hashlib.sha256(b"lab").hexdigest()
    place = build.home / "contexts" / "meta" / name
    place.mkdir(parents=True)
    endpoints = {"docker": {"Host": "unix:///lab.sock", "SkipTLSVerify": False}}
    meta = {"Name": "lab", "Metadata": {}, "Endpoints": endpoints}
    (place / "meta.json").write_text(json.dumps(meta))
    (build.home / "config.json").write_text(json.dumps({"currentContext": "lab"}))
    assert str(find(None)) == "unix:///lab.sock (docker's context lab)"
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert str(find(None)) == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(errors.BuildError, match="no context 'gone'"):
        find(None)
    monkeypatch.setenv("DOCKER_HOST", "unix:///env.sock")
    assert str(find(None)) == "unix:///env.sock (DOCKER_HOST)"
    assert str(find("unix:///said.sock")) == "unix:///said.sock"


def test_podman_is_looked_for_at_the_user_s_socket_first(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = PodmanAddress()
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert find(None).url == "unix:///run/podman/podman.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    (short / "podman").mkdir()
    (short / "podman" / "podman.sock").touch()
    assert find(None).url == f"unix://{short}/podman/podman.sock"
    monkeypatch.setenv("CONTAINER_HOST", "unix:///env.sock")
    assert str(find(None)) == "unix:///env.sock (CONTAINER_HOST)"
    assert find("unix:///said.sock").url == "unix:///said.sock"
    with pytest.raises(errors.BuildError, match="ssh -L"):
        find("ssh://core@there/run/podman.sock")


def test_podman_builds_by_the_same_api(docker: Docker) -> None:
    built = PodmanBuilder(host=docker.engine.url).build(docker.request())
    assert MADE_ID in docker.engine.images
    assert "@sha256:" in built.image


def test_podman_tells_the_digest_of_a_push_in_words_alone(docker: Docker) -> None:
    digest = docker.registry.image("team/job", "v1")
    docker.engine.pushes = [{"status": f"v1: digest: {digest} size: 580"}]
    builder = PodmanBuilder(host=docker.engine.url, image_name="job", tag="v1")
    assert builder.build(docker.request()).image.endswith(f"/job@{digest}")


def test_podman_s_insides_are_left_out_of_an_error() -> None:
    text = 'Unknown instruction: "FRUM" &imagebuilder.Step{Env:[]string{"A=b"}, Flags:[]string{}}'
    assert "A=b" not in str(enginelog.fault(text, "build", "x"))


# --- what it would make ---------------------------------------------------------------------------


def test_what_is_foreseen_asks_and_changes_nothing(docker: Docker) -> None:
    docker.engine.links = {"/usr/bin/python3": "/usr/bin/python3.11"}
    builder = DockerBuilder(host=docker.engine.url, image_name="app")
    built, checks = builder.foresee(docker.request(python="3.11"))
    assert {check.name: check.ok for check in checks} == dict.fromkeys(
        ("engine", "base image", "user", "python", "push"), True
    )
    assert (built.uid, built.python) == (0, "3.11")
    tag = docker.engine.asked("POST /build")
    assert not tag
    builder.build(docker.request(python="3.11"))
    assert docker.engine.asked("POST /build")[0].query["t"] == built.image


@pytest.mark.parametrize(
    ("links", "lacking"),
    [
        ({"/usr/lib/python3.11/site-packages/numpy": ""}, []),
        ({"/usr/lib/python3/dist-packages/numpy.py": ""}, []),
        ({"/app/numpy.py": ""}, []),
        ({"/usr/lib/python3.9/site-packages/numpy": ""}, ["numpy"]),
        ({}, ["numpy"]),
    ],
)
def test_what_the_code_imports_and_the_base_seems_to_lack_is_warned_of(
    links: dict[str, str], lacking: list[str], docker: Docker, caplog: pytest.LogCaptureFixture
) -> None:
    docker.engine.links = {"/usr/bin/python3": "python3.11", **links}
    asked = docker.request(imports=(Import("numpy", "train.py"),))
    builder = DockerBuilder(host=docker.engine.url, image_name="app")
    _, checks = builder.foresee(asked)
    assert [one.ok for one in checks if one.name == "imports"] == [None if lacking else True]
    builder.build(asked)
    assert ("numpy will not travel" in caplog.text) is bool(lacking)
    caplog.clear()
    text = inline("/app/requirements.txt", b"numpy\n")
    builder.build(docker.request(MAIN, text, imports=(Import("numpy", "train.py"),)))
    assert "will not travel" not in caplog.text


def test_what_stands_in_the_way_is_foreseen(docker: Docker, short: Path) -> None:
    builder = DockerBuilder(host=docker.engine.url)
    docker.engine.links = {"/usr/bin/python3": "/usr/bin/python3.9"}
    docker.registry.users["ada"] = "s3cret"
    _, checks = builder.foresee(docker.request(python="3.11"))
    oks = {check.name: check.ok for check in checks}
    assert oks == {"engine": True, "base image": True, "python": False, "push": False}
    docker.engine.images.clear()
    _, checks = builder.foresee(docker.request())
    assert {check.name: check.ok for check in checks}["base image"] is None
    _, checks = builder.foresee(docker.request(MAIN, inline("/Dockerfile", OWN)))
    assert {check.name: check.ok for check in checks}["base image"] is None
    _, checks = DockerBuilder(host=f"unix://{short}/none").foresee(docker.request())
    assert [(check.name, check.ok) for check in checks] == [("engine", False)]
