"""A layer of code as an uncompressed tar: from the same files, the same bytes everywhere.

Source: OCI image specification v1.1, "Image Layer Filesystem Changeset".
"""

from __future__ import annotations

import operator
import os
import stat
from collections.abc import Generator, Iterable, Iterator

from fairing_core import errors
from fairing_core.build import ustar
from fairing_core.faults import changed, fault, no_file
from fairing_core.types import PREFIX, ContextFile

BLOCK = 512 << 10
"""Bytes of each block that `tar` gives, but for the last, which is shorter."""

FORMAT = 1
"""Raised whenever the same files give other bytes than before, so that no cache mixes them up."""

MTIME = 315619200
"""Every entry's time of change, in seconds: 1980-01-02 00:00 UTC.

A constant, since the day of a build is none of the image's business. Not 0, because zip files know
no year before 1980: a program that zips its own code would fail. Not the first of January, which is
still 1979 west of Greenwich, and zip files hold local time.
"""

# Links in many images (an entry replaces the link; without /lib every program dies), homes, and
# places that a container mounts something over.
_RESERVED = frozenset(
    {
        *("bin", "dev", "home", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin"),
        *("sys", "tmp", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "usr/lib64"),
        *("usr/sbin", "usr/tmp", "var/lock", "var/mail", "var/run", "var/tmp"),
    }
)
_HALF_RESERVED = frozenset(name.partition("/")[0] for name in _RESERVED if "/" in name)
# Folders of every base image: they keep their owner, even where all in them is ours.
_SYSTEM = frozenset(
    {"/", "/boot/", "/etc/", "/media/", "/mnt/", "/opt/", "/srv/", "/usr/", "/var/"}
)
_ELSEWHERE = "give it a place under /app/, /opt/, /mnt/ or /srv/ with output_map"

_ZEROS = bytes(512)
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO that nobody writes to would hang
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_destination = operator.attrgetter("destination")


def check_destination(destination: str) -> None:
    """Refuses a place where a file of a layer would break the base image, or not be seen.

    Raises:
        InvalidDestination: `destination` is no absolute, normal path of a file; or lies where base
            images have links, homes or mounts; or is named as layers name a deletion.
    """
    _check_normal(destination)
    first, _, rest = destination[1:].partition("/")
    place = first if first in _RESERVED else None
    if first in _HALF_RESERVED:
        two = f"{first}/{rest.partition('/')[0]}"
        place = two if two in _RESERVED else None
    if place is not None:
        raise errors.InvalidDestination(
            f"{destination} can't be written: /{place} is the base image's own (a link, a home, or "
            f"a place that containers mount over), and a layer would break it; {_ELSEWHERE}"
        )
    if "/.wh." in destination:
        raise errors.InvalidDestination(
            f"{destination} can't be written: in a layer, a name that begins with '.wh.' deletes "
            "a file of the base image; rename it, or leave it out"
        )


def _check_normal(destination: str) -> None:
    if "\0" in destination or not _is_normal(destination):
        raise errors.InvalidDestination(
            f"{destination!r} is no absolute path of a file in an image; {_ELSEWHERE}"
        )


def _is_normal(path: str) -> bool:
    if path[:1] != "/" or path[-1:] == "/" or "//" in path:
        return False
    return "/." not in path or not {".", ".."}.intersection(path.split("/"))


def tar(
    files: Iterable[ContextFile],
    *,
    uid: int,
    gid: int,
    folders: Iterable[str] = (PREFIX,),
    below: str = "",
) -> Generator[memoryview, None, None]:
    """The tar of `files` in blocks of `BLOCK` bytes, each the receiver's to keep.

    All entries belong to `uid` and `gid`; none has an owner's name, or a time but `MTIME`.
    `folders` are those in the image that are ours: they, and what lies below them, are written
    with mode 0755 and that owner, so that a program may write beside itself. Other folders are the
    base image's, and an entry would replace their owner, their mode, or a link: they are not
    written, and whoever unpacks the layer makes those that are missing.

    A file with several names (hard links) is written whole under each: what links to what is a
    matter of the folder here, not of the code, and would be a second way to write the same files.

    Memory is that of two blocks, whatever the size of the files.

    With `below`, a folder's relative name, it is no layer but an archive, and all entries are in
    that folder: then a place that would break an image is one as any other, and every folder is
    written.

    Raises:
        InvalidDestination: see `check_destination`.
        MissingInput: a file is gone.
        UnreadableInput: a file can't be read; is none (a pipe, a socket, a device); or has not the
            size that it had when it was found.
    """
    block = bytearray(BLOCK)
    view, at = memoryview(block), 0
    for file, head in _entries(files, uid=uid, gid=gid, folders=folders, below=below):
        content, size = file.content, file.size
        start = at + len(head)
        end = start + size
        if (
            start < end < BLOCK
            and not isinstance(content, bytes)
            and _read(content, view[start : end + 1]) == size
        ):
            block[at:start] = head
            at = (end + 511) & ~511
            continue
        for part in _parts(file, head):
            done = 0
            while done < len(part):
                if at == BLOCK:
                    yield view
                    block = bytearray(BLOCK)
                    view, at = memoryview(block), 0
                count = min(len(part) - done, BLOCK - at)
                view[at : at + count] = part[done : done + count]
                at += count
                done += count
    if at + len(ustar.END) > BLOCK:
        yield view[:at]
        view, at = memoryview(bytearray(len(ustar.END))), 0
    view[at : at + len(ustar.END)] = ustar.END
    yield view[: at + len(ustar.END)]


def _entries(
    files: Iterable[ContextFile], *, uid: int, gid: int, folders: Iterable[str], below: str
) -> Iterator[tuple[ContextFile, bytes]]:
    """Each file, with what comes before its bytes: folders that are new, and its own header."""
    headers = ustar.Headers(uid=uid, gid=gid, mtime=MTIME)
    ours = ("/",) if below else tuple({f"{name.rstrip('/')}/" for name in folders} - _SYSTEM)
    seen: set[str] = set()
    for file in sorted(files, key=_destination):
        destination = file.destination
        if below:
            _check_normal(destination)
        else:
            check_destination(destination)
        head = headers.file(_name(below, destination), file.mode, file.size)
        parent = destination[: destination.rindex("/") + 1]
        while parent not in seen:
            seen.add(parent)
            if not parent.startswith(ours):
                break
            head = headers.folder(_name(below, parent[:-1]), 0o755) + head
            parent = parent[: parent.rindex("/", 0, -1) + 1] if parent != "/" else parent
        yield file, head


def _name(below: str, path: str) -> bytes:
    """An absolute path as it is named in a tar, which begins at the image's root, or at `below`."""
    return (below + path if below else path[1:]).encode("utf-8", "surrogateescape")


def _read(path: os.PathLike[str], room: memoryview) -> int:
    """Reads a file into `room`, a byte longer than it should be to see it grow; gives a count.

    What is no file gives another count or fails, but for an empty one: `_parts` tells those apart.
    """
    try:
        fd = os.open(path, _FLAGS)
        try:
            return os.readv(fd, (room,))
        finally:
            os.close(fd)
    except OSError as exc:
        raise _fault(path, exc) from exc


def _parts(file: ContextFile, head: bytes) -> Iterator[bytes]:
    """One file's entry, from its header to the zeros that fill its last 512 bytes."""
    yield head
    left = file.size
    if isinstance(file.content, bytes):
        yield file.content
        left -= len(file.content)
    else:
        fd = _open(file.content)
        try:
            while left >= 0 and (part := os.read(fd, min(left + 1, BLOCK))):
                left -= len(part)
                if left >= 0:
                    yield part
        except OSError as exc:
            raise _fault(file.content, exc) from exc
        finally:
            os.close(fd)
    if left:
        raise changed(file)
    yield _ZEROS[: -file.size & 511]


def _open(path: os.PathLike[str]) -> int:
    """A descriptor of the file, which is certainly one."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError as exc:
        raise _fault(path, exc) from exc
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise no_file(path, mode)
    return fd


def _fault(path: os.PathLike[str], error: OSError) -> errors.InputError:
    """What to raise for an `error` of a file, or of what is none: a socket can't be opened."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return fault(path, error)
    return fault(path, error) if stat.S_ISREG(mode) else no_file(path, mode)
