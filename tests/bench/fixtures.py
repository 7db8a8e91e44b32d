"""Fixtures of the bench. A test that asks for one of a part is a `real` one by that alone.

A part is brought up when the first test asks for it, or shared when it is up; it stays up.
"""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import aws as amazon
from tests.bench import bases, buildah, kaniko, machine, parts, podman, registry
from tests.bench import browser as chromium
from tests.bench.base_pip import LAYOUT as WITH_PIP
from tests.bench.bases import Base
from tests.bench.bench import Bench
from tests.bench.docker import socket_of
from tests.bench.gcs import Buckets, buckets
from tests.bench.google import Google, google
from tests.bench.google_registry import VARIANT
from tests.bench.judges import Judges
from tests.bench.minio import Store, store

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).parents[2]
PARTS = {
    "plain_registry": "registry",
    "basic_registry": "registry-basic",
    "token_registry": "registry-token",
    "cluster_registry": "cluster-registry",
    "cluster_basic_registry": "cluster-registry-basic",
    "cluster_token_registry": "cluster-registry-token",
    "two_name_registry": "registry-two-names",
    "base_python": "bases",
    "base_user": "bases",
    "base_ml": "bases",
    "base_pip": "base-pip",
    "docker_engine": "docker",
    "podman_engine": "podman",
    "cluster": "kubernetes",
    "profile": "kubernetes",
    "kaniko_image": "kaniko",
    "buildah_image": "buildah",
    "minio": "minio",
    "minio_pod": "minio-pod",
    "aws": "aws",
    "gcs": "gcs",
    "gcp": "gcp-metadata",
    "google_registry": "registry-google",
    "browser": "browser",
}
"""Which part a fixture asks for."""


@pytest.hookimpl(tryfirst=True)  # before the mark deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that ask for a part."""
    for item in items:
        if _wanted(item):
            item.add_marker("real")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Brings up all that the chosen tests ask for, side by side, where no test's timeout runs."""
    bench = Bench.here()
    wanted = {name for item in session.items for name in _wanted(item)}
    there = sorted(name for name in wanted if _lacks(bench, name) is None)
    if not there or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    assert capture
    with capture.global_and_fixture_disabled():
        subprocess.run(_command("up", *there), cwd=ROOT, check=False)  # a test tells what failed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names a part that died, with the end of its log, below the test that failed of it."""
    report = yield
    if report.failed:
        for part in sorted(_wanted(item)):
            if dead := Bench.here().processes.dead(part):
                report.sections.append((f"the bench's part {part} died", dead))
    return report


@pytest.fixture(scope="session")
def bench() -> Bench:
    """The bench that tests share."""
    return Bench.here()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, nor another run of this one: for repositories, namespaces."""
    digest = hashlib.sha256(f"{request.node.nodeid}\0{os.urandom(8).hex()}".encode()).hexdigest()
    return f"t-{digest[:10]}"


@pytest.fixture
def plain_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry on plain http."""
    return _registry(bench, "plain_registry", prefix)


@pytest.fixture
def basic_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry with TLS and basic auth."""
    return _registry(bench, "basic_registry", prefix)


@pytest.fixture
def token_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry with TLS and Bearer tokens."""
    return _registry(bench, "token_registry", prefix)


@pytest.fixture
def cluster_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry on plain http; client, nodes and pods call it by one name."""
    return _registry(bench, "cluster_registry", prefix)


@pytest.fixture
def cluster_basic_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry with TLS and basic auth; client, nodes and pods call it by one name."""
    return _registry(bench, "cluster_basic_registry", prefix)


@pytest.fixture
def cluster_token_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry with TLS and Bearer tokens; client, nodes and pods call it by one name."""
    return _registry(bench, "cluster_token_registry", prefix)


@pytest.fixture
def two_name_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry on plain http that nodes know by another name: `node_name`."""
    return _registry(bench, "two_name_registry", prefix)


@pytest.fixture
def base_python(bench: Bench) -> Base:
    """Python 3.11; `base_python.at(plain_registry)` is its name there."""
    return _base(bench, "base_python")


@pytest.fixture
def base_user(bench: Bench) -> Base:
    """`base_python` with a named user (1000) and an entrypoint, as Jupyter's images are."""
    return _base(bench, "base_user")


@pytest.fixture
def base_ml(bench: Bench) -> Base:
    """`base_python` with numpy, scipy and scikit-learn."""
    return _base(bench, "base_ml")


@pytest.fixture
def base_pip(bench: Bench) -> Base:
    """`base_python` with pip, for wheels that an image's build installs."""
    require(bench, PARTS["base_pip"])
    return WITH_PIP.find(bench)["pip"]


