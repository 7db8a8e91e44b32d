"""What to say of an input that can't be read, wherever it is read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from fairing_core import errors
from fairing_core.types import ContextFile


def fault(path: str | os.PathLike[str], error: OSError) -> errors.InputError:
    """What to raise for an `error` of the operating system about an input."""
    name = os.fspath(path)
    if error.errno == errno.ELOOP:
        return errors.UnreadableInput(f"{name} is a link that leads back to itself; remove it")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if os.path.islink(name):
            return errors.MissingInput(
                f"{name} is a link to {os.readlink(name)!r}, which does not exist; "
                "mend or remove it"
            )
        return errors.MissingInput(f"{name} does not exist")
    return errors.UnreadableInput(
        f"{name} can't be read ({error.strerror or error}); "
        "give yourself the right to read it, or leave it out"
    )


def no_file(path: str | os.PathLike[str], mode: int) -> errors.UnreadableInput:
    """What to raise for an input that is neither file nor folder, as its `st_mode` says."""
    return errors.UnreadableInput(
        f"{os.fspath(path)} is a {_kind(mode)}, not a file; only files and folders travel"
    )


def changed(file: ContextFile) -> errors.UnreadableInput:
    """What to raise for a `file` that has not the size it had when it was found."""
    return errors.UnreadableInput(
        f"{source(file)} changed while it was read; submit again once it is finished"
    )


def source(file: ContextFile) -> str:
    """Where the bytes of `file` come from, for a person."""
    if isinstance(file.content, Path):
        return str(file.content)
    return f"{file.destination} ({file.reason})"


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "pipe"
    if stat.S_ISSOCK(mode):
        return "socket"
    return "folder" if stat.S_ISDIR(mode) else "device"
