"""What a layer holds, read as its bytes come: `entries`.

A layer is a tar, plain or compressed with gzip or zstd, of any size and any number of entries.
Contents that nobody asked for are stepped over, never copied, so that reading costs little more
than decompressing; memory stays at a few pieces of the stream.

Sources: POSIX.1-2017 pax, GNU tar 1.35 "Basic Tar Format"; where they leave a choice, what Go's
``archive/tar`` does, since container engines unpack layers with that.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import NamedTuple

from fairing_core.images.decompress import BadLayer, plain

REGULAR, HARD_LINK, SYMBOLIC_LINK, DIRECTORY = b"0", b"1", b"2", b"5"
"""Kinds of entries; other kinds come as the tar has them."""

_BLOCK = 512
_END = bytes(_BLOCK)
_LONGEST = 1024 * 1024  # extended header; Go's limit, too
_BODILESS = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})  # no content, whatever the size says
_SPARSE = b"S"  # of old GNU tars
_FILES = frozenset({b"0", b"\0", b"7", _SPARSE})
_EXTENDED = frozenset({b"L", b"K", b"x", b"X", b"g"})
_KEYWORDS = frozenset({b"path", b"linkpath", b"size", b"GNU.sparse.name"})
_RECORD = re.compile(rb"(\d{1,7}) ")


class Entry(NamedTuple):
    """One entry of a tar.

    `name` and a hard link's `link` are relative to the image's root, without ``.`` and ``..``;
    a symbolic link's is as written. `content` is there if it was asked for and short enough; a
    sparse file's is without its holes.
    """

    name: str
    kind: bytes
    link: str
    size: int
    content: bytes | None


Select = Callable[[bytes, bytes, bytes], int | None]
"""Told (name, kind, link), says how long a content is wanted; None: the entry isn't wanted."""


def entries(chunks: Iterable[bytes], select: Select) -> Generator[Entry]:
    """Those entries of a layer that `select` wants, in the layer's order.

    Reads to the stream's very end, so that checks at its end (a CRC, a digest) are made.

    Raises:
        BadLayer: it is damaged, ends early, or is of an unknown kind.
    """
    pieces = plain(chunks)
    blocks = _Blocks(pieces)
    extended: dict[bytes, bytes] = {}
    while header := blocks.take(_BLOCK):
        if not _sound(header):
            if header == _END:
                break
            raise BadLayer("what should be a tar's header is none (its checksum is wrong)")
        if header[156:157] in _EXTENDED:
            size = _number(header[124:136])
            extended |= _extension(header[156:157], blocks.content(size, most=_LONGEST))
            continue
        name, kind, link, size = _described(header, extended)
        extended = {}
        if header[156:157] == _SPARSE:
            blocks.skip_sparse_map(header)
        most = select(name, kind, link)
        if most is not None and size <= most:
            yield Entry(_text(name), kind, _text(link), size, blocks.content(size, most=most))
            continue
        blocks.skip(size)
        if most is not None:
            yield Entry(_text(name), kind, _text(link), size, None)
    for _ in pieces:
        pass


class _Blocks:
    """A stream to take bytes from, or to step over them without copying."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes; none at all at the stream's end."""
        end = self._at + size
        taken = self._piece[self._at : end]
        self._at = end
        if len(taken) == size:
            return taken
        parts = [taken]
        missing = size - len(taken)
        while missing:
            piece = next(self._pieces, None)
            if piece is None:
                if missing == size:
                    return b""
                raise BadLayer("it ends early")
            self._piece, self._at = piece, min(missing, len(piece))
            parts.append(piece[: self._at])
            missing -= self._at
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Steps over a content of that size, and over what fills its last block."""
        self._step(size + -size % _BLOCK)

    def _step(self, size: int) -> None:
        self._at += size
        while self._at > len(self._piece):
            self._at -= len(self._piece)
            piece = next(self._pieces, None)
            if piece is None:
                raise BadLayer("it ends in the midst of a file")
            self._piece = piece

    def content(self, size: int, *, most: int) -> bytes:
        """The content of that size."""
        if size > most:
            raise BadLayer(f"an extended header has {size:,} bytes")
        content = self.take(size)
        if len(content) < size:
            raise BadLayer("it ends in the midst of a file")
        self._step(-size % _BLOCK)
        return content

    def skip_sparse_map(self, header: bytes) -> None:
        """Steps over the blocks that go on with an old GNU sparse file's map."""
        more = header[482]
        while more:
            block = self.take(_BLOCK)
            if not block:
                raise BadLayer("it ends early")
            more = block[504]


