"""What a run left behind, found where the program put it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fairing_core.runtime import keep
from fairing_core.types import Artifact


def found(patterns: Iterable[str], home: Path) -> tuple[list[Artifact], dict[str, str]]:
    """The files that `patterns` name (files, folders and globs, relative to `home`).

    And what of them is left out, and why.
    """
    places, missing = keep.found(patterns, str(home))
    artifacts: list[Artifact] = []
    left_out = dict.fromkeys(missing, keep.MISSING)
    for name, at in sorted(places.items()):
        try:
            artifacts.append(_artifact(name, Path(at)))
        except OSError as exc:
            left_out[at] = exc.strerror or type(exc).__name__
    return artifacts, left_out


def _artifact(name: str, path: Path) -> Artifact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(name, path.stat().st_size, f"sha256:{digest}", path)
