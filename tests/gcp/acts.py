"""What tests of the store do with it, whatever it runs against."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from fairing_core import errors
from fairing_gcp import GCSStore


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put(store: GCSStore, content: bytes, key: str = "a") -> Any:
    return store.put(key, io.BytesIO(content), size=len(content), digest=digest(content))


def refused(kind: type[errors.StorageError], act: Any, *says: str) -> errors.StorageError:
    """The error, which says what to do, and shows no token, no key and no upload's URL."""
    with pytest.raises(kind) as caught:
        act()
    error = caught.value
    shown = str(error) + repr(error.__cause__)
    assert [word for word in says if word not in str(error)] == [], str(error)
    assert not [word for word in ("ya29.", "PRIVATE KEY", "upload_id") if word in shown]
    assert pickle.loads(pickle.dumps(error)).url == error.url
    return error


def all_of(store: GCSStore) -> list[Callable[[], object]]:
    return [
        lambda: put(store, b"held"),
        lambda: store.stat(store.url("a")),
        lambda: store.open(store.url("a")),
        lambda: list(store.list("")),
        lambda: store.delete(store.url("a")),
    ]
