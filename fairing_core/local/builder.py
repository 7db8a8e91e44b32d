"""Puts the code where the run will find it: the embedded backend's stand-in for an image."""

from __future__ import annotations

import errno
import os
import posixpath
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from fairing_core import errors
from fairing_core.local import files, requirements, staging
from fairing_core.local.runs import LocalRuns
from fairing_core.types import PREFIX, BuildContext, BuildRequest, Built, Check, ContextFile


class LocalBuilder:
    """Unpacks a context into a fresh folder among `runs`, which a run then takes as its own."""

    def __init__(self, runs: LocalRuns, /) -> None:
        self._runs = runs

    def supports(self, request: BuildRequest) -> str | None:
        """None, but on Windows."""
        try:
            files.require_posix()
        except errors.Unsupported as exc:
            return str(exc)
        return None

    def build(self, request: BuildRequest) -> Built:
        """The unpacked code as a ``file:`` URL, for one run of this process.

        Removes what earlier runs have left to remove first, as that may free the space.

        Raises:
            InvalidDestination: a file's place is not under ``/app``.
            MissingRequirements: the current interpreter can't run the code.
            InputError: a file is gone, unreadable, or has changed since it was looked at.
            StateError: the disk is full, or can't be written to.
        """
        _check_possible(request)
        requirements.check(request.context)
        root = self._runs.root
        files.ensure_root(root)
        self._runs.sweep()
        try:
            folder = staging.create(root)
        except OSError as exc:
            raise files.trouble(exc, root) from exc
        try:
            _unpack(request.context, folder / "app")
        except OSError as exc:
            staging.discard(folder)
            if isinstance(exc, errors.FairingError):
                raise
            raise files.trouble(exc, root) from exc
        except BaseException:
            staging.discard(folder)
            raise
        return Built(folder.as_uri())

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """Where the code would go, and whether this interpreter can run it; writes nothing.

        Raises:
            InvalidDestination: a file's place is not under ``/app``.
        """
        _check_possible(request)
        built = Built((self._runs.root / "not-unpacked-yet").as_uri())
        try:
            requirements.check(request.context)
        except errors.MissingRequirements as exc:
            return built, [Check("requirements", False, str(exc))]
        return built, [Check("requirements", True, f"{sys.executable} meets them")]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._runs!r})"


def _check_possible(request: BuildRequest) -> None:
    files.require_posix()
    for file in request.context.files:
        _check_destination(file.destination)


def _check_destination(destination: str) -> None:
    if (
        not destination.startswith(PREFIX)
        or posixpath.normpath(destination) != destination
        or "\0" in destination
    ):
        raise errors.InvalidDestination(
            f"{destination!r} can't be written: the local backend has no image, it has {PREFIX} "
            f"only; give the file a place under {PREFIX} (output_map), or name a backend that "
            "builds images"
        )


def _unpack(context: BuildContext, app: Path) -> None:
    app.mkdir(mode=0o755)
    for file in context.files:
        target = app / file.destination[len(PREFIX) :]
        try:
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError) as exc:
            raise errors.ConflictingInputs(
                f"{file.destination} can't be written: something else has that place, or it is "
                "a file and a folder at once; give one of them another place (output_map)"
            ) from exc
        except OSError as exc:
            if exc.errno in {errno.ENAMETOOLONG, errno.EILSEQ}:
                raise errors.InvalidDestination(
                    f"{file.destination!r} can't be written: {exc.strerror}; "
                    "give the file another name (output_map)"
                ) from exc
            raise
        with os.fdopen(fd, "wb") as out:
            _copy(file, out)
            os.fchmod(out.fileno(), file.mode)


def _copy(file: ContextFile, out: BinaryIO) -> None:
    if isinstance(file.content, bytes):
        out.write(file.content)
    else:
        with files.open_input(file.content) as source:
            shutil.copyfileobj(source, out, 1 << 20)
    if out.tell() != file.size:
        raise errors.InputError(
            f"{file.content if isinstance(file.content, Path) else file.destination} has changed "
            f"from {file.size:,} to {out.tell():,} bytes while it was packed; submit again"
        )
