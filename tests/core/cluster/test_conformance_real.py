"""The clauses that every backend keeps, on a real cluster."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from fairing_core import TrainJob
from fairing_core.build.append import AppendBuilder
from fairing_core.interfaces import RunHandle
from fairing_core.testing import BackendConformance
from fairing_core.types import BuildRequest, Built, RegistryAccess
from fairing_core.values import replace
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab


class Told:
    """A builder that knows how the bench's registry is reached."""

    def __init__(self, registry: Registry) -> None:
        self._builder = AppendBuilder()
        self._access = {registry.name: RegistryAccess(plain_http=True)}

    def supports(self, request: BuildRequest) -> str | None:
        return self._builder.supports(self._told(request))

    def build(self, request: BuildRequest) -> Built:
        return self._builder.build(self._told(request))

    def _told(self, request: BuildRequest) -> BuildRequest:
        return replace(request, registries=self._access)


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
)
class TestKubernetes(BackendConformance):
    backend = "kubernetes"

    @pytest.fixture(autouse=True)
    def _on_the_bench(
        self, lab: Lab, cluster_registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(lab.config))
        monkeypatch.setenv("FAIRING_KUBERNETES__NAMESPACE", lab.namespace)
        monkeypatch.setenv("FAIRING_CACHE", str(tmp_path))
        self.lab = lab
        self.registry = cluster_registry

    def submit(self, entry: Any, **arguments: Any) -> RunHandle:
        registry = f"{self.registry.name}/{self.registry.prefix}"
        builder = Told(self.registry)
        return TrainJob(
            entry, self.lab.image, registry, backend="kubernetes", builder=builder, **arguments
        ).submit()
