"""The headers of a tar's entries, written by hand: ustar, and PAX records where it can't hold them.

The standard library's tarfile takes ten times as long, and what it writes may differ from one
Python to the next.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format".
"""

from __future__ import annotations

import struct

END = bytes(1024)
"""What ends an archive."""

_FIELDS = struct.Struct("100s 24s 12s 12s 8s 1s 100s 88s 155s 12x")
# name; mode, uid, gid; size; time; checksum; kind; link; magic, version, names of owners, device;
# prefix of the name; what fills the block.
_MAGIC = b"ustar\x0000"
_BLANKS = 8 * 0x20  # a checksum's own field counts as blanks
_FILE, _FOLDER, _RECORDS = b"0", b"5", b"x"
_LARGE = 8 << 30  # bytes; such a size doesn't fit any more
_MOST = 0o7777777  # the highest uid or gid that fits
_ODD = b"././@PaxHeader"


class Headers:
    """Makes the headers of entries that belong to `uid` and `gid` and changed at `mtime` (s)."""

    def __init__(self, *, uid: int, gid: int, mtime: int) -> None:
        ids = ((b"uid", uid), (b"gid", gid))
        self._records = [_record(key, b"%d" % value) for key, value in ids if value > _MOST]
        self._ids = tuple(value if value <= _MOST else 0 for _, value in ids)
        self._time = b"%011o\0" % mtime
        self._known: dict[tuple[int, bytes], tuple[bytes, int]] = {}

    def file(self, name: bytes, mode: int, size: int) -> bytes:
        """What comes before the `size` bytes of the file `name`."""
        return self._entry(name, mode, size, _FILE)

    def folder(self, name: bytes, mode: int) -> bytes:
        """The whole entry of the folder `name`."""
        return self._entry(name + b"/", mode, 0, _FOLDER)

    def _entry(self, name: bytes, mode: int, size: int, kind: bytes) -> bytes:
        if len(name) <= 100 and size < _LARGE and not self._records and name.isascii():
            return self._header(name, b"", mode, size, kind)
        records = list(self._records)
        if size >= _LARGE:
            records.append(_record(b"size", b"%d" % size))
            size = 0
        rest, prefix = name, b""
        if name.isascii():
            split = _split(name)
            if split is None:
                records.append(_record(b"path", name))
            else:
                prefix, rest = split
        else:
            if not _is_utf8(name):
                records.insert(0, _record(b"hdrcharset", b"BINARY"))
            records.append(_record(b"path", name))
            rest = name.decode("ascii", "replace").replace("\ufffd", "?").encode()
        header = self._header(rest[:100], prefix, mode, size, kind)
        if not records:
            return header
        text = b"".join(records)
        odd = self._header(_ODD, b"", 0o644, len(text), _RECORDS)
        return odd + text + bytes(-len(text) % 512) + header

    def _header(self, name: bytes, prefix: bytes, mode: int, size: int, kind: bytes) -> bytes:
        known = self._known.get((mode, kind))
        if known is None:
            owner = b"%07o\0%07o\0%07o\0" % (mode, *self._ids)
            same = sum(owner) + sum(self._time) + sum(_MAGIC) + sum(kind) + _BLANKS
            known = self._known[mode, kind] = (owner, same)
        owner, same = known
        length = b"%011o\0" % size
        checksum = b"%06o\0 " % (same + sum(name) + sum(prefix) + sum(length))
        return _FIELDS.pack(name, owner, length, self._time, checksum, kind, b"", _MAGIC, prefix)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """`name` as a prefix (up to 155 bytes) and the rest (up to 100), if a slash parts it so."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101, -1)
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= 155 else None


def _record(key: bytes, value: bytes) -> bytes:
    """A PAX record: its length, which counts its own digits, the key and the value."""
    bare = len(key) + len(value) + 3  # a blank, "=" and a line's end
    length = bare + len(str(bare))
    length = bare + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
