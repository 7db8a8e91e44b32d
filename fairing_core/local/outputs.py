"""What a run left behind, found where the program put it."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fairing_core.types import Artifact


def found(patterns: Iterable[str], home: Path) -> tuple[list[Artifact], dict[str, str]]:
    """The files that `patterns` name (files, folders and globs, relative to `home`).

    And what of them is left out, and why. As `fairing_core.runtime.keep` does it in a pod.
    """
    artifacts: dict[str, Artifact] = {}
    left_out: dict[str, str] = {}
    for pattern in patterns:
        # A file's own name may have brackets.
        matches = glob.glob(os.path.join(glob.escape(str(home)), pattern), recursive=True)
        places = (Path(os.path.normpath(one)) for one in (os.path.join(home, pattern), *matches))
        paths = [path for place in places for path in _files(place)]
        for path in paths:
            try:
                one = _artifact(path, home)
            except OSError as exc:
                left_out[str(path)] = exc.strerror or type(exc).__name__
            else:
                artifacts[one.path] = one
        if not paths:
            left_out[pattern] = "there is no such file"
    return sorted(artifacts.values(), key=lambda one: one.path), left_out


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
