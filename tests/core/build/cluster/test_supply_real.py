"""How a context travels: by a Secret, by stdin, by a store; and one that breaks off."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairing_core.types import ContextFile
from tests.bench.minio import Store
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import ENGINES, MAIN, ClusterBuilds, own
from tests.core.build.cluster.store import S3
from tests.core.build.harness import inline, on_disk
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
