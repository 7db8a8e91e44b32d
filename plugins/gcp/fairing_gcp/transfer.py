"""Moves an object's bytes: up as a stream, down in pieces, both checked by SHA-256."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from fairing_gcp import faults
from fairing_gcp._sdk import Api
from fairing_gcp.faults import Asked

PIECE = 8 << 20
"""Bytes of a piece, a multiple of 256 KiB; an object of no more is sent at once."""

METADATA = "sha256"
"""Under which metadata an object's SHA-256 is kept, in hex."""

_READ = 4 << 20


class Place(NamedTuple):
    """Where an object is."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """As users and pods call it."""
        return f"gs://{self.bucket}/{self.key}"


class Checked(io.RawIOBase):
    """A content on its way up: its last bytes are given only if all are those of its digest.

    The SDK goes back where a piece was lost, so each byte is counted once.
    """

    def __init__(
        self,
        content: BinaryIO,
        url: str,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object],
    ) -> None:
        super().__init__()
        self._content = content
        self._url = url
        self._size = size
        self._digest = digest
        self._progress = progress
        self._from = content.tell()
        self._at = 0
        self._seen = 0
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """From the content's beginning on."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Goes back, or to the end."""
        self._at = offset + (0, self._at, self._size)[whence]
        self._content.seek(self._from + self._at)
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; only the end gives less than `size`.

        Raises:
            StorageError: it is not what its size and digest say.
        """
        left = self._size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        pieces = []
        while wanted and (piece := self._content.read(min(wanted, PIECE))):
            pieces.append(piece)
            wanted -= len(piece)
        data = b"".join(pieces)
        fresh = data[max(self._seen - self._at, 0) :]
        self._at += len(data)
        self._hash.update(fresh)
        self._seen += len(fresh)
        if wanted or (self._seen == self._size and fresh):
            self.check()
        if fresh:
            self._progress(len(fresh))
        return data

    def check(self) -> None:
        """Whether all of it has been read, and is what was said.

        Raises:
            StorageError: it is not.
        """
        found = f"sha256:{self._hash.hexdigest()}"
        if self._seen != self._size or self._content.read(1) or found != self._digest:
            raise faults.damaged(
                self._url,
                f"its content is not the {self._size:,} bytes of {self._digest}; it was not "
                "written",
            )


class Reader(io.RawIOBase):
    """An object's bytes, of one generation; a piece that breaks off is asked for again."""

    def __init__(self, api: Api, place: Place, start: int = 0) -> None:
        super().__init__()
        self._api = api
        self._asked = Asked("can't read", place.url)
        self._url = place.url
        blob = api.blob(*place)
        with api.asking(self._asked):
            blob.reload(**api.how())
            self._stream: Any = blob.open(
                "rb", chunk_size=_READ, if_generation_match=blob.generation, **api.how()
            )
            self._stream.seek(start)
        self._left = max(int(blob.size) - start, 0)
        self._digest = None if start else (blob.metadata or {}).get(METADATA)
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes.

        Raises:
            StorageError: the object is another than its digest says, or the connection broke.
        """
        wanted = min(len(buffer), self._left)
        if not wanted:
            return 0
        with self._api.asking(self._asked):
            data = self._stream.read(wanted)
        if not data:
            raise faults.damaged(self._url, "it ended too soon; read it again")
        buffer[: len(data)] = data
        self._left -= len(data)
        self._hash.update(data)
        if not self._left and self._digest not in (None, self._hash.hexdigest()):
            raise faults.damaged(
                self._url,
                f"its bytes are not those of sha256:{self._digest}; somebody has written it by "
                "other means: delete it, and write it again",
            )
        return len(data)

    def close(self) -> None:
        """Drops what was read ahead."""
        if not self.closed:
            self._stream.close()
        super().close()
