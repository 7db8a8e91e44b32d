"""A layer's bytes as they travel: gzip, with the digests of what goes in and what comes out.

The stream is cut into pieces that are deflated side by side, each with the end of the one before
it as its dictionary, as pigz does. Together they are one gzip member, which every reader takes. The
bytes depend on the codec alone, not on the number of processors or on how the stream arrives.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import itertools
import os
import struct
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any

from fairing_core.values import field, frozen

Buffer = bytes | bytearray | memoryview

PIECE = 512 << 10
"""Bytes that are deflated at once."""

_WINDOW = 32 << 10  # how far back deflate can refer
_MOST_THREADS = 4  # more don't help: the digests are one thread's work
# Deflated, no flags, no time, no hint of the level, made nowhere in particular.
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST = b"\x03\x00"  # the empty piece that ends a deflate stream


@frozen
class Layer:
    """What a manifest says of a layer, and its image's config.

    `digest` and `size` (bytes) are those of the compressed bytes, `diff_id` and `raw_size` those of
    the tar. Digests are ``sha256:<hex>``.
    """

    digest: str
    diff_id: str
    size: int = field(kw_only=True)
    raw_size: int = field(kw_only=True)


@frozen
class Codec:
    """A way to deflate. `name` changes whenever the same input could give other bytes."""

    name: str
    deflate: Callable[[Buffer, Buffer], Sequence[bytes]] = field(repr=False)
    """A piece, and the bytes that came before it, as raw deflate that ends at a whole byte."""
    crc32: Callable[[Buffer, int], int] = field(repr=False)


def best_codec() -> Codec:
    """ISA-L's where it is installed, else zlib's, which takes five times as long."""
    try:
        return isal_codec()
    except ImportError:
        return zlib_codec()


def codec_name() -> str:
    """The name and version of the codec that a layer is made with, for cache keys."""
    return best_codec().name


@functools.cache
def isal_codec() -> Codec:
    """ISA-L's deflate, at level 1.

    Raises:
        ImportError: it is not there.
    """
    import isal
    from isal import isal_zlib

    return _codec(f"isal-{isal.__version__}-1", isal_zlib)


@functools.cache
def zlib_codec() -> Codec:
    """The standard library's deflate, at level 1."""
    return _codec(f"zlib-{zlib.ZLIB_RUNTIME_VERSION}-1", zlib)


def _codec(name: str, module: Any) -> Codec:
    def deflate(piece: Buffer, before: Buffer) -> Sequence[bytes]:
        stream = module.compressobj(1, module.DEFLATED, -15, zdict=before)
        return stream.compress(piece), stream.flush(module.Z_SYNC_FLUSH)

    return Codec(name, deflate, module.crc32)


class Compressor:
    """Compresses one stream while it is read; what is known in the end is its `layer`.

    compressor = Compressor()
    upload(compressor.blocks(tar(files, uid=0, gid=0)))
    compressor.layer.digest
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec or best_codec()
        self._layer: Layer | None = None

    @property
    def layer(self) -> Layer:
        """The layer that all blocks together are; a ValueError before the last was taken."""
        if self._layer is None:
            raise ValueError("the layer is not known before all of its blocks were taken")
        return self._layer

    def blocks(self, stream: Iterable[Buffer]) -> Generator[bytes, None, None]:
        """The compressed bytes of `stream`, in blocks of at most some 512 KiB.

        It reads ahead of what is taken, by at most 4 MiB, and keeps what it reads: nobody may
        change it after. What `stream` raises is raised here. Who doesn't take all of it should
        ``close`` it.
        """
        self._layer = None
        raw, packed, crc = _Tally(), _Tally(), 0

        def pieces() -> Iterator[Buffer]:
            nonlocal crc
            for piece in _pieces(stream):
                raw.add(piece)
                crc = self._codec.crc32(piece, crc)
                yield piece

        head = _HEAD
        for parts in _deflated(pieces(), self._codec):
            block = b"".join((head, *parts))
            packed.add(block)
            yield block
            head = b""
        block = head + _LAST + struct.pack("<LL", crc, raw.size & 0xFFFFFFFF)
        packed.add(block)
        self._layer = Layer(packed.digest, raw.digest, size=packed.size, raw_size=raw.size)
        yield block


def compress(
    stream: Iterable[Buffer], sink: Callable[[bytes], object], codec: Codec | None = None
) -> Layer:
    """Compresses all of `stream` into `sink`, and gives the layer that it is."""
    compressor = Compressor(codec)
    for block in compressor.blocks(stream):
        sink(block)
    return compressor.layer


class _Tally:
    """The size and digest of bytes that pass by."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: Buffer) -> None:
        self.size += len(data)
        self._sha256.update(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"


def _deflated(pieces: Iterator[Buffer], codec: Codec) -> Iterator[Sequence[bytes]]:
    """Each of `pieces`, deflated, in their order."""
    first = next(pieces, None)
    if first is None:
        return
    second = next(pieces, None)
    if second is None:  # as code mostly is: no thread is worth its start
        yield codec.deflate(first, b"")
        return
    from concurrent.futures import Future, ThreadPoolExecutor  # 4 ms

    threads = min(_MOST_THREADS, max(1, _processors() - 1))  # one reads, and makes the digests
    pending: collections.deque[Future[Sequence[bytes]]] = collections.deque()
    before: Buffer = b""
    with ThreadPoolExecutor(threads, "fairing-deflate") as pool:
        for piece in itertools.chain((first, second), pieces):
            pending.append(pool.submit(codec.deflate, piece, before))
            before = piece[-_WINDOW:]
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pieces(stream: Iterable[Buffer]) -> Iterator[Buffer]:
    """`stream` cut anew into `PIECE` bytes each; not copied where it comes so."""
    rest = bytearray()
    for block in stream:
        if not rest and len(block) == PIECE:
            yield block
            continue
        with memoryview(block) as view:
            at = 0
            while at < len(view):
                taken = view[at : at + PIECE - len(rest)]
                rest += taken
                at += len(taken)
                if len(rest) == PIECE:
                    yield rest
                    rest = bytearray()
    if rest:
        yield rest
