"""The bench's own Podman, by Docker's API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench import tiny
from tests.bench.bases import Base
from tests.bench.judges import Judges
from tests.bench.registry import Registry

if TYPE_CHECKING:
    from docker import DockerClient


@pytest.mark.parametrize("fixture", ["plain_registry", "cluster_registry"])
def test_what_it_builds_is_pushed_and_runs(
    fixture: str,
    request: pytest.FixtureRequest,
    podman_engine: DockerClient,
    judges: Judges,
    base_pip: Base,
    tmp_path: Path,
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    for name, content in tiny.context(base_pip.at(registry)).items():
        (tmp_path / name).write_bytes(content)
    image = registry.image("podman:1")
    podman_engine.images.build(path=str(tmp_path), tag=image)
    pushed = podman_engine.images.push(image)
    assert judges.crane(registry, "digest", image) in pushed
    said = podman_engine.containers.run(image, network_mode="host", remove=True)
    assert said == f"{tiny.SAYS}\n".encode()
    podman_engine.images.remove(image, force=True)


def test_it_is_not_the_machine_s_own(podman_engine: DockerClient) -> None:
    told = podman_engine.info()
    assert "/parts/podman/" in told["DockerRootDir"]
    components = podman_engine.version()["Components"]
    assert "Podman Engine" in [each["Name"] for each in components]
