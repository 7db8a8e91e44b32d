"""Folders in the making: unpacked code that no run has yet.

A staging's lock is held by the process that makes it, later by the run's supervisor. One whose lock
is free belongs to nobody, and the next submit removes it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
from pathlib import Path

from fairing_core import errors
from fairing_core.local import files, locks

PREFIX = ".staging-"

_held: dict[Path, int] = {}  # staging -> open file of its lock, in this process


def create(root: Path) -> Path:
    """A fresh staging in `root`, held by this process."""
    _hook()
    while True:
        path = root / f"{PREFIX}{secrets.token_hex(6)}"
        os.mkdir(path, 0o700)
        try:
            if _take(path, locks.open_lock(path / "lock")):
                return path
        except FileNotFoundError:
            continue  # another's sweep came between the folder and its lock, and removes both
        except OSError:
            files.remove(path)
            raise


def take(path: Path) -> int:
    """The open file of the staging's lock, for the supervisor; call `release` or `discard` after.

    Raises:
        StateError: it was used or swept, or is another process's.
    """
    fd = _held.get(path)
    if fd is not None and path.exists():
        return fd
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
        if _take(path, fd):
            return fd
        raise errors.StateError(f"{path} is being used by another process; build again")
    raise errors.StateError(
        f"{path} is gone: what a build gives runs once, by the process that built; build again"
    )


def _take(path: Path, fd: int) -> bool:
    """Whether the staging at `path` is this process's now; closes `fd` if not."""
    try:
        if locks.take(fd) and os.path.samestat(os.fstat(fd), os.stat(path / "lock")):
            _held[path] = fd
            return True
    except FileNotFoundError:
        pass  # swept in between: the lock was free because its file was gone
    os.close(fd)
    return False


def release(path: Path) -> None:
    """Lets go of the lock: it is the supervisor's alone now, or nobody's."""
    fd = _held.pop(path, None)
    if fd is not None:
        os.close(fd)


def discard(path: Path) -> None:
    """Removes a staging of this process."""
    with contextlib.suppress(OSError):
        files.remove(path)
    release(path)


def sweep(root: Path) -> None:
    """Removes the stagings that belong to nobody."""
    for path in root.glob(f"{PREFIX}*"):
        if path in _held:
            continue
        try:
            fd = locks.open_lock(path / "lock")
        except FileNotFoundError:
            continue
        try:
            if locks.take(fd):
                files.remove(path)
        finally:
            os.close(fd)


@functools.cache
def _hook() -> None:
    atexit.register(_discard_all)
    # A forked child would otherwise keep the lock of a run that is not its own.
    os.register_at_fork(after_in_child=_forget)


def _discard_all() -> None:
    for path in list(_held):
        discard(path)


def _forget() -> None:
    while _held:
        _, fd = _held.popitem()
        os.close(fd)
