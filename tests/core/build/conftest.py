from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairing_core.build.append import AppendBuilder
from fairing_core.types import (
    BuildContext,
    BuildRequest,
    Built,
    Check,
    ContextFile,
    Import,
    RegistryAccess,
)
from tests.core.build.harness import inline, sha256
from tests.core.images.registry import FakeRegistry

MAIN = inline("/app/main.py", b"print(1)")
COMMAND = ("python3", "/app/main.py")


def context_of(*files: ContextFile, **more: Any) -> BuildContext:
    ordered = tuple(sorted(files or (MAIN,), key=lambda file: file.destination))
    told = repr([(each.destination, each.content, each.mode) for each in ordered])
    return BuildContext(ordered, COMMAND, digest=sha256(told.encode()), **more)


@dataclass
class Builds:
    """Builds as `TrainJob` does, with a cache and a keychain of the test's own."""

    home: Path
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    access: dict[str, RegistryAccess] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: Any, **more: Any) -> Built:
        builder, request = self._asked(*arguments, **more)
        return builder.build(request)

    def foresee(self, *arguments: Any, **more: Any) -> tuple[Built, Sequence[Check]]:
        builder, request = self._asked(*arguments, **more)
        return builder.foresee(request)

    def _asked(
        self,
        registry: FakeRegistry | str,
        *files: ContextFile,
        base: FakeRegistry | str | None = None,
        python: str | None = None,
        imports: tuple[Import, ...] = (),
        **options: Any,
    ) -> tuple[AppendBuilder, BuildRequest]:
        target = registry if isinstance(registry, str) else registry.host
        if not isinstance(base, str):
            base = f"{base.host if base else target}/base:1"
        options = {"image_name": "app", **options}
        request = BuildRequest(
            context_of(*files, python=python, imports=imports),
            base_image=base,
            registry=target,
            registries=self.access,
            report=self.report,
        )
        return AppendBuilder(**options), request

    def report(self, name: str, /, **fields: str | int | float) -> None:
        self.events.append((name, fields))

    @property
    def traffic(self) -> Mapping[str, Any]:
        """What the last build said of its traffic."""
        return next(fields for name, fields in reversed(self.events) if name == "pushed")

    def login(self, host: str, user: str, password: str) -> None:
        auth = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.credentials[host] = auth
        auths = {host: {"auth": value} for host, value in self.credentials.items()}
        (self.home / "config.json").write_text(json.dumps({"auths": auths}))

    @property
    def cache(self) -> Path:
        return self.home / "cache"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(home))
    monkeypatch.setenv("FAIRING_CACHE", str(home / "cache"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return Builds(home)
