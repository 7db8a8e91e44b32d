"""The embedded default backend: no cluster, no registry, no daemon."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from fairing_core import errors
from fairing_core.interfaces import BackendInterface, Builder, Deployer
from fairing_core.local import files
from fairing_core.local.builder import LocalBuilder
from fairing_core.local.deployer import LocalDeployer
from fairing_core.local.runs import LocalRuns
from fairing_core.types import BuildRequest, Check

_LITTLE = 100_000_000  # bytes of free space that are worth a word


class LocalBackend(BackendInterface):
    """Runs code on this machine, with the current interpreter, detached from this process.

    Args:
        root: the directory of runs; None is ``$XDG_STATE_HOME/fairing/runs``.
        ttl: seconds that an ended run is kept; the next submit removes it after that.
        grace: seconds that a cancelled run gets between SIGTERM and SIGKILL.

    Example:
        >>> from fairing_core.local import LocalBackend
        >>> LocalBackend(ttl=3600).needs_image
        False
    """

    name: ClassVar[str] = "local"
    needs_image: ClassVar[bool] = False

    def __init__(self, *, root: Path | None = None, ttl: int = 604800, grace: float = 10.0) -> None:
        for setting, value in (("ttl", ttl), ("grace", grace)):
            if not value >= 0:
                raise errors.SettingsError(
                    f"{setting} of the {self.name} backend is {value}; it must be 0 s or more"
                )
        self.root = root
        self.ttl = ttl
        self.grace = grace

    def runs(self) -> LocalRuns:
        """The runs in `root`."""
        files.require_posix()
        root = files.default_root() if self.root is None else Path(self.root).expanduser()
        return LocalRuns(root.absolute(), backend=self.name, ttl=self.ttl)

    def builder(self, request: BuildRequest) -> Builder:
        """Unpacks the code."""
        return LocalBuilder(self.runs())

    def deployer(self, kind: str) -> Callable[..., Deployer]:
        """Starts jobs; takes the options of the original's Job."""
        if kind != "job":
            raise errors.UnknownName(
                f"the backend {self.name!r} has no deployer {kind!r}{errors.near(kind, ['job'])}"
            )
        return partial(LocalDeployer, self.runs(), self.grace)

    def check(self) -> Sequence[Check]:
        """The platform, the interpreter and the directory of runs."""
        try:
            root = self.runs().root
        except errors.FairingError as exc:
            return (Check("runs", False, str(exc)),)
        version = ".".join(map(str, sys.version_info[:3]))
        python = Check("python", bool(sys.executable), f"{sys.executable} ({version})")
        return (python, _check_root(root))

    def __repr__(self) -> str:
        root = None if self.root is None else str(self.root)
        return f"{type(self).__name__}(root={root!r}, ttl={self.ttl!r}, grace={self.grace!r})"


def _check_root(root: Path) -> Check:
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Check(
            "runs", False, f"{there} is not a folder you can write to; set FAIRING_LOCAL__ROOT"
        )
    free = shutil.disk_usage(there).free
    text = f"{root} ({free / 1e9:.1f} GB free)"
    return Check("runs", free > _LITTLE, text if free > _LITTLE else f"{text}: free some space")
