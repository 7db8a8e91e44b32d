"""What was learned of registries and images, kept between programs; it may be deleted at any time.

One small file an entry, written whole and renamed into place, so that any number of processes may
share it and none sees half an entry. Only the user can read it: tokens are among it. What can't be
read is not there, what can't be written (a full disk) is not kept; a build never fails of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fairing_core import log

logger = log.named(__name__)

_KEPT_SECONDS = 30 * 86_400
_SWEPT_EVERY = 86_400
_LARGEST = 4 << 20
_ENTRY = re.compile(r"[0-9a-f]{64}(\.\d+\.\d+)?\Z")  # or one that was never renamed


class Cache:
    """Entries by kind (a folder) and key (any text).

    Args:
        folder: where; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else str(folder)
        self._warned = False

    @classmethod
    def of_user(cls) -> Cache:
        """The user's: ``$FAIRING_CACHE``, else ``$XDG_CACHE_HOME/fairing``; none without a home."""
        named = os.environ.get("FAIRING_CACHE")
        if named:
            return cls(Path(named).expanduser())
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        return cls(Path(home, "fairing") if os.path.isabs(home) else None)

    def get(self, kind: str, key: str) -> bytes | None:
        """The entry's bytes, or None."""
        if self._folder is None:
            return None
        try:
            descriptor = os.open(self._path(kind, key), os.O_RDONLY)
        except OSError:
            return None
        try:
            return os.read(descriptor, _LARGEST)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def put(self, kind: str, key: str, content: bytes) -> None:
        """Keeps an entry, in the place of the one that was there."""
        if self._folder is None or len(content) >= _LARGEST:
            return
        path = self._path(kind, key)
        fresh = f"{path}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            try:
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileNotFoundError:
                self._make(os.path.dirname(path))
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                written = os.write(descriptor, content)
            finally:
                os.close(descriptor)
            if written < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(fresh, path)
        except OSError as exc:
            if not self._warned:
                self._warned = True
                logger.warning("%s can't be written (%s); going on without", self._folder, exc)
        finally:
            with suppress(OSError):
                os.unlink(fresh)

    def drop(self, kind: str, key: str) -> None:
        """Forgets an entry."""
        if self._folder is not None:
            with suppress(OSError):
                os.unlink(self._path(kind, key))

    def load(self, kind: str, key: str) -> Any:
        """An entry that `save` kept; None where there is none."""
        content = self.get(kind, key)
        if content is None:
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            return None

    def save(self, kind: str, key: str, value: Any) -> None:
        """Keeps a plain value, as JSON."""
        self.put(kind, key, json.dumps(value).encode())

    def blob(self, digest: str) -> bytes | None:
        """The bytes that `digest` names, checked against it."""
        content = self.get("blobs", digest)
        if content is None or digest_of(content) != digest:
            return None
        return content

    def keep_blob(self, content: bytes, digest: str) -> None:
        """Keeps a manifest or a config."""
        self.put("blobs", digest, content)

    def sweep(self) -> None:
        """Once a day: removes entries that have not been written for 30 days, and nothing else."""
        if self._folder is None:
            return
        stamp = os.path.join(self._folder, "swept")
        now = time.time()
        with suppress(OSError):
            if now - os.stat(stamp).st_mtime < _SWEPT_EVERY:
                return
        with suppress(OSError):
            self._make(self._folder)
            Path(stamp).touch(0o600)
            for path in self.entries():
                with suppress(OSError):
                    if now - path.stat().st_mtime > _KEPT_SECONDS:
                        path.unlink()

    def entries(self) -> Iterator[Path]:
        """The files of all entries, and nothing else."""
        if self._folder is not None:
            found = Path(self._folder).glob("*/*")
            yield from (path for path in found if _ENTRY.match(path.name))

    def _make(self, folder: str) -> None:
        assert self._folder is not None
        Path(self._folder).parent.mkdir(parents=True, exist_ok=True)
        for each in (self._folder, folder):
            with suppress(FileExistsError):
                os.mkdir(each, 0o700)

    def _path(self, kind: str, key: str) -> str:
        assert self._folder is not None
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return f"{self._folder}/{kind}/{name}"


def digest_of(content: bytes) -> str:
    """``sha256:<hex>`` of some bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
