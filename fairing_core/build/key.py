"""A key for the layer of some files that is found without reading them."""

from __future__ import annotations

import hashlib
import operator
import os
import time
from collections.abc import Iterable

from fairing_core.build.codec import codec_name
from fairing_core.build.layer import FORMAT
from fairing_core.faults import fault
from fairing_core.types import PREFIX, ContextFile

FRESH = 2_000_000_000
"""Nanoseconds for which a changed file may change once more and look the same."""

_destination = operator.attrgetter("destination")


def stat_key(
    files: Iterable[ContextFile],
    *,
    uid: int,
    gid: int,
    folders: Iterable[str] = (PREFIX,),
    now: int | None = None,
) -> str | None:
    """A text (64 hex digits) that stands for the layer that `tar` and this codec make, or None.

    Of each file it holds what its bytes can't change without: device, inode, size, and both times
    of change (mtime, which programs can set, and ctime, which they can't). Yet the clocks of file
    systems are coarse: a file that is written, read, and written again within a tick shows the
    same times. So there is no key while a file has changed within the last `FRESH`, or seems to
    have changed in the future, as with the files that Git's index calls racy. `now` is the time in
    nanoseconds, where it is not the system's.

    Take the key before the files are read, and keep the layer under that one: a file that changes
    meanwhile has another key from then on. A key that is taken after would belong to bytes that
    the layer may not have.

    Raises:
        MissingInput: a file is gone.
        UnreadableInput: a file is where nobody may look.
    """
    latest = (time.time_ns() if now is None else now) - FRESH
    parts = [f"{FORMAT} {codec_name()} {uid} {gid}", *sorted({*folders}), ""]
    look = os.stat
    for file in sorted(files, key=_destination):
        content = file.content
        if isinstance(content, bytes):
            found = hashlib.sha256(content).hexdigest()
        else:
            try:
                seen = look(content)
            except OSError as exc:
                raise fault(content, exc) from exc
            changed = seen.st_ctime_ns
            if changed > latest:
                return None
            found = f"{seen.st_dev} {seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {changed}"
        parts += (file.destination, f"{file.mode} {file.size} {found}")
    # `tar` refuses a NUL in a destination, so no two lists of parts are the same text.
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
