"""A container of a Docker engine and a pod do what the program does in process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairing_core.build.append import AppendBuilder
from fairing_core.types import BuildRequest, RegistryAccess
from tests.bench.bench import Bench
from tests.bench.docker import socket_of
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab
from tests.core.fidelity import columns, engine
from tests.core.fidelity.differences import compared
from tests.core.fidelity.scenarios import SCENARIOS

if TYPE_CHECKING:
    from docker import DockerClient

BY_BUILDERS = (
    "script looks",
    "function fails: cause",
    "notebook fails: own",
)  # a build in the cluster takes its time


@pytest.fixture
def place(
    lab: Lab,
    project: Path,
    tmp_path: Path,
    cluster_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What leads from the project to the bench's cluster."""
    (project / "pyproject.toml").write_text(
        f"[tool.fairing.registries.'{cluster_registry.name}']\nplain_http = true\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(lab.config))
    for name in ("CACHE", "ARTIFACTS"):
        monkeypatch.setenv(f"FAIRING_{name}", str(tmp_path / name))
    return {
        "backend": "kubernetes",
        "backend_options": {"namespace": lab.namespace},
        "base_docker_image": lab.image,
        "docker_registry": f"{cluster_registry.name}/{cluster_registry.prefix}",
    }


@pytest.mark.timeout(300)
def test_a_container_does_what_the_program_does_in_process(
    place: dict[str, Any],
    project: Path,
    work: Any,
    cluster_registry: Registry,
    docker_engine: DockerClient,
) -> None:
    faults = []
    for scenario in SCENARIOS:
        context = columns.packer(scenario).preprocess(columns.source(scenario, project, work))
        request = BuildRequest(
            context,
            base_image=place["base_docker_image"],
            registry=place["docker_registry"],
            registries={cluster_registry.name: RegistryAccess(plain_http=True)},
        )
        image = AppendBuilder(image_name="app").build(request).image
        seen = engine.ran(docker_engine, image, context, scenario)
        reference = columns.in_process(scenario, project)
        faults += compared("docker", scenario, reference, seen)
    assert faults == []


@pytest.mark.timeout(300)
def test_a_pod_does_what_the_program_does_in_process(
    place: dict[str, Any], project: Path, work: Any
) -> None:
    runs = {one.name: columns.submitted(one, project, work, **place) for one in SCENARIOS}
    faults = []
    for scenario in SCENARIOS:
        reference = columns.in_process(scenario, project)
        seen = columns.seen(scenario, runs[scenario.name], "/app")
        faults += compared("pod", scenario, reference, seen)
    assert faults == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("builder", ["docker", "cluster"])
def test_it_does_so_whichever_builder_made_the_image(
    builder: str,
    place: dict[str, Any],
    project: Path,
    work: Any,
    bench: Bench,
    docker_engine: DockerClient,
    kaniko_image: str,
) -> None:
    options = {
        "docker": {"host": f"unix://{socket_of(bench)}", "network": "host"},
        "cluster": {"engine": "kaniko", "engine_image": kaniko_image},
    }
    where = {**place, "builder": builder, "builder_options": options[builder]}
    chosen = [one for one in SCENARIOS if one.name in BY_BUILDERS]
    runs = {one.name: columns.submitted(one, project, work, **where) for one in chosen}
    for scenario in chosen:
        reference = columns.in_process(scenario, project)
        seen = columns.seen(scenario, runs[scenario.name], "/app")
        assert compared("pod", scenario, reference, seen) == [], scenario.name
