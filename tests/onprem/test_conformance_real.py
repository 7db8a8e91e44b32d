"""Runs on a cluster of one's own: from a private registry, by any of its names."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairing_core import TrainJob
from fairing_core.testing import BackendConformance
from fairing_onprem import OnPremBackend
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.registry import Registry

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]


@pytest.fixture
def private(
    cluster_basic_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A registry that nobody pulls from without a login, and the user's login for it."""
    file = tmp_path / "auth.json"
    file.write_text(cluster_basic_registry.docker_config("pusher"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    return cluster_basic_registry


def options(cluster: Cluster, registry: Registry, base: Base) -> dict[str, Any]:
    return {
        "kubeconfig": str(cluster.admin),
        "namespace": cluster.namespace,
        "image_registry": registry.image("ml"),
        "base_image": base.at(registry),
        **({"ca": str(registry.ca)} if registry.ca else {"plain_http": True}),
    }


class TestOnPrem(BackendConformance):
    backend = "onprem"
    timeout = 90.0
    options: Mapping[str, Any]  # type: ignore[misc]

    @pytest.fixture(autouse=True)
    def _on_the_bench(
        self,
        cluster: Cluster,
        private: Registry,
        base_python: Base,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.options = options(cluster, private, base_python)
        for name in ("kubeconfig", "namespace"):  # what other processes find runs by
            monkeypatch.setenv(f"FAIRING_ONPREM__{name.upper()}", self.options[name])


def test_the_pull_secret_is_the_runs_own_and_holds_one_login(
    cluster: Cluster, private: Registry, base_python: Base
) -> None:
    backend = OnPremBackend(**_made(options(cluster, private, base_python)))
    run = TrainJob(len, args=("four",), backend=backend).submit()
    assert run.result(timeout=90) == 4
    (secret,) = json.loads(cluster.kubectl("get", "secrets", "--output=json"))["items"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert [owner["name"] for owner in secret["metadata"]["ownerReferences"]] == [run.name]
    told = cluster.kubectl("get", "jobs,pods,events", "--output=json")
    assert private.users["pusher"] not in told
    run.delete()


def test_a_named_pull_secret_is_used_and_none_is_made(
    cluster: Cluster, private: Registry, base_python: Base
) -> None:
    config = private.docker_config("reader")
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "lab-pull", "namespace": cluster.namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config},
        }
    )
    settings = _made(options(cluster, private, base_python))
    run = TrainJob(
        len, args=("four",), backend=OnPremBackend(**settings, pull_secret="lab-pull")
    ).submit()
    assert run.result(timeout=90) == 4
    (secret,) = json.loads(cluster.kubectl("get", "secrets", "--output=json"))["items"]
    assert secret["metadata"]["name"] == "lab-pull"
    run.delete()


def test_nodes_pull_by_their_own_name_of_the_registry(
    cluster: Cluster, two_name_registry: Registry, base_python: Base
) -> None:
    settings = _made(options(cluster, two_name_registry, base_python))
    backend = OnPremBackend(**settings, pull_name=two_name_registry.node_name)
    run = TrainJob(len, args=("four",), backend=backend).submit()
    assert run.result(timeout=90) == 4
    run.delete()


def _made(said: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as objects take them: paths are paths."""
    return {
        key: Path(value) if key in ("kubeconfig", "ca") else value for key, value in said.items()
    }
