"""The code as a layer: packed anew, or known from an earlier build of the very same files."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from fairing_core.build import codec, layer
from fairing_core.build.codec import Layer
from fairing_core.images.cache import Cache
from fairing_core.types import ContextFile
from fairing_core.values import plain

SMALL = 4 << 20
"""Bytes up to which a layer is packed in memory; larger ones are sent while they are packed."""


class CodeLayer:
    """The layer of some files for one owner.

    Args:
        files: sorted by destination.
        uid: whom they belong to in the image, by number.
        gid: likewise.
        stat_key: what `layer.stat_key` says of the files; None where it can't tell.
        cache: remembers layers.
    """

    def __init__(
        self,
        files: Sequence[ContextFile],
        *,
        uid: int,
        gid: int,
        stat_key: str | None,
        cache: Cache,
    ) -> None:
        self._files = files
        self._uid, self._gid = uid, gid
        self._cache = cache
        self._key = f"{stat_key}:{uid}:{gid}" if stat_key else None
        self._made: Layer | None = None
        self.is_small = sum(file.size for file in files) <= SMALL

    @functools.cached_property
    def known(self) -> Layer | None:
        """The layer, if these files were packed before; no file is read for that."""
        kept = self._cache.load("layers", self._key) if self._key else None
        try:
            return Layer(**kept) if kept else None
        except TypeError:
            return None

    @property
    def made(self) -> Layer:
        """The layer, once `blocks` has given its last block."""
        assert self._made is not None
        return self._made

    def pack(self) -> tuple[Layer, bytes]:
        """The layer and its compressed bytes."""
        content = b"".join(self.blocks())
        return self.made, content

    def blocks(self) -> Iterator[bytes]:
        """The compressed bytes, as they are made; from the first one at each call.

        Raises:
            InputError: a file can't be read, or changed while it was.
        """
        self._made = None
        compressor = codec.Compressor()
        yield from compressor.blocks(layer.tar(self._files, uid=self._uid, gid=self._gid))
        self._made = compressor.layer
        if self._key:
            self._cache.save("layers", self._key, plain(self._made))
