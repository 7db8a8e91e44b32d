"""The directory of runs: where it is, what can be wrong with it, how things leave it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import BinaryIO

from fairing_core import errors, log

logger = log.named(__name__)

DELETED = ".deleted-"


def require_posix() -> None:
    """Raises Unsupported where there are no process groups and file locks."""
    if sys.platform == "win32":
        raise errors.Unsupported(
            "the local backend runs on Linux and macOS; on Windows, use it inside WSL, "
            "or name another backend"
        )


def default_root() -> Path:
    """``$XDG_STATE_HOME/fairing/runs``; the XDG specification ignores relative values."""
    state = os.environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state, "fairing", "runs")
    try:
        return Path.home() / ".local" / "state" / "fairing" / "runs"
    except RuntimeError as exc:
        raise errors.StateError(
            "there is no home directory to keep runs in; set HOME, XDG_STATE_HOME, "
            "or the local backend's root (FAIRING_LOCAL__ROOT)"
        ) from exc


def ensure_root(root: Path) -> None:
    """Makes the directory, private as code and logs are."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise trouble(exc, root) from exc


def trouble(exc: OSError, root: Path) -> errors.StateError:
    """What `exc` means for the directory of runs, and what to do about it."""
    cure = "or set another place as the local backend's root (FAIRING_LOCAL__ROOT)"
    match exc.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return errors.StateError(
                f"no space is left for runs in {root} ({exc.strerror}); free some, "
                f"delete old runs ('fairing rm'), {cure}"
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return errors.StateError(
                f"runs can't be written to {root}: {exc.strerror}; make it writable, {cure}"
            )
        case _:
            return errors.StateError(f"runs can't be kept in {root}: {exc}; see to that, {cure}")


def open_input(path: Path) -> BinaryIO:
    """A file of the user's that travels, which may have changed since it was found."""
    try:
        return path.open("rb")
    except FileNotFoundError as exc:
        raise errors.MissingInput(f"{path} is gone; submit again") from exc
    except OSError as exc:
        raise errors.UnreadableInput(f"{path} can't be read: {exc.strerror}") from exc


def remove(path: Path) -> None:
    """Takes `path` out of sight at once, then removes it; no error if it is gone already.

    What can't be removed (a process still writes there) is left to the next submit's sweep.
    """
    hidden = path.with_name(f"{DELETED}{secrets.token_hex(6)}")
    try:
        path.rename(hidden)
    except FileNotFoundError:
        return
    if fault := erase(hidden, attempts=200):
        logger.warning("could not remove all of %s: %s", hidden, fault)


def erase(hidden: Path, *, attempts: int) -> OSError | None:
    """Removes what `remove` has hidden, 10 ms apart; gives what stood in the way at last."""
    fault = None
    for _ in range(attempts):
        try:
            shutil.rmtree(hidden)
            return None
        except OSError as exc:
            if not hidden.exists():
                return None  # by another process, at the same time
            fault = exc
        if fault.errno in {errno.EACCES, errno.EPERM}:
            _open_up(hidden)
        time.sleep(0.01)
    return fault


def _open_up(directory: Path) -> None:
    """Programs may leave folders that not even their owner may empty."""
    with contextlib.suppress(OSError):
        for parent, _, _ in os.walk(directory, onerror=lambda exc: os.chmod(exc.filename, 0o700)):
            os.chmod(parent, 0o700)
