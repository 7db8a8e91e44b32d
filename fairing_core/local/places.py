"""The places of an image, here."""

from __future__ import annotations

import posixpath
from pathlib import Path

from fairing_core.types import PREFIX


def inside(path: str) -> str | None:
    """Where `path` of an image lies under ``/app`` (``.`` for itself), None if elsewhere."""
    rest = posixpath.relpath(path, PREFIX) if path.startswith("/") else ".."
    return None if rest == ".." or rest.startswith("../") else rest


def place(path: str, app: Path) -> str:
    """`path` with the image's ``/app`` replaced by `app`; others stay as they are."""
    rest = inside(path)
    return path if rest is None else str(app / rest)
