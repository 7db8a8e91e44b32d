"""The kit's clauses of a builder, in a real registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairing_core.build.append import AppendBuilder
from fairing_core.testing import BuilderConformance
from fairing_core.types import RegistryAccess
from tests.bench.bases import Base
from tests.bench.registry import Registry


class TestAppend(BuilderConformance):
    @pytest.fixture(autouse=True)
    def _at(
        self,
        plain_registry: Registry,
        base_python: Base,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("REGISTRY_AUTH_FILE", "/dev/null")
        monkeypatch.setenv("FAIRING_CACHE", str(tmp_path))
        self.registry = plain_registry.image("made")
        self.base_image = base_python.at(plain_registry)
        self.registries = {plain_registry.name: RegistryAccess(plain_http=True)}

    def make(self, **options: Any) -> AppendBuilder:
        return AppendBuilder(**options)
