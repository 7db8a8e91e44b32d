"""What is looked for in an image's files, each search by itself: user, Python, libc.

A search is shown the entries that it selects, from the top layer down, until it is settled.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Protocol

from fairing_core.errors import ImageError
from fairing_core.images.tarstream import REGULAR, SYMBOLIC_LINK, Entry
from fairing_core.images.tree import Tree

PASSWD, GROUP = "etc/passwd", "etc/group"
_LONGEST = 1024 * 1024  # /etc/passwd
_LONGEST_LIBC = 8 * 1024 * 1024
_MOST_NAMES = 100_000  # that a search keeps: some 30 MB

_PYTHON = re.compile(rb"(?:python|pypy)[\d.]*t?")
_VERSION = re.compile(r"(?:python|pypy)(\d+\.\d+)t?")
_STDLIB = re.compile(r"(?:(.*)/)?lib(?:64)?/(?:python|pypy)(\d+\.\d+)t?/os\.pyc?")
_INSIDE = re.compile(rb"(?:^|/)lib/(?:python|pypy)\d+\.\d+t?/[^/]+/")
_VENV = re.compile(rb"^version(?:_info)? *= *(\d+\.\d+)", re.MULTILINE)

_LIBC = re.compile(
    rb"(?:usr/)?lib(?:32|64)?/(?:[^/]+/)?(?:libc\.so\.6|libc-2\.\d+\.so|ld-musl-[^/]+\.so\.1)"
)
_GLIBC_NAME = re.compile(r"(?:.*/)?libc-(2\.\d+)\.so")
_GLIBC_TEXT = re.compile(rb"GNU C Library [^\n\0]{0,200}? version (\d+\.\d+)")
_MUSL_VERSION = re.compile(rb"\0(1\.\d+\.\d+)\0")


class Search(Protocol):
    """One thing looked for; `settled` once nothing further could change it."""

    settled: bool

    def select(self, name: bytes, kind: bytes, link: bytes) -> int | None:
        """Whether to be shown that entry, and with a content of up to how many bytes."""
        ...

    def see(self, entry: Entry) -> None:
        """Takes notice of an entry, if it selects it."""
        ...

    def next_layer(self) -> None:
        """What is seen from now on is from another layer."""
        ...


class UserSearch:
    """The uid and gid where one is a name: the topmost ``/etc/passwd`` and ``/etc/group`` tell.

    A number is known, a text is looked up, a group of None is the user's own. `files` are those
    whose content is asked for: one search can't know where a link leads (see `further`).
    """

    def __init__(
        self, user: str | int, group: str | int | None, files: frozenset[str] = frozenset()
    ) -> None:
        self.settled = False
        self._user, self._group, self._files = user, group, files
        if isinstance(user, str):
            self._files |= {PASSWD}
        if isinstance(group, str):
            self._files |= {GROUP}
        self._limits = {_bytes(folder): 0 for folder in _above(self._files)}
        self._limits |= {_bytes(file): _LONGEST for file in self._files}
        self._tree = Tree()

    def select(self, name: bytes, _kind: bytes, _link: bytes) -> int | None:
        folder, _, base = name.rpartition(b"/")
        if base == b".wh..wh..opq":
            return 0 if not folder or folder in self._limits else None
        if base.startswith(b".wh."):
            return self._limits.get(posixpath.join(folder, base[4:]))
        return self._limits.get(name)

    def see(self, entry: Entry) -> None:
        if self.select(_bytes(entry.name), b"", b"") is not None and self._tree.add(entry):
            ends = [self._tree.hops(file)[-1:] for file in (PASSWD, GROUP) if file in self._files]
            self.settled = all(
                end and (end[0] not in self._files or self._tree.get(end[0])) for end in ends
            )

    def next_layer(self) -> None:
        self._tree.next_layer()

    def further(self) -> UserSearch | None:
        """A search that asks for the files that links led to, if this one didn't."""
        ends = {end for file in self._files for end in self._tree.hops(file)[-1:]}
        if ends <= self._files or len(self._files) > 10:
            return None
        return UserSearch(self._user, self._group, self._files | ends)

    def found(self, image: str) -> tuple[int, int]:
        """The uid and gid.

        Raises:
            ImageError: `image` doesn't know that user or group.
        """
        uid, gid = self._user, self._group
        if isinstance(uid, str):
            uid, own = self._look_up("user", uid, PASSWD, image)
            gid = own if gid is None else gid
        if isinstance(gid, str):
            gid, _ = self._look_up("group", gid, GROUP, image)
        return uid, gid or 0

    def _look_up(self, what: str, name: str, file: str, image: str) -> tuple[int, int]:
        """The numbers of the first line for `name`: its own, and the next column's, if any."""
        hops = self._tree.hops(file)
        entry = self._tree.get(hops[-1]) if hops else None
        known = f"has no /{file}"
        if entry is not None and entry.size > _LONGEST:
            known = f"has a /{file} of {entry.size:,} bytes"
        elif entry is not None and entry.content is not None:
            known = f"doesn't list it in /{file}"
            for line in entry.content.decode("utf-8", "surrogateescape").split("\n"):
                fields = line.split(":")
                if fields[0] == name and len(fields) > 3 and _is_number(fields[2]):
                    return int(fields[2]), int(fields[3]) if _is_number(fields[3]) else 0
        raise ImageError(
            f"The {what} {name!r} that {image} runs as has no number: the image {known}. "
            'Pass the numbers, as in user="1000" or user="1000:100".'
        )


