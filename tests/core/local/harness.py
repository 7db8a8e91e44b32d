"""Drives the local backend as `TrainJob` does, from values made by hand."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairing_core.cluster.expansion import literal
from fairing_core.local import LocalBackend
from fairing_core.local.handle import LocalRun
from fairing_core.local.runs import LocalRuns
from fairing_core.types import (
    BuildContext,
    BuildRequest,
    Built,
    ContextFile,
    DeployRequest,
    PodPatch,
    PodSpecMutator,
)

ROOT = Path(__file__).parents[3]
PYTHON = ("python", "/app/main.py")


def file_of(destination: str, content: bytes | Path, mode: int = 0o644) -> ContextFile:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return ContextFile(destination, content, mode=mode, size=size)


def context_of(*files: ContextFile, command: tuple[str, ...] = PYTHON, **more: Any) -> BuildContext:
    ordered = tuple(sorted(files, key=lambda file: file.destination))
    return BuildContext(ordered, command, digest="sha256:0", **more)


def env_patch(values: Mapping[str, str]) -> PodPatch:
    return PodPatch(
        container={
            "env": [{"name": name, "value": literal(value)} for name, value in values.items()]
        }
    )


@dataclass
class Local:
    """A backend with a root of its own, and short ways to what the tests need."""

    root: Path
    grace: float = 10.0

    @property
    def backend(self) -> LocalBackend:
        return LocalBackend(root=self.root, grace=self.grace)

    @property
    def runs(self) -> LocalRuns:
        return self.backend.runs()

    def build(self, *files: ContextFile, **more: Any) -> Built:
        request = BuildRequest(context_of(*files, **more))
        return self.backend.builder(request).build(request)

    def deploy(
        self,
        built: Built,
        command: tuple[str, ...] = PYTHON,
        *,
        options: Mapping[str, Any] | None = None,
        mutators: Sequence[PodSpecMutator] = (),
        **more: Any,
    ) -> LocalRun:
        more.setdefault("name", f"test-{secrets.token_hex(4)}")
        deployer = self.backend.deployer("job")(**(options or {}))
        manifests = deployer.render(DeployRequest(built.image, command, **more))
        handle = deployer.submit(manifests, mutators)
        assert isinstance(handle, LocalRun)
        return handle

    def submit(self, code: str, *args: str, **more: Any) -> LocalRun:
        """Runs `code` as /app/main.py."""
        return self.deploy(self.build(file_of("/app/main.py", code.encode())), args=args, **more)

    def execute(self, *command: str, **more: Any) -> LocalRun:
        return self.deploy(self.build(), command, **more)

    def folder(self, run: LocalRun) -> Path:
        return self.root / run.name

    def state(self, run: LocalRun) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder(run) / "state.json").read_bytes())
        return content

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir()) if self.root.exists() else []


def text_of(run: LocalRun) -> str:
    return "".join(run.logs())


def until(done: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Waits for `done`; a test that hangs says for what."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.01)


def python(
    code: str, *args: str, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Another process of this interpreter, in which `code` can import what tests can."""
    base = os.environ if env is None else env
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", code, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**base, "PYTHONPATH": str(ROOT)},
    )


def output_of(process: subprocess.Popen[str], timeout: float = 30) -> str:
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == 0, err
    return out
