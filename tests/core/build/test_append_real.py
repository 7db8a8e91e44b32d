"""Images made on real bases and in real registries: judged by crane and skopeo, and run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairing_core import errors
from fairing_core.types import RegistryAccess
from tests.bench import bases
from tests.bench.bases import Base
from tests.bench.judges import Judges
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry
from tests.core.build.conftest import Builds
from tests.core.build.harness import inline, on_disk

if TYPE_CHECKING:
    from docker import DockerClient

PROGRAM = f"""
import os, pathlib, json
here = pathlib.Path(__file__).parent
(here / "out.txt").write_text("beside")
(here / "sub" / "out.txt").write_text("below")
(here / "new").mkdir()
print(json.dumps([os.getuid(), os.getgid(), os.getcwd(), os.environ.get("{bases.STARTED}"),
    os.environ["PATH"].count("/usr/bin")]))
""".encode()
FILES = (inline("/app/main.py", PROGRAM), inline("/app/sub/data"))
PULL = {"imagePullPolicy": "Always"}


@pytest.fixture
def at(build: Builds) -> Callable[[Registry], str]:
    """Tells the builder how a registry of the bench is reached, and gives its name."""

    def told(registry: Registry, user: str = "pusher") -> str:
        build.access[registry.name] = RegistryAccess(plain_http=registry.ca is None, ca=registry.ca)
        if registry.users and user:
            build.login(registry.name, user, registry.users[user])
        return f"{registry.name}/{registry.prefix}"

    return told


def table(judges: Judges, registry: Registry, command: str, image: str, user: str = "") -> Any:
    return json.loads(judges.crane(registry, command, image, user=user))


def judge(judges: Judges, registry: Registry, image: str, user: str = "") -> Any:
    """What an image's config says, once both judges are content."""
    judges.crane(registry, "validate", "--remote", image, user=user)
    told = table(judges, registry, "manifest", image, user)
    if told["config"]["mediaType"].endswith("v1+json"):
        words = ("--override-arch", "amd64", "inspect", f"docker://{image}")
        inspected = json.loads(judges.skopeo(registry, *words[2:], user=user))
        assert inspected["Digest"] == image.rpartition("@")[2]
        assert len(inspected["Layers"]) == len(told["layers"])
    return table(judges, registry, "config", image, user)


# --- bases of every kind --------------------------------------------------------------------------

KINDS = ("oci", "docker", "many layers", "index", "user")
RUNS = {"user": [1000, 100, "/app", "yes", 1]}


