"""A store in a folder, for tests."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, cast

from fairing_core import errors
from fairing_core.types import PodPatch, StoredObject

_BLOCK = 1 << 20


class FolderStorage:
    """Keeps objects as files, each with its digest beside it: a real `Storage` without a server.

    Pods can't reach it, so `pod_access` gives nothing, and nothing can be signed.

    Example:
        >>> import io, hashlib, tempfile
        >>> from pathlib import Path
        >>> from fairing_core.testing import FolderStorage
        >>> store = FolderStorage(folder=Path(tempfile.mkdtemp()))
        >>> digest = f"sha256:{hashlib.sha256(b'held').hexdigest()}"
        >>> store.put("a/b", io.BytesIO(b"held"), size=4, digest=digest).size
        4
        >>> [found.url == store.url("a/b") for found in store.list("a/")]
        [True]
    """

    def __init__(self, *, folder: Path) -> None:
        self._objects = folder.absolute() / "objects"
        self._digests = folder.absolute() / "digests"

    def url(self, key: str) -> str:
        """The file's URL."""
        return (self._objects / key).as_uri()

    def put(
        self,
        key: str,
        content: BinaryIO,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object] | None = None,
    ) -> StoredObject:
        """Writes a file beside its place, and moves it there once it is whole."""
        place = self._objects / key
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        whole, written = hashlib.sha256(), 0
        try:
            with unfinished.open("wb") as file:
                while block := content.read(_BLOCK):
                    file.write(block)
                    whole.update(block)
                    written += len(block)
                    if progress is not None:
                        progress(len(block))
            if (written, f"sha256:{whole.hexdigest()}") != (size, digest):
                raise errors.StorageError(
                    f"{self.url(key)}: its content is not the {size:,} bytes of {digest}; it was "
                    "not written",
                    url=self.url(key),
                )
            note = self._digests / key
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(digest, encoding="utf-8")
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)
        return StoredObject(self.url(key), size, digest=digest)

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        """The file; a whole one is checked as it is read."""
        place = self._place(url)
        if not place.is_file():
            raise errors.StoredObjectNotFound(f"{url}: there is no such object", url=url)
        if start:
            file = place.open("rb")
            file.seek(start)
            return file
        return cast(BinaryIO, io.BufferedReader(_Checked(place, url, self._digest(place))))

    def stat(self, url: str) -> StoredObject | None:
        """What is there, or None."""
        place = self._place(url)
        try:
            found = place.stat()
        except FileNotFoundError:
            return None
        return StoredObject(url, found.st_size, digest=self._digest(place), changed=found.st_mtime)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What is stored under keys that begin with `prefix`."""
        for place in sorted(self._objects.rglob("*")):
            key = place.relative_to(self._objects).as_posix()
            if place.is_file() and not place.name.startswith(".") and key.startswith(prefix):
                found = self.stat(place.as_uri())
                if found is not None:
                    yield found

    def delete(self, url: str) -> None:
        """Removes the file; one that is not there is no error."""
        self._place(url).unlink(missing_ok=True)

    def pod_access(self, mode: Literal["read", "write"]) -> Sequence[PodPatch]:
        """Nothing."""
        return ()

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        """None."""
        return None

    def _place(self, url: str) -> Path:
        from urllib.parse import unquote, urlsplit

        place = Path(os.path.normpath(unquote(urlsplit(url).path)))
        if not place.is_relative_to(self._objects):
            raise errors.StorageError(f"{url} is no object of {self!r}", url=url)
        return place

    def _digest(self, place: Path) -> str | None:
        note = self._digests / place.relative_to(self._objects)
        return note.read_text(encoding="utf-8") if note.is_file() else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(folder={str(self._objects.parent)!r})"


class _Checked(io.RawIOBase):
    """A file whose last bytes are given only if all are those of its digest."""

    def __init__(self, place: Path, url: str, digest: str | None) -> None:
        super().__init__()
        self._file = place.open("rb")
        self._url = url
        self._left = os.fstat(self._file.fileno()).st_size
        self._digest = digest
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """The next bytes."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        self._left -= len(data)
        found = f"sha256:{self._hash.hexdigest()}"
        if data and not self._left and self._digest not in (None, found):
            raise errors.StorageError(
                f"{self._url}: its bytes are not those of {self._digest}", url=self._url
            )
        return len(data)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
