from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.registry import Registry

FAIRING = Path(sys.executable).with_name("fairing")
WRITES = """
import os, pathlib
beside = pathlib.Path(__file__).with_name("written")
beside.write_text("by itself")
print(os.getuid(), beside.read_text(), os.getcwd())
"""


@dataclass(frozen=True)
class Builder:
    """`fairing build`, as a user of one registry who has a cache of their own."""

    folder: Path
    registry: Registry | None = None
    user: str = ""

    def __call__(self, *arguments: str | Path, code: str = WRITES) -> str:
        """The image that it prints."""
        done = self.run(*arguments, code=code)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def run(self, *arguments: str | Path, code: str = WRITES) -> subprocess.CompletedProcess[str]:
        """The command as it ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "train.py").write_text(code)
        if self.registry:
            (self.folder / "pyproject.toml").write_text(_settings(self.registry))
        return subprocess.run(
            [FAIRING, "build", "train.py", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Its own cache, and the user's credentials."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        if self.registry:
            (home / "config.json").write_text(self.registry.docker_config(self.user))
        more = {"FAIRING_CACHE": str(self.folder / "cache"), "DOCKER_CONFIG": str(home)}
        return {**os.environ, **more}


def _settings(registry: Registry) -> str:
    said = f"ca = '{registry.ca}'" if registry.ca else "plain_http = true"
    return f"[tool.fairing.registries.'{registry.name}']\n{said}\n"


@pytest.fixture
def builder(tmp_path: Path) -> Callable[..., Builder]:
    """Makes a builder that is told how a registry is reached, and logged in there as a user."""

    def make(registry: Registry | None = None, user: str = "", name: str = "here") -> Builder:
        return Builder(tmp_path / name, registry, user)

    return make