def base_of(kind: str, registry: Registry, judges: Judges, request: Any) -> str:
    """The name of a base of that kind in the registry."""
    plain: str = request.getfixturevalue("base_python").at(registry)
    mine = registry.image("base:1")
    if kind == "user":
        base: Base = request.getfixturevalue("base_user")
        return base.at(registry)
    if kind == "docker":
        words = ["--format=v2s2", "--src-tls-verify=false", "--dest-tls-verify=false"]
        command = ["skopeo", "copy", "-q", *words, f"docker://{plain}", f"docker://{mine}"]
        subprocess.run(command, check=True, timeout=60)
        assert "docker" in table(judges, registry, "manifest", mine)["mediaType"]
        return mine
    if kind == "many layers":
        judges.folder.mkdir(exist_ok=True)
        words = []
        for count in range(12):
            path = judges.folder / f"{count}.tar"
            with tarfile.open(path, "w") as tar:
                entry = tarfile.TarInfo(f"opt/{count}")
                tar.addfile(entry, io.BytesIO())
            words += ["-f", str(path)]
        judges.crane(registry, "append", "-b", plain, *words, "-t", mine)
        return mine
    if kind == "index":
        entries = []
        for platform in ("linux/arm64", "unknown/unknown"):
            name = registry.image(f"base:{platform.replace('/', '-')}")
            judges.crane(registry, "mutate", plain, "--set-platform", platform, "-t", name)
            entries += ["-m", name]
        judges.crane(registry, "index", "append", *entries, "-m", plain, "-t", mine)
        assert len(table(judges, registry, "manifest", mine)["manifests"]) == 3
        return mine
    return plain


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_runs_the_image(
    kind: str,
    build: Builds,
    at: Any,
    cluster: Cluster,
    cluster_registry: Registry,
    judges: Judges,
    base_python: Base,
    base_user: Base,
    request: pytest.FixtureRequest,
) -> None:
    base = base_of(kind, cluster_registry, judges, request)
    built = build(at(cluster_registry), *FILES, base=base)
    judge(judges, cluster_registry, built.image)
    pod = cluster.pod("runs", image=built.image, container=PULL)
    del pod["spec"]["containers"][0]["command"]
    assert json.loads(cluster.run(pod)) == RUNS.get(kind, [0, 0, "/app", None, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_docker_engine_runs_the_image(
    kind: str,
    build: Builds,
    at: Any,
    docker_engine: DockerClient,
    plain_registry: Registry,
    judges: Judges,
    base_python: Base,
    base_user: Base,
    request: pytest.FixtureRequest,
) -> None:
    base = base_of(kind, plain_registry, judges, request)
    built = build(at(plain_registry), *FILES, base=base)
    judge(judges, plain_registry, built.image)
    said = docker_engine.containers.run(built.image, network_mode="host", remove=True)
    docker_engine.images.remove(built.image)
    assert json.loads(said) == RUNS.get(kind, [0, 0, "/app", None, 1])


@pytest.mark.parametrize(
    ("user", "owner"), [("1234", [1234, 0]), ("1234:5678", [1234, 5678]), ("jovyan", [1000, 100])]
)
def test_a_program_writes_beside_itself_whoever_it_runs_as(
    user: str,
    owner: list[int],
    build: Builds,
    at: Any,
    docker_engine: DockerClient,
    plain_registry: Registry,
    base_user: Base,
) -> None:
    built = build(at(plain_registry), *FILES, base=base_user.at(plain_registry), user=user)
    said = docker_engine.containers.run(built.image, network_mode="host", remove=True)
    docker_engine.images.remove(built.image)
    assert json.loads(said)[:2] == owner


def test_a_pod_writes_beside_itself_as_a_number(
    build: Builds,
    at: Any,
    cluster: Cluster,
    cluster_registry: Registry,
    base_user: Base,
) -> None:
    target = at(cluster_registry)
    built = build(target, *FILES, base=base_user.at(cluster_registry), user="1234:5678")
    forbidden = {**PULL, "securityContext": {"runAsNonRoot": True}}
    pod = cluster.pod("runs", image=built.image, container=forbidden)
    del pod["spec"]["containers"][0]["command"]
    assert json.loads(cluster.run(pod))[0] == 1234  # the kubelet drops an image's group


def test_the_base_is_kept(
    build: Builds, at: Any, plain_registry: Registry, judges: Judges, base_user: Base
) -> None:
    base = base_user.at(plain_registry)
    before = judges.crane(plain_registry, "manifest", base)
    built = build(at(plain_registry), *FILES, base=base)
    assert judges.crane(plain_registry, "manifest", base) == before
    old = table(judges, plain_registry, "config", base)
    new = judge(judges, plain_registry, built.image)
    changed = {"Cmd": ["python3", "/app/main.py"], "WorkingDir": "/app"}
    assert new["config"] == {**old["config"], **changed}
    assert new["rootfs"]["diff_ids"][:-1] == old["rootfs"]["diff_ids"]
    layers = table(judges, plain_registry, "manifest", built.image)["layers"]
    assert layers[:-1] == json.loads(before)["layers"]


def test_another_platform_is_judged(
    build: Builds,
    at: Any,
    plain_registry: Registry,
    judges: Judges,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    base = base_of("index", plain_registry, judges, request)
    built = build(at(plain_registry), *FILES, base=base, platform="linux/arm64")
    assert judge(judges, plain_registry, built.image)["architecture"] == "arm64"


# --- registries of every kind ---------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("fixture", ["plain_registry", "basic_registry", "token_registry"])
def test_an_image_is_pushed_and_changed(
    fixture: str,
    build: Builds,
    at: Any,
    judges: Judges,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    user = "pusher" if registry.users else ""
    target, base = at(registry), base_python.at(registry)
    big = inline("/app/big", os.urandom(8 << 20))
    for files in (FILES, (*FILES, big), (*FILES, inline("/app/more"))):
        judge(judges, registry, build(target, *files, base=base).image, user)
    assert build.traffic["copied"] == 0


@pytest.mark.real
@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
@pytest.mark.parametrize("who", ["reader", "nobody", "wrong"])
def test_who_may_not_is_denied(
    fixture: str,
    who: str,
    build: Builds,
    at: Any,
    base_python: Base,
    request: pytest.FixtureRequest,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    target = at(registry, "reader" if who == "reader" else "")
    if fixture == "basic_registry" and who == "reader":
        return  # that registry tells no rights apart
    if who == "wrong":
        build.login(registry.name, "pusher", "wr0ng")
    with pytest.raises(errors.RegistryDenied) as caught:
        build(target, *FILES, base=base_python.at(registry))
    assert caught.value.host == registry.name
    assert caught.value.status in (401, 403)
    assert not any(
        password in str(caught.value) for password in ("wr0ng", *registry.users.values())
    )


def test_an_unknown_authority_is_not_trusted(
    build: Builds, at: Any, basic_registry: Registry, base_python: Base
) -> None:
    target = at(basic_registry)
    build.access.clear()
    with pytest.raises(errors.UntrustedRegistry, match=r"\] ca"):
        build(target, *FILES, base=base_python.at(basic_registry))


@pytest.mark.real
@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
def test_a_base_of_another_registry_is_copied_once_and_mounted_then(
    fixture: str,
    build: Builds,
    at: Any,
    plain_registry: Registry,
    judges: Judges,
    base_user: Base,
    request: pytest.FixtureRequest,
) -> None:
    source: Registry = request.getfixturevalue(fixture)
    at(source)
    target, base = at(plain_registry), base_user.at(source)
    first = build(target, *FILES, base=base)
    assert build.traffic["copied"] == 2
    second = build(target, *FILES, base=base, image_name="other")
    assert (build.traffic["copied"], build.traffic["mounted"]) == (0, 2)
    for each in (first, second):
        judge(judges, plain_registry, each.image)


def test_a_layout_is_taken_by_others(
    build: Builds,
    at: Any,
    plain_registry: Registry,
    judges: Judges,
    base_user: Base,
    tmp_path: Path,
) -> None:
    at(plain_registry)
    out, base = tmp_path / "out", base_user.at(plain_registry)
    built = build(plain_registry.name, *FILES, base=base, push=False, output=out, tag="v1")
    image = plain_registry.image("copied:v1")
    # Or it takes other bytes of a layer, which some engine of this machine is known to have pushed.
    as_it_is = "--preserve-digests"
    judges.skopeo(plain_registry, "copy", as_it_is, f"oci:{out}:v1", f"docker://{image}")
    digest = judges.crane(plain_registry, "digest", image)
    assert digest == built.image.rpartition("@")[2]
    judges.crane(plain_registry, "validate", "--remote", image)


# --- the same everywhere, of any size -------------------------------------------------------------


def command(
    folder: Path, registry: Registry, base: Base, *, before: str = "", **environ: str
) -> tuple[str, Any]:
    """Builds a folder by a new process; the image's digest, and what `before` printed."""
    code = f"import sys\n{before}\nfrom fairing_core.cli import main\nmain()"
    words = ["build", str(folder), "-b", base.at(registry), "-t", registry.image("app")]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1], done.stderr


def test_the_same_input_gives_the_same_digest_everywhere(
    build: Builds, at: Any, plain_registry: Registry, base_python: Base, tmp_path: Path
) -> None:
    found = set()
    for count, (umask, locale) in enumerate(((0o022, "C"), (0o077, "C.UTF-8"), (0o002, "tr_TR"))):
        before = os.umask(umask)
        try:
            folder = tmp_path / f"folder{count}"
            for name in ("main.py", "b/ü.txt", "a/İ.txt", "a/i.txt")[:: 1 if count else -1]:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(name)
                path.chmod(0o644)
                os.utime(path, (86_400 * count, 86_400 * count))
            environ = {
                "LC_ALL": locale,
                "TZ": f"UTC{count}",
                "FAIRING_CACHE": str(tmp_path / locale),
            }
            environ["PYTHONHASHSEED"] = str(count)
            image, _ = command(folder, plain_registry, base_python, **environ)
            found.add(image)
        finally:
            os.umask(before)
    assert len(found) == 1


def test_across_codecs_the_content_is_the_same(
    build: Builds,
    plain_registry: Registry,
    judges: Judges,
    base_python: Base,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text("print(1)\n" * 200_000)
    (folder / "data").write_bytes(os.urandom(3 << 20) + bytes(3 << 20))
    one, _ = command(folder, plain_registry, base_python)
    without = "sys.modules['isal'] = None"
    two, _ = command(
        folder, plain_registry, base_python, before=without, FAIRING_CACHE=str(tmp_path / "c")
    )
    assert one != two
    ids = [judge(judges, plain_registry, each)["rootfs"]["diff_ids"] for each in (one, two)]
    assert ids[0] == ids[1]


# Not getrusage: its peak begins with that of the process which started this one.
PEAK = """
import atexit, re
from pathlib import Path
def peak():
    print(re.search("VmHWM:(.*) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
atexit.register(peak)
"""


def test_memory_does_not_grow_with_the_layer(
    build: Builds, plain_registry: Registry, base_python: Base, judges: Judges, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").write_text("")
    with open(folder / "data", "wb") as file:
        block = os.urandom(1 << 20)
        for count in range(200):
            file.write(bytes([count]) + block[1:])
        file.truncate(1 << 30)
    image, told = command(folder, plain_registry, base_python, before=PEAK)
    peak = int(told.split()[-1]) * 1024
    assert peak < 80e6
    judges.crane(plain_registry, "manifest", image)


@pytest.mark.timeout(300)
def test_a_sparse_file_of_9_gib_is_packed(
    build: Builds, at: Any, plain_registry: Registry, base_python: Base, tmp_path: Path
) -> None:
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(9 << 30)
    from fairing_core.types import ContextFile

    file_of = ContextFile("/app/sparse", path, size=9 << 30)
    began = time.monotonic()
    built = build(at(plain_registry), *FILES, file_of, base=base_python.at(plain_registry))
    assert time.monotonic() - began < 240
    assert built.image


def test_100_000_files_are_packed(
    build: Builds,
    at: Any,
    plain_registry: Registry,
    base_python: Base,
    judges: Judges,
    tmp_path: Path,
) -> None:
    files = [
        on_disk(tmp_path / f"{count // 1000}" / f"{count}", f"/app/d{count // 1000}/{count}", b"x")
        for count in range(100_000)
    ]
    built = build(at(plain_registry), *files, base=base_python.at(plain_registry))
    judge(judges, plain_registry, built.image)
