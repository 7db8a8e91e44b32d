"""Pods run images of the bench's registries, by the credentials of a pull secret."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.bench.judges import Judges
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry

PULL = {"imagePullPolicy": "Always"}


@pytest.fixture
def files() -> dict[str, bytes]:
    """One static program, which is enough of a root file system."""
    return {"bin/busybox": Path("/bin/busybox").read_bytes()}


def secret(cluster: Cluster, registry: Registry, user: str) -> dict[str, Any]:
    config = base64.b64encode(registry.docker_config(user).encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull", "namespace": cluster.namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": config},
    }


def test_a_pod_of_the_plain_registry_runs_and_logs(
    cluster: Cluster, cluster_registry: Registry, judges: Judges, files: dict[str, bytes]
) -> None:
    image = cluster_registry.image("hello:1")
    judges.push(cluster_registry, image, files, "/bin/busybox")
    pod = cluster.pod("hello", "/bin/busybox", "echo", "hello", image=image, container=PULL)
    assert cluster.run(pod) == "hello\n"


@pytest.mark.parametrize("fixture", ["cluster_basic_registry", "cluster_token_registry"])
@pytest.mark.real
def test_a_pod_of_a_guarded_registry_runs_by_a_pull_secret(
    fixture: str,
    request: pytest.FixtureRequest,
    cluster: Cluster,
    judges: Judges,
    files: dict[str, bytes],
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    image = registry.image("hello:1")
    judges.push(registry, image, files, "/bin/busybox", user="pusher")
    cluster.apply(secret(cluster, registry, "reader"))
    pod = cluster.pod(
        "hello",
        "/bin/busybox",
        "echo",
        "hello",
        image=image,
        container=PULL,
        imagePullSecrets=[{"name": "pull"}],
    )
    assert cluster.run(pod) == "hello\n"


@pytest.mark.parametrize("fixture", ["cluster_basic_registry", "cluster_token_registry"])
@pytest.mark.real
def test_without_a_pull_secret_a_pod_waits(
    fixture: str,
    request: pytest.FixtureRequest,
    cluster: Cluster,
    judges: Judges,
    files: dict[str, bytes],
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    image = registry.image("hello:1")
    judges.push(registry, image, files, "/bin/busybox", user="pusher")
    cluster.apply(cluster.pod("hello", "/bin/busybox", "true", image=image, container=PULL))

    def ask() -> str | None:
        statuses = cluster.get("pod", "hello")["status"].get("containerStatuses", [])
        reasons = [each["state"].get("waiting", {}).get("reason") for each in statuses]
        return None if set(reasons) & {"ErrImagePull", "ImagePullBackOff"} else f"{reasons}"

    cluster.bench.wait(ask, seconds=30, what="the refusal")


def test_a_pod_runs_an_image_that_clients_know_by_another_name(
    cluster: Cluster, two_name_registry: Registry, judges: Judges, files: dict[str, bytes]
) -> None:
    image = two_name_registry.image("hello:1")
    judges.push(two_name_registry, image, files, "/bin/busybox")
    there = image.replace(two_name_registry.name, two_name_registry.node_name)
    pod = cluster.pod("hello", "/bin/busybox", "echo", "hello", image=there, container=PULL)
    assert cluster.run(pod) == "hello\n"


def test_a_pod_mounts_an_image_as_a_volume(
    cluster: Cluster, cluster_registry: Registry, judges: Judges
) -> None:
    image = cluster_registry.image("model:1")
    judges.push(cluster_registry, image, {"weights": b"1 2 3\n"})
    volume = {"name": "model", "image": {"reference": image, "pullPolicy": "Always"}}
    mount = {"volumeMounts": [{"name": "model", "mountPath": "/model"}]}
    command = ("busybox", "cat", "/model/weights")
    pod = cluster.pod("reads", *command, container=mount, volumes=[volume])
    assert cluster.run(pod) == "1 2 3\n"
