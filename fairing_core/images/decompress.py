"""A layer's bytes, decompressed as they come: `plain`."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol, cast

_PIECE = 256 * 1024  # of decompressed data: fits a processor's cache


class BadLayer(ValueError):
    """The bytes are no tar, or none that can be read; the message goes on from "layer 3: "."""


def plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed stream, in pieces of any size; what it is compressed with, it says itself.

    Raises:
        BadLayer: damaged, cut short, or compressed with what can't be decompressed here.
    """
    stream = iter(chunks)
    head = b""
    for chunk in stream:
        head += chunk
        if len(head) >= 4:
            break
    whole = chain((head,), stream)
    if head.startswith(b"\x1f\x8b"):
        return _decompressed(whole, *_gzip())
    if head.startswith(b"\x28\xb5\x2f\xfd") or head[1:4] == b"\x2a\x4d\x18":  # or skippable
        return _decompressed(whole, *_zstd())
    return whole


class _Decompressor(Protocol):
    """As the standard library's since 3.5, and isal's."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Inflate:
    """zlib's decompressor with the others' manners."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_Codec = tuple[Callable[[], _Decompressor], type[Exception]]


def _gzip() -> _Codec:
    try:
        from isal import igzip_lib
    except ImportError:  # no wheel for this machine
        return _Inflate, zlib.error
    error = cast("type[Exception]", igzip_lib.error)  # its stub takes the class for an instance
    return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), error


def _zstd() -> _Codec:
    try:
        zstd = importlib.import_module("compression.zstd")  # since Python 3.14
    except ImportError:
        raise BadLayer("it is compressed with zstd, which Python reads since 3.14") from None
    return zstd.ZstdDecompressor, zstd.ZstdError


def _decompressed(
    chunks: Iterable[bytes], new: Callable[[], _Decompressor], fault: type[Exception]
) -> Iterator[bytes]:
    """All members (frames), one after the other; zeros behind one are padding."""
    member: _Decompressor | None = new()
    for chunk in chunks:
        data = chunk
        while True:
            if member is None:
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = new()
            try:
                piece = member.decompress(data, _PIECE)
            except fault as exc:
                raise BadLayer(f"its compressed data is damaged ({exc})") from exc
            data = b""
            if piece:
                yield piece
            if member.eof:
                data, member = member.unused_data, None
            elif member.needs_input:
                break
    if member is not None:
        raise BadLayer("its compressed data ends early")