class PythonSearch:
    """The X.Y of the first ``python``, or else ``python3``, in the folders of PATH.

    Told by the name that links lead to (``python3.11``), by a venv's ``pyvenv.cfg``, or by the
    standard library beside it (``lib/python3.11/os.py``), if there is but one. A link is believed
    without a look at its end, which may lie many layers below.
    """

    def __init__(self, path: list[str]) -> None:
        self.settled = False
        self._path = path
        self._places = {_bytes(place): 0 for place in [*path, *_above(path)]}
        for folder in path:
            self._places[_bytes(_beside(folder, "pyvenv.cfg"))] = 4096
        self._tree: Tree | None = Tree()
        self._venvs: dict[str, str] = {}
        self._stdlibs: dict[str, set[str]] = {}

    def select(self, name: bytes, kind: bytes, link: bytes) -> int | None:
        base = name.rpartition(b"/")[2]
        if base.startswith(b".wh."):
            return None if _INSIDE.search(name) else 0
        limit = self._places.get(name)
        if limit is not None:
            return limit
        if kind == SYMBOLIC_LINK and (name.count(b"/") < 3 or b"python" in link):
            return 0
        return 0 if _PYTHON.fullmatch(base) or base in {b"os.py", b"os.pyc"} else None

    def see(self, entry: Entry) -> None:
        chosen = self.select(_bytes(entry.name), entry.kind, _bytes(entry.link)) is not None
        if not chosen or self._tree is None or not self._tree.add(entry):
            return
        folder, base = posixpath.split(entry.name)
        if stdlib := _STDLIB.fullmatch(entry.name):
            self._stdlibs.setdefault(stdlib[1] or "", set()).add(stdlib[2])
        elif base == "pyvenv.cfg" and (version := _VENV.search(entry.content or b"")):
            self._venvs[folder] = version[1].decode()
        self.settled = any(self._told(self._hops(each, "python")) for each in self._path[:1])
        if len(self._tree) > _MOST_NAMES:
            self._tree, self.settled = None, True

    def next_layer(self) -> None:
        if self._tree is not None:
            self._tree.next_layer()

    def found(self) -> str | None:
        """X.Y, None where nothing tells it."""
        for name in ("python", "python3"):
            for folder in self._path:
                if hops := self._hops(folder, name):
                    return self._told(hops) or self._library(hops)
        return None

    def _hops(self, folder: str, name: str) -> list[str]:
        """From that program on, if there is one."""
        if self._tree is None:
            return []
        hops = self._tree.hops(posixpath.join(folder, name))
        return hops if hops and self._tree.get(hops[0]) else []

    def _told(self, hops: list[str]) -> str | None:
        versions = filter(None, (python_named(posixpath.basename(hop)) for hop in hops))
        venvs = (self._venvs.get(_beside(posixpath.dirname(hop))) for hop in hops)
        return next(versions, None) or next(filter(None, venvs), None)

    def _library(self, hops: list[str]) -> str | None:
        for hop in hops:
            versions = self._stdlibs.get(_beside(posixpath.dirname(hop)), set())
            if versions:
                return min(versions) if len(versions) == 1 else None
        return None


class LibcSearch:
    """The C library that programs of the image's system are linked with: "glibc 2.36".

    The first one seen is it; what upper layers remove of it is no matter.
    """

    def __init__(self) -> None:
        self.settled = False
        self._found: str | None = None

    def select(self, name: bytes, kind: bytes, _link: bytes) -> int | None:
        if b"lib" not in name[:7] or kind not in {REGULAR, SYMBOLIC_LINK}:
            return None
        return _LONGEST_LIBC if _LIBC.fullmatch(name) else None

    def see(self, entry: Entry) -> None:
        if self.select(_bytes(entry.name), entry.kind, b"") is None:
            return
        content = entry.content or b""
        if name := _GLIBC_NAME.fullmatch(entry.link or entry.name):
            self._found, self.settled = f"glibc {name[1]}", True
        elif text := _GLIBC_TEXT.search(content):
            self._found, self.settled = f"glibc {text[1].decode()}", True
        elif "ld-musl-" in entry.name:
            versions = set(_MUSL_VERSION.findall(content))
            one = f" {versions.pop().decode()}" if len(versions) == 1 else ""
            self._found = f"musl{one}"
            self.settled = entry.kind == REGULAR  # Debian's own musl is a link, beside a glibc

    def next_layer(self) -> None: ...

    def found(self) -> str | None:
        """Family and version, None for neither glibc nor musl."""
        return self._found


def python_named(name: str) -> str | None:
    """The X.Y that a program's name tells.

    >>> python_named("python3.11"), python_named("python3")
    ('3.11', None)
    """
    found = _VERSION.fullmatch(name)
    return found[1] if found else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 12


def _above(paths: Iterable[str]) -> set[str]:
    """All folders that lead to those paths."""
    return {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}


def _beside(folder: str, name: str = "") -> str:
    """The prefix that a ``bin`` folder is in, or something there."""
    return posixpath.join(posixpath.dirname(folder), name).rstrip("/")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
