"""What a run left behind, found where the program put it."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairing_core.types import Artifact


def found(patterns: Iterable[str], home: Path) -> list[Artifact]:
    """The files that `patterns` name: files, folders and globs, relative to `home`."""
    paths = {
        path
        for pattern in patterns
        for match in glob.glob(os.path.join(home, pattern), recursive=True)
        for path in _files(Path(os.path.normpath(match)))
    }
    return sorted((_artifact(path, home) for path in paths), key=lambda one: one.path)


def _artifact(path: Path, home: Path) -> Artifact:
    inside = path.is_relative_to(home)
    name = (path.relative_to(home) if inside else path.relative_to("/")).as_posix()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Artifact(name, path.stat().st_size, f"sha256:{digest}", path)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for one in path.rglob("*") if path.is_dir() else ():
        if one.is_file():
            yield one
