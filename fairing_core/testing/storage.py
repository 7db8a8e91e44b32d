"""The clauses that every storage keeps, as tests to inherit."""

from __future__ import annotations

import hashlib
import io
import pickle
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, ClassVar

from fairing_core import errors
from fairing_core.interfaces import Storage
from fairing_core.testing.clauses import raised, references, shown, untouched
from fairing_core.types import StoredObject

_LARGE = (20 << 20) + 7  # bytes: more than one part of whatever sends in parts


class StorageConformance:
    """The clauses of a storage: inherit, say how one is made, and run pytest.

    `make` is called for each test; what it gives are stores of one and the same place.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from fairing_core.testing import FolderStorage, StorageConformance
        >>> folder = Path(tempfile.mkdtemp())
        >>> class TestFolder(StorageConformance):
        ...     def make(self):
        ...         return FolderStorage(folder=folder)
        >>> TestFolder().test_what_is_put_comes_back()
    """

    secrets: ClassVar[tuple[str, ...]] = ()
    """What the store is made with and nobody may see: its secret key, for one."""

    def make(self) -> Storage:
        """The store."""
        raise NotImplementedError

    def test_it_is_a_storage(self) -> None:
        assert isinstance(self.make(), Storage)

    def test_making_it_asks_nobody_and_neither_does_a_url(self) -> None:
        with untouched():
            store = self.make()
            assert store.url("a/b").endswith("a/b")
            assert "://" in store.url("a/b")

    def test_secrets_stay_out_of_its_repr(self) -> None:
        assert not [secret for secret in self.secrets if secret in repr(self.make())]

    def test_an_object_is_read_from_a_byte_on(self) -> None:
        store, key = self.make(), _key()
        _put(store, key, b"0123456789" * 1000)
        with store.open(store.url(key), start=9_993) as stream:
            assert stream.read() == b"3456789"
        with store.open(store.url(key), start=10_000) as stream:
            assert stream.read() == b""
        store.delete(store.url(key))

    def test_what_is_put_comes_back(self) -> None:
        store, key, content = self.make(), _key(), b"held" * 1000
        put = _put(store, key, content)
        assert (put.url, put.size) == (store.url(key), len(content))
        assert put.digest == _digest(content)
        with self.make().open(put.url) as stream:
            assert stream.read() == content
        store.delete(put.url)

    def test_a_large_object_is_sent_as_a_stream_and_progress_is_told(self) -> None:
        store, key = self.make(), _key()
        content = secrets.token_bytes(1 << 20) * (_LARGE // (1 << 20)) + b"the end"
        source, told = _Wary(content), list[int]()
        put = store.put(
            key,
            source,
            size=len(content),
            digest=_digest(content),
            progress=told.append,
        )
        assert sum(told) == len(content)
        assert len(told) > 1
        whole = hashlib.sha256()
        with store.open(put.url) as stream:
            while block := stream.read(1 << 18):
                whole.update(block)
        assert f"sha256:{whole.hexdigest()}" == _digest(content)
        store.delete(put.url)

    def test_an_empty_object_is_one(self) -> None:
        store, key = self.make(), _key()
        put = _put(store, key, b"")
        found = store.stat(put.url)
        assert found is not None
        assert found.size == 0
        with store.open(put.url) as stream:
            assert stream.read() == b""
        store.delete(put.url)

    def test_stat_tells_size_digest_and_time(self) -> None:
        store, key = self.make(), _key()
        put = _put(store, key, b"held")
        found = store.stat(put.url)
        assert found is not None
        assert (found.url, found.size) == (put.url, 4)
        assert found.digest in (None, _digest(b"held"))
        assert found.changed is not None
        store.delete(put.url)

    def test_put_twice_gives_one_object_and_it_counts_as_new(self) -> None:
        store, key = self.make(), _key()
        first = _put(store, key, b"held")
        before = store.stat(first.url)
        assert _put(store, key, b"held") == first
        after = store.stat(first.url)
        assert before is not None
        assert after is not None
        assert (after.changed or 0.0) >= (before.changed or 0.0)
        assert len(list(store.list(key))) == 1
        store.delete(first.url)

    def test_two_who_put_one_object_at_once_do_not_disturb_each_other(self) -> None:
        key, content = _key(), secrets.token_bytes(1 << 20) * 9
        ready = threading.Barrier(2)

        def put(_: int) -> None:
            store = self.make()
            ready.wait(30)
            _put(store, key, content)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(put, range(2)))
        store = self.make()
        with store.open(store.url(key)) as stream:
            assert stream.read() == content
        assert len(list(store.list(key))) == 1
        store.delete(store.url(key))

    def test_content_that_is_not_its_digest_is_refused_and_leaves_nothing(self) -> None:
        store = self.make()
        for content in (b"held", secrets.token_bytes(1 << 20) * 9):
            key = _key()
            stream, size = io.BytesIO(content), len(content)

            def put(key: str = key, stream: BinaryIO = stream, size: int = size) -> object:
                return store.put(key, stream, size=size, digest=_digest(b"other"))

            assert isinstance(raised(put), errors.StorageError)
            assert store.stat(store.url(key)) is None

    def test_content_of_another_size_is_refused_and_leaves_nothing(self) -> None:
        store, key = self.make(), _key()
        for size in (3, 5):

            def put(size: int = size) -> object:
                return store.put(key, io.BytesIO(b"held"), size=size, digest=_digest(b"held"))

            assert isinstance(raised(put), errors.StorageError)
            assert store.stat(store.url(key)) is None

    def test_what_is_not_there_is_none_or_not_found(self) -> None:
        store = self.make()
        url = store.url(_key())
        assert store.stat(url) is None
        error = raised(lambda: store.open(url).read())
        assert isinstance(error, errors.StoredObjectNotFound)
        assert error.url == url
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert (str(again), again.url) == (str(error), url)

    def test_list_gives_what_begins_with_the_prefix(self) -> None:
        store, folder = self.make(), _key()
        urls = [_put(store, f"{folder}/{name}", b"held").url for name in ("a", "b/c", "bd")]
        _put(store, f"{folder}-other", b"held")
        found = list(store.list(f"{folder}/"))
        assert sorted(one.url for one in found) == sorted(urls)
        assert all(one.size == 4 for one in found)
        assert all(one.changed is not None for one in found)
        assert sorted(one.url for one in store.list(f"{folder}/b")) == sorted(urls[1:])
        assert not list(store.list(f"{folder}/nothing"))
        for url in (*urls, store.url(f"{folder}-other")):
            store.delete(url)

    def test_delete_removes_and_twice_is_once(self) -> None:
        store, key = self.make(), _key()
        url = _put(store, key, b"held").url
        store.delete(url)
        store.delete(url)
        assert store.stat(url) is None

    def test_another_stores_url_is_refused(self) -> None:
        store = self.make()
        error = raised(lambda: store.stat("odd://elsewhere/object"))
        assert isinstance(error, errors.StorageError)

    def test_what_pods_get_has_no_secret_in_it_but_in_secrets(self) -> None:
        store = self.make()
        for mode in ("read", "write"):
            try:
                patches = store.pod_access(mode)
            except errors.Unsupported:
                continue
            assert not [secret for secret in self.secrets if secret in shown(patches)]
            made = {secret.name for patch in patches for secret in patch.secrets}
            assert made <= references(patches), (
                "a Secret that nothing refers to is made for nothing"
            )
            assert list(store.pod_access(mode)) == list(patches)

    def test_a_signed_url_is_one_or_none(self) -> None:
        store, key = self.make(), _key()
        url = _put(store, key, b"held").url
        signed = store.signed_url(url, seconds=60)
        assert signed is None or signed.startswith(("http://", "https://"))
        assert not [secret for secret in self.secrets if secret in str(signed)]
        store.delete(url)


class _Wary(io.BytesIO):
    """A stream that is never read whole."""

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size < _LARGE, "it is read whole"
        return super().read(size)


def _key() -> str:
    return f"conformance/{secrets.token_hex(8)}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _put(store: Storage, key: str, content: bytes) -> StoredObject:
    return store.put(key, io.BytesIO(content), size=len(content), digest=_digest(content))