@pytest.fixture
def kaniko_image(bench: Bench) -> str:
    """What pods call kaniko's executor; `cluster_registry` has it."""
    require(bench, PARTS["kaniko_image"])
    return kaniko.image(bench)


@pytest.fixture
def buildah_image(bench: Bench) -> str:
    """What pods call an image with buildah; `cluster_registry` has it."""
    require(bench, PARTS["buildah_image"])
    return buildah.image(bench)


@pytest.fixture
def minio(bench: Bench) -> Store:
    """An S3 server, with root's keys; clients and pods call it by one address."""
    require(bench, PARTS["minio"])
    return store(bench)


@pytest.fixture
def aws(bench: Bench) -> amazon.Aws:
    """STS, IAM, ECR with its registry, and S3; clients and pods call them by one address each."""
    require(bench, PARTS["aws"])
    return amazon.found(bench)


@pytest.fixture
def gcs(bench: Bench) -> Buckets:
    """A Cloud Storage, whose `url` wants tokens of `gcp`; pods call it by `pod_url`."""
    require(bench, PARTS["gcs"])
    return buckets(bench)


@pytest.fixture
def gcp(bench: Bench) -> Google:
    """What stands in for Google's metadata server, OAuth, IAM and Artifact Registry's API."""
    require(bench, PARTS["gcp"])
    return google(bench)


@pytest.fixture
def google_registry(bench: Bench, prefix: str) -> registry.Registry:
    """A registry with TLS that takes Google's tokens; client, nodes and pods use one name."""
    require(bench, PARTS["google_registry"])
    return replace(VARIANT.at(bench), prefix=prefix)


@pytest.fixture
def docker_engine(bench: Bench) -> Iterator[DockerClient]:
    """A client of the bench's own Docker engine. It has no bridge: network_mode="host"."""
    yield from _engine(bench, "docker_engine", socket_of(bench))


@pytest.fixture
def podman_engine(bench: Bench) -> Iterator[DockerClient]:
    """A client of the bench's own Podman, by Docker's API. It has no bridge either."""
    yield from _engine(bench, "podman_engine", podman.socket_of(bench))


@pytest.fixture
def judges(bench: Bench, tmp_path: Path) -> Judges:
    """`crane` and `skopeo`, to judge what is in a registry."""
    return Judges(bench, tmp_path / "judges")


@pytest.fixture
def browser(bench: Bench) -> Iterator[chromium.Browser]:
    """A window of a headless Chromium, without a past."""
    require(bench, PARTS["browser"])
    with chromium.window(bench) as found:
        yield found


def require(bench: Bench, part: str) -> None:
    """Brings `part` up or shares it; skips, or fails under FAIRING_BENCH=require, if it can't."""
    if lacks := _lacks(bench, part):
        line = f"the bench's part {part} can't be had here: {lacks}"
        if os.environ.get("FAIRING_BENCH") == "require":
            pytest.fail(f"{line} (FAIRING_BENCH=require)", pytrace=False)
        pytest.skip(line)
    if fault := _up(part):
        pytest.fail(fault, pytrace=False)


@functools.cache
def _up(part: str) -> str:
    """What `up` had to complain of; "" if it is up."""
    done = subprocess.run(
        _command("up", part), cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False
    )
    return done.stderr if done.returncode else ""


@functools.cache
def _lacks(bench: Bench, part: str) -> str | None:
    for each in parts.named((part,)):
        if lacks := machine.lacks(bench, each):
            return lacks
    return None


def _registry(bench: Bench, fixture: str, prefix: str) -> registry.Registry:
    part = PARTS[fixture]
    require(bench, part)
    return replace(registry.named(part).at(bench), prefix=prefix)


def _engine(bench: Bench, fixture: str, path: Path) -> Iterator[DockerClient]:
    import docker

    require(bench, PARTS[fixture])
    client = docker.DockerClient(base_url=f"unix://{path}", timeout=60)
    yield client
    client.close()


def _base(bench: Bench, fixture: str) -> Base:
    require(bench, PARTS[fixture])
    return bases.LAYOUT.find(bench)[fixture.removeprefix("base_")]


def _wanted(item: pytest.Item) -> set[str]:
    names = [*getattr(item, "fixturenames", ())]
    if spec := getattr(item, "callspec", None):  # a fixture that is chosen by its name
        names += [each for each in spec.params.values() if isinstance(each, str)]
    return {PARTS[name] for name in names if name in PARTS}


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.bench", *arguments]
