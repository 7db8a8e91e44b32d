"""Walks folders and patterns, in sorted order, following links but no loops."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence

from fairing_core import errors
from fairing_core.faults import fault, no_file

_VENV = "pyvenv.cfg"  # marks a virtual environment
SKIPPED = frozenset({".git", ".hg", ".svn", "__pycache__", ".ipynb_checkpoints"})
"""Folders that travel only when they are named themselves."""

_Trail = tuple[tuple[int, int], ...]  # (device, inode) of the folders on the way here


def files_under(path: str) -> Iterator[str]:
    """`path` itself if it is a file, else every file in it.

    Raises:
        MissingInput: a link leads nowhere.
        UnreadableInput: a folder can't be read or is its own descendant; a file is a device,
            a socket or a pipe.
    """
    return _walk(path, ())


def expand(pattern: str) -> Iterator[str]:
    """Every file that an absolute `pattern` matches, and those in every folder that it matches.

    As `glob.glob`: ``**`` stands for any folders, names that begin with a dot want a pattern that
    does. Skipped folders match only where the pattern writes them out.
    """
    drive, tail = os.path.splitdrive(pattern)
    yield from _expand(drive + os.sep, [part for part in tail.split(os.sep) if part], ())


def _walk(path: str, trail: _Trail) -> Iterator[str]:
    status = _status(path)
    if stat.S_ISREG(status.st_mode):
        yield path
    elif stat.S_ISDIR(status.st_mode):
        names = _names(path)
        if trail and _VENV in names and _is_venv(path):
            return
        trail = _enter(path, status, trail)
        for name in names:
            if not _is_skipped_name(name):
                yield from _walk(os.path.join(path, name), trail)
    else:
        raise no_file(path, status.st_mode)


def _expand(base: str, parts: Sequence[str], trail: _Trail) -> Iterator[str]:
    if not parts:
        yield from _walk(base, ())
        return
    head, rest = parts[0], parts[1:]
    child = os.path.join(base, head)
    if head == "**":
        yield from _expand_any(base, parts, trail)
    elif not any(sign in head for sign in "*?[") or os.path.lexists(child):
        if os.path.lexists(child):
            yield from _expand(child, rest, ())
    elif os.path.isdir(base):
        for child in _matching(base, head):
            if not rest or os.path.isdir(child):
                yield from _expand(child, rest, ())


def _matching(base: str, pattern: str) -> Iterator[str]:
    for name in _names(base):
        child = os.path.join(base, name)
        if name.startswith(".") and not pattern.startswith("."):
            continue
        # A pattern that ends in .pyc wants them.
        wanted = not _is_skipped(child) or (name.endswith(".pyc") and pattern.endswith(".pyc"))
        if wanted and fnmatch.fnmatchcase(name, pattern):
            yield child


def _expand_any(base: str, parts: Sequence[str], trail: _Trail) -> Iterator[str]:
    """``**``: the rest of the pattern here, and in every folder below."""
    if not os.path.isdir(base):
        return
    trail = _enter(base, _status(base), trail)
    rest = parts[1:]
    while rest and rest[0] == "**":
        rest = rest[1:]
    if rest:
        yield from _expand(base, rest, ())
    for name in _names(base):
        child = os.path.join(base, name)
        if name.startswith(".") or _is_skipped(child):
            continue
        if os.path.isdir(child):
            yield from _expand_any(child, ("**", *rest), trail)
        elif not rest:
            yield from _walk(child, ())


def _is_skipped(path: str) -> bool:
    return _is_skipped_name(os.path.basename(path)) or _is_venv(path)


def _is_skipped_name(name: str) -> bool:
    return name in SKIPPED or name.endswith(".pyc")


def _is_venv(folder: str) -> bool:
    return os.path.isfile(os.path.join(folder, _VENV))


def _enter(path: str, status: os.stat_result, trail: _Trail) -> _Trail:
    here = (status.st_dev, status.st_ino)
    if here in trail and status.st_ino:
        raise errors.UnreadableInput(
            f"{path} leads back to a folder that it lies in; remove that link"
        )
    return (*trail, here)


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError as exc:
        raise fault(path, exc) from exc


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as exc:
        raise fault(path, exc) from exc
