"""Gets a build's context to where its engine reads it: the store, a Secret, or stdin."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from fairing_core import errors, log
from fairing_core.build.archive import Archive
from fairing_core.build.cluster import job
from fairing_core.build.cluster.engines import Engine
from fairing_core.build.cluster.job import Supply
from fairing_core.interfaces import Storage, certificates_of
from fairing_core.types import Check, Report, StoredObject

logger = log.named(__name__)

CONTEXTS = "contexts/"
"""What the keys of contexts in a store begin with."""

_BLOCK = 1 << 20
_IN_MEMORY = 4 << 20  # bytes of an archive above which it waits on the disk
_DAY = 86_400  # seconds
_MARGIN = 600  # seconds that a signed URL is good for beyond the build's own time


class Parcel:
    """A context on its way, for a ``with``.

    Args:
        archive: what is sent.
        engine: who reads it.
        storage: where the backend keeps contexts; None has none.
        report: told of the way that was chosen, and of what is sent.
    """

    def __init__(
        self, archive: Archive, engine: Engine, storage: Storage | None, report: Report
    ) -> None:
        self._archive = archive
        self._engine = engine
        self._storage = storage
        self._report = report
        self._content: BinaryIO | None = None

    def __enter__(self) -> Parcel:
        return self

    def __exit__(self, *_: object) -> None:
        """Drops what waits on the disk."""
        if self._content is not None:
            self._content.close()

    def supply(self, *, timeout: float) -> Supply:
        """How the engine gets it, for a build of so many seconds; it is in the store then.

        Raises:
            StorageError: the store refused, or can't be reached.
            InputError: a file can't travel.
        """
        if self._storage is not None:
            url = self._stored(self._storage)
            return self._from_store(self._storage, url, timeout)
        content, size = self._packed()
        if size <= job.SECRET_LIMIT:
            self._tell("a Secret of the build's own", size)
            return job.in_secret(content.read(), self._engine)
        self._tell("the build's stdin, as no store is set up", size)
        return job.by_stdin(self._engine)

    def blocks(self) -> Iterator[bytes]:
        """The archive's bytes, for stdin."""
        content, size = self._packed()
        content.seek(0)
        sent = 0
        while block := content.read(_BLOCK):
            yield block
            sent += len(block)
            self._report("uploading", sent=sent, total=size)

    def foreseen(self) -> Supply:
        """As `supply`, as far as that can be told without sending, or packing, anything."""
        if self._storage is not None:
            url = self._storage.url(self._key)
            direct = self._by_itself(self._storage, url)
            return direct or job.by_url("", certificates_of(self._storage))
        if self._archive.size <= job.SECRET_LIMIT:
            return job.in_secret(b"", self._engine)
        return job.by_stdin(self._engine)

    def check(self) -> Check:
        """What is known of its way before it is sent."""
        if self._storage is None:
            if self._archive.size <= job.SECRET_LIMIT:
                return Check("context", True, "it travels by a Secret of the build's own")
            return Check("context", True, "it travels by the build's stdin: no store is set up")
        url = self._storage.url(self._key)
        try:
            found = self._storage.stat(url)
        except errors.StorageError as exc:
            return Check("context", False, str(exc))
        there = f"{url} is there already" if found else f"it will be stored as {url}"
        return Check("context", True, there)

    @property
    def _key(self) -> str:
        return f"{CONTEXTS}{self._archive.key}.tar.gz"

    def _stored(self, storage: Storage) -> str:
        """Its URL; one that is there already costs one request.

        One from another day is written anew: whoever removes contexts goes by their age, and should
        not find one that a build is about to read.
        """
        key = self._key
        url = storage.url(key)
        if (found := storage.stat(url)) and not _is_old(found):
            self._report("stored", url=url, bytes=found.size, sent=0)
            return url
        content, size = self._packed()
        sent = 0

        def progress(count: int) -> None:
            nonlocal sent
            sent += count
            self._report("uploading", sent=min(sent, size), total=size)

        stored = storage.put(key, content, size=size, digest=self._digest, progress=progress)
        self._report("stored", url=stored.url, bytes=size, sent=size)
        return stored.url

    def _from_store(self, storage: Storage, url: str, timeout: float) -> Supply:
        if (direct := self._by_itself(storage, url)) is not None:
            return direct
        signed = storage.signed_url(url, seconds=timeout + _MARGIN)
        if signed is None:
            raise errors.Unsupported(
                f"{self._engine.name} can't read contexts from {urlsplit(url).scheme}:// by "
                "itself, and this store gives no signed URL; build with engine='kaniko', or "
                "without a store"
            )
        return job.by_url(signed, certificates_of(storage))

    def _by_itself(self, storage: Storage, url: str) -> Supply | None:
        """The engine reads it, as it knows such stores, and its pod has the identity for that."""
        if urlsplit(url).scheme not in self._engine.reads:
            return None
        try:
            return Supply("store", url, tuple(storage.pod_access("read")))
        except errors.Unsupported as exc:
            logger.info("the context is fetched by a signed URL: %s", exc)
            return None

    def _packed(self) -> tuple[BinaryIO, int]:
        """The archive, at its beginning, and its size; compressed once."""
        if self._content is None:
            spool = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - `close` does
            content = cast(BinaryIO, spool)
            try:
                layer = self._archive.gzip(content)
            except OSError as exc:
                content.close()
                if isinstance(exc, errors.FairingError):
                    raise
                raise errors.StateError(
                    f"the context can't be packed in {tempfile.gettempdir()} "
                    f"({exc.strerror or exc}); make room there, or set TMPDIR"
                ) from exc
            self._content, self._size, self._digest = content, layer.size, layer.digest
        self._content.seek(0)
        return self._content, self._size

    def _tell(self, way: str, size: int) -> None:
        logger.info("the context (%d bytes) travels by %s", size, way)
        self._report("supplying", way=way, bytes=size)


def _is_old(found: StoredObject) -> bool:
    return found.changed is not None and time.time() - found.changed > _DAY
