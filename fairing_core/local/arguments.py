"""What a process can be given: the kernel's limits, and the places of an image, here."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.types import PREFIX, check_text

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def check_name(name: str) -> None:
    """Raises InvalidArgument unless `name` is a DNS-1123 label, as names of jobs are."""
    if not _NAME.fullmatch(name):
        raise errors.InvalidArgument(
            f"{name!r} can't name a run; use at most 63 small letters, digits and '-', "
            "with a letter or digit at both ends"
        )


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises InvalidArgument for one that can't be an argument of a process."""
    for number, argument in enumerate(arguments):
        check_text(argument, f"argument {number}")


def check_environment(environment: Mapping[str, str]) -> None:
    """Raises InvalidArgument for a variable that can't be set."""
    for name, value in environment.items():
        if not name or "=" in name:
            raise errors.InvalidArgument(f"{name!r} can't be the name of a variable")
        check_text(f"{name}={value}", f"the variable {name!r}")


def inside(path: str) -> str | None:
    """Where `path` of an image lies under ``/app`` (``.`` for itself), None if elsewhere."""
    rest = posixpath.relpath(path, PREFIX) if path.startswith("/") else ".."
    return None if rest == ".." or rest.startswith("../") else rest


def place(path: str, app: Path) -> str:
    """`path` with the image's ``/app`` replaced by `app`; others stay as they are."""
    rest = inside(path)
    return path if rest is None else str(app / rest)
