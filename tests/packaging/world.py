"""Real wheels and clean environments: what users have, without anything of this repository's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from tests.conftest import ROOT

MEMBERS = ("aws", "gcp", "onprem")
PROJECTS = {
    "fairing-core": ROOT,
    **{f"fairing-{member}": ROOT / "plugins" / member for member in MEMBERS},
    "fairing-scratch": ROOT / "examples" / "scratch_backend",
}

_PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.0"
dependencies = ["fairing-core"]

[project.entry-points."{group}"]
{entry} = "{module}"

[tool.hatch.build.targets.wheel]
include = ["/{module}.py"]
"""


def build_wheel(project: Path, folder: Path) -> Path:
    """The wheel that hatchling makes of a project."""
    before = set(folder.glob("*.whl"))
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory")
    _run(*command, str(folder), cwd=project)
    (wheel,) = set(folder.glob("*.whl")) - before
    return wheel


@dataclass(frozen=True)
class Wheels:
    """Makes wheels, each once."""

    folder: Path

    def ours(self, distribution: str) -> Path:
        """The wheel of one of the repository's distributions."""
        folder = self.folder / distribution
        return next(folder.glob("*.whl"), None) or build_wheel(PROJECTS[distribution], _new(folder))

    def plugin(
        self,
        source: str,
        *,
        distribution: str = "fairing-lab",
        entry: str = "lab",
        group: str = "fairing.backends",
    ) -> Path:
        """The wheel of a third party: one module, `source`, behind one entry point."""
        recipe = f"{distribution}\n{entry}\n{group}\n{source}"
        folder = self.folder / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        if wheel := next(folder.glob("*.whl"), None):
            return wheel
        module = distribution.replace("-", "_")
        text = _PYPROJECT.format(distribution=distribution, group=group, entry=entry, module=module)
        _new(folder).joinpath("pyproject.toml").write_text(text)
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        return build_wheel(folder, folder)


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing but some wheels and what they depend on."""

    folder: Path

    def python(self, code: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs a program, in an empty folder of its own."""
        return self.run("python", "-c", textwrap.dedent(code), **environ)

    def fairing(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Runs the command ``fairing``."""
        return self.run("fairing", *arguments, **environ)

    def run(
        self, command: str, *arguments: str, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command of this environment, with nothing of ours in its environment variables."""
        home = self.folder / "home"
        return subprocess.run(
            [self.folder / "bin" / command, *arguments],
            cwd=home,
            env={
                "HOME": str(home),
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                **environ,
            },
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def without_runs(self) -> Environment:
        """The same, its runs forgotten."""
        shutil.rmtree(self.folder / "home" / ".local", ignore_errors=True)
        return self


@dataclass(frozen=True)
class Environments:
    """Makes clean environments, each once.

    What the wheels depend on is installed at the versions that the tests run with, from uv's cache
    where it is there.
    """

    folder: Path

    def having(self, *wheels: Path | str) -> Environment:
        """An environment with these wheels (or names of other distributions)."""
        recipe = "\n".join(sorted(map(str, wheels)))
        folder = self.folder / hashlib.sha256(recipe.encode()).hexdigest()[:16]
        if not (folder / "home").exists():
            _run(find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder))
            install = (find_uv_bin(), "pip", "install", "--quiet", "--python", str(folder))
            limits = ("--constraints", str(self._constraints()))
            try:
                _run(*install, *limits, "--offline", *map(str, wheels))
            except AssertionError:
                _run(*install, *limits, *map(str, wheels))
            (folder / "home").mkdir()
        return Environment(folder)

    def _constraints(self) -> Path:
        file = self.folder / "constraints.txt"
        if not file.exists():
            frozen = _run(
                find_uv_bin(), "pip", "freeze", "--exclude-editable", "--python", sys.executable
            )
            file.write_text(frozen)
        return file


def names(wheel: Path) -> list[str]:
    """The files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def read(wheel: Path, name: str) -> str:
    """A file in a wheel; `name` is its end."""
    with zipfile.ZipFile(wheel) as archive:
        (found,) = (each for each in archive.namelist() if each.endswith(name))
        return archive.read(found).decode()


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
