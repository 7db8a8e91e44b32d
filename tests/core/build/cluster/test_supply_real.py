"""How a context travels: by a Secret, by stdin, by a store; and one that breaks off."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairing_core.types import ContextFile
from tests.bench.bases import Base
from tests.bench.minio import Store
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import ENGINES, MAIN, ClusterBuilds, own
from tests.core.build.cluster.store import S3
from tests.core.build.harness import inline, on_disk
from tests.core.build.test_append_real import PEAK
from tests.core.cluster.conftest import Wire

LARGE = 30 << 20
SUM = b"import hashlib\nprint(hashlib.sha256(open('/app/large', 'rb').read()).hexdigest())"


def large(tmp_path: Path) -> list[ContextFile]:
    """Files that no compression makes small, and a program that tells their digest."""
    content = on_disk(tmp_path / "large", "/app/large", os.urandom(LARGE))
    return [content, inline("/app/main.py", SUM)]


def digest(tmp_path: Path) -> str:
    return hashlib.sha256((tmp_path / "large").read_bytes()).hexdigest() + "\n"


@pytest.mark.parametrize("engine", ENGINES)
def test_a_small_one_travels_in_a_secret(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    built = builds(builds.at(cluster_registry), MAIN, base=base, engine=engine)
    assert builds.runs(built) == (0, "said\n")
    assert [told["way"] for told in builds.told("supplying")] == ["a Secret of the build's own"]
    assert builds.left() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_a_large_one_travels_by_stdin(
    engine: str, builds: ClusterBuilds, cluster_registry: Registry, base: str, tmp_path: Path
) -> None:
    files = large(tmp_path)
    built = builds(builds.at(cluster_registry), *files, base=base, engine=engine)
    assert builds.runs(built) == (0, digest(tmp_path))
    assert "stdin" in str(builds.told("supplying"))
    last = builds.told("uploading")[-1]
    assert last["sent"] == last["total"] > LARGE
    assert builds.left() == []


@pytest.mark.parametrize("where", ["minio", "minio_pod"])
def test_kaniko_reads_the_store_by_itself(
    where: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    prefix: str,
) -> None:
    store: Store = request.getfixturevalue(where)
    store.client().create_bucket(Bucket=prefix)
    builds.storage = s3 = S3(store, store, prefix)
    files = large(tmp_path)
    built = builds(builds.at(cluster_registry), *files, base=base)
    assert builds.runs(built) == (0, digest(tmp_path))
    assert s3.asked == {"stat": 1, "put": 1}
    assert builds(builds.at(cluster_registry), *files, base=base).image.startswith(built.image[:40])
    assert s3.asked == {"stat": 2, "put": 1}  # unchanged: one HEAD
    assert builds.told("stored")[-1]["sent"] == 0
    assert builds.left() == []


def test_buildah_gets_it_by_a_signed_url(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, tmp_path: Path, s3: S3
) -> None:
    builds.storage = s3
    built = builds(builds.at(cluster_registry), *large(tmp_path), base=base, engine="buildah")
    assert builds.runs(built) == (0, digest(tmp_path))
    assert "X-Amz-Signature" not in str(builds.build.events)


def test_two_builds_of_one_context_at_once(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, tmp_path: Path, s3: S3
) -> None:
    builds.storage = s3
    target, files = builds.at(cluster_registry), large(tmp_path)
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(builds, target, *files, base=base) for _ in range(2)]
        found = [one.result(timeout=100) for one in made]
    for built in found:
        assert builds.runs(built) == (0, digest(tmp_path))
    assert builds.left() == []


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("way", ["secret", "store"])
def test_the_archive_itself_is_not_in_the_image(
    way: str,
    engine: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    s3: S3,
) -> None:
    builds.storage = s3 if way == "store" else None
    code = "import json, os; print(json.dumps(sorted([sorted(f) for _, _, f in os.walk('/x')])))"
    mine = own(base, "COPY . /x", f"CMD {json.dumps(['python3', '-c', code])}")
    built = builds(builds.at(cluster_registry), MAIN, mine, base=base, engine=engine)
    assert json.loads(builds.runs(built)[1]) == [["Dockerfile"], ["main.py"]]


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_breaks_off(
    engine: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    tmp_path: Path,
) -> None:
    wire = Wire(builds.cluster.server, builds.config, tmp_path)
    report = builds.build.report

    def cut(name: str, /, **fields: Any) -> None:
        report(name, **fields)
        if name == "uploading" and fields["sent"] > 8 << 20:
            wire.break_off()

    builds.build.report = cut  # type: ignore[method-assign]
    builds.config = wire.config
    target = builds.at(cluster_registry)
    try:
        builds.fails("context-cut", target, *large(tmp_path), base=base, engine=engine)
    finally:
        wire.close()


def test_a_store_of_ones_own_comes_first(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    builds.storage = S3(s3.store, s3.reader, "unused")
    target = builds.at(cluster_registry)
    builds(target, MAIN, base=base, context_source=replace(s3))
    assert not builds.storage.asked


@pytest.mark.parametrize("engine", ENGINES)
def test_the_users_own_dockerfile_wins(
    engine: str,
    builds: ClusterBuilds,
    cluster_registry: Registry,
    base: str,
    base_user: Base,
    tmp_path: Path,
) -> None:
    target = builds.at(cluster_registry)
    told = ["USER 77", "COPY app/ /app/", 'CMD ["cat", "/etc/who"]']
    there = own(base_user.at(cluster_registry), "USER 0", "RUN echo there > /etc/who", *told)
    built = builds(target, MAIN, there, base=base, engine=engine)
    assert (built.uid, built.gid) == (77, 0)
    assert builds.runs(built) == (0, "there\n")
    path = tmp_path / "My.Dockerfile"
    path.write_text(f"FROM {base}\nRUN echo mine > /etc/who\n" + "\n".join(told))
    built = builds(target, MAIN, there, base=base, engine=engine, dockerfile_path=path)
    assert builds.runs(built) == (0, "mine\n")


def test_a_step_may_set_owners_ids_and_capabilities(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    code = (
        "import os, struct; os.mkdir('/x'); os.chown('/x', 7, 8); os.chmod('/x', 0o2755); "
        "open('/x/cap', 'w'); os.setxattr('/x/cap', 'security.capability', "
        "struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0)); os.setgid(9); os.setuid(9); "
        "assert os.getuid() == 9"
    )
    show = (
        "import os; s = os.stat('/x'); "
        "print(oct(s.st_mode), s.st_uid, s.st_gid, 'security.capability' in os.listxattr('/x/cap'))"
    )
    show = json.dumps(["python3", "-c", show])
    mine = own(base, f"RUN {json.dumps(['python3', '-c', code])}", f"CMD {show}")
    built = builds(builds.at(cluster_registry), mine, base=base)
    assert builds.runs(built) == (0, "0o42755 7 8 True\n")


def test_kaniko_keeps_layers_for_the_next_build(
    builds: ClusterBuilds, cluster_registry: Registry, base: str
) -> None:
    target = builds.at(cluster_registry)
    mine = own(base, 'RUN ["python3", "-c", "print(6 * 7)"]')
    for _ in range(2):
        builds.build.events.clear()
        built = builds(target, MAIN, mine, base=base, cache_repo=f"{target}/cache")
    assert "Using caching version of cmd: RUN" in builds.log
    assert built.python is None


def test_what_is_foreseen_is_what_is_built(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, s3: S3
) -> None:
    target = builds.at(cluster_registry)
    for storage in (None, s3):
        builds.storage = storage
        before, checks = builds.foresee(target, MAIN, base=base)
        found = {check.name: check for check in checks}
        names = ["base image", "user", "push", "context", "build rights", "build job"]
        assert [name for name in [*names, "build admission"] if not found[name].ok] == []
        assert found["engine"].ok is None
        assert builds.there() == []
        built = builds(target, MAIN, base=base)
        assert before.image.rpartition(":")[0] == built.image.partition("@")[0]
        assert (before.uid, before.gid) == (built.uid, built.gid)
    assert s3.asked == {"stat": 2, "put": 1}
    level = "pod-security.kubernetes.io/enforce=restricted"
    builds.bench.kubectl("label", "namespace", builds.bench.namespace, level)
    refused = [check for check in builds.foresee(target, MAIN, base=base)[1] if check.ok is False]
    assert [check.name for check in refused] == ["build admission"]


BUILD = """
import json, sys
from pathlib import Path
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.cluster.client import Cluster
from fairing_core.types import BuildContext, BuildRequest, ContextFile, RegistryAccess
told = json.loads(sys.argv[1])
path = Path(told["path"])
file = ContextFile("/app/data", path, size=path.stat().st_size)
context = BuildContext((file,), ("true",), digest="sha256:" + "0" * 64)
request = BuildRequest(
    context,
    base_image=told["base"],
    registry=told["target"],
    registries={told["host"]: RegistryAccess(plain_http=True)},
)
cluster = Cluster(config_file=told["config"], namespace=told["namespace"])
print(ClusterBuilder(cluster, engine_image=told["image"]).build(request).image)
"""


@pytest.mark.timeout(400)
def test_memory_does_not_grow_with_the_context(
    builds: ClusterBuilds, cluster_registry: Registry, base: str, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    with open(path, "wb") as file:
        for _ in range(256):
            file.write(os.urandom(1 << 20))
    told = {
        "path": str(path),
        "base": base,
        "target": builds.at(cluster_registry),
        "host": cluster_registry.name,
        "config": str(builds.config),
        "namespace": builds.bench.namespace,
        "image": builds.images["kaniko"],
    }
    done = subprocess.run(
        [sys.executable, "-c", PEAK + BUILD, json.dumps(told)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) * 1024 < 150e6
