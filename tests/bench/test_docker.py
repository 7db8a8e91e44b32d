"""The bench's own Docker engine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.judges import Judges
from tests.bench.registry import Registry

if TYPE_CHECKING:
    from docker import DockerClient


@pytest.fixture
def busybox() -> bytes:
    """One static program, which is enough of a root file system."""
    found = shutil.which("busybox")
    assert found
    return Path(found).read_bytes()


def test_it_runs_an_image_of_the_registry(
    docker_engine: DockerClient, plain_registry: Registry, judges: Judges, busybox: bytes
) -> None:
    image = plain_registry.image("hello:1")
    digest = judges.push(plain_registry, image, {"bin/busybox": busybox}, "/bin/busybox")
    pulled = docker_engine.images.pull(image)
    assert pulled.attrs["RepoDigests"] == [f"{image.removesuffix(':1')}@{digest}"]
    said = docker_engine.containers.run(image, ["echo", "hello"], network_mode="host", remove=True)
    assert said == b"hello\n"
    docker_engine.images.remove(image)


def test_it_is_not_the_machines_own(docker_engine: DockerClient, tmp_path: Path) -> None:
    told = docker_engine.info()
    assert "/parts/docker/" in told["DockerRootDir"]
    assert docker_engine.networks.list(names=["bridge"]) == []