def _sound(header: bytes) -> bool:
    """Whether the checksum is right: the sum of the bytes, with blanks for the checksum itself.

    The low half of Adler-32 is that sum, but for its modulus, at a tenth of the time of `sum`.
    """
    field = header[148:156]
    try:
        stored = _number(field) - 256 + sum(field)
    except BadLayer:
        return False
    if ((zlib.adler32(header) & 0xFFFF) - 1 - stored) % 65521 == 0:
        return True
    signed = sum(header) - 256 * sum(1 for byte in header if byte > 127)  # as old tars sum
    return signed == stored - 256 * sum(1 for byte in field if byte > 127)


def _number(field: bytes) -> int:
    """An octal number, or, where the first bit is set, one to the base 256."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise BadLayer("a file's size is negative")
        return int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
    digits = field.strip(b" \0").partition(b"\0")[0] or b"0"
    try:
        number = int(digits, 8)
    except ValueError:
        number = -1
    if number < 0:
        raise BadLayer(f"a number in a header is none: {field!r}")
    return number


def _decimal(field: bytes) -> int:
    if not field.isdigit() or len(field) > 20:
        raise BadLayer(f"a file's size is no number: {field[:20]!r}")
    return int(field)


def _extension(kind: bytes, content: bytes) -> dict[bytes, bytes]:
    """What an extended header says of the next entry, by its pax keyword."""
    if kind == b"g":
        return {}  # as Go has it; who writes them only comments
    if kind in b"LK":
        return {b"path" if kind == b"L" else b"linkpath": content.partition(b"\0")[0]}
    found = {}
    at = 0
    while at < len(content) and content[at]:
        length = _RECORD.match(content, at)
        end = at + int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(content) or content[end - 1] != 10:
            raise BadLayer("an extended header is damaged")
        key, _, value = content[length.end() : end - 1].partition(b"=")
        if key in _KEYWORDS:
            found[key] = value
        at = end
    return found


def _described(header: bytes, extended: dict[bytes, bytes]) -> tuple[bytes, bytes, bytes, int]:
    """Name, kind, link and size of an entry."""
    kind = header[156:157]
    name = extended.get(b"GNU.sparse.name") or extended.get(b"path")
    if not name:
        name = header[:100].partition(b"\0")[0]
        if header[345] and header[257:263] == b"ustar\0":
            name = header[345:500].partition(b"\0")[0] + b"/" + name
    link = b""
    if header[157] or extended:
        link = extended.get(b"linkpath") or header[157:257].partition(b"\0")[0]
    if kind in _BODILESS:
        size = 0
    else:
        size = _decimal(extended[b"size"]) if b"size" in extended else _number(header[124:136])
    if kind in _FILES:
        kind = DIRECTORY if kind == b"\0" and name.endswith(b"/") else REGULAR
    return normal(name), kind, normal(link) if kind == HARD_LINK else link, size


def normal(name: bytes) -> bytes:
    """A name relative to the root, without ``.`` and ``..``.

    >>> normal(b"./usr//bin/"), normal(b"/etc/../../bin"), normal(b"./")
    (b'usr/bin', b'bin', b'')
    """
    if name.startswith(b"./"):
        name = name[2:]
    name = name.strip(b"/")
    if b"//" in name or b"./" in name or name.endswith((b"/.", b"/..")) or name in {b".", b".."}:
        return posixpath.normpath(b"/" + name)[1:]
    return name


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
