"""The store, against an S3 server in this process. It checks no keys: for that, MinIO is there."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairing_core import checks, errors
from fairing_core.s3 import S3Store
from fairing_core.testing import StorageConformance


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of an S3 server."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


def store_at(server: str, **more: Any) -> S3Store:
    settings = {"bucket": "lab", "create_bucket": True, "region": "eu-west-1", **more}
    return S3Store(endpoint_url=server, access_key="key", secret_key="s3cr3t", **settings)


def put(store: S3Store, content: bytes, key: str = "a") -> Any:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return store.put(key, io.BytesIO(content), size=len(content), digest=digest)


class TestServer(StorageConformance):
    secrets = ("s3cr3t",)

    @pytest.fixture(autouse=True)
    def _at(self, server: str) -> None:
        self.server = server
        put(store_at(server), b"so that there is a bucket")

    def make(self) -> S3Store:
        return store_at(self.server)


def test_a_bucket_is_made_only_where_that_was_said(server: str) -> None:
    name = f"made-{secrets.token_hex(4)}"
    with pytest.raises(errors.StoredObjectNotFound, match="make it, or say create_bucket=True"):
        put(store_at(server, bucket=name, create_bucket=False), b"1")
    made = store_at(server, bucket=name)
    assert made.stat(made.url("a")) is None
    put(made, b"1")
    assert store_at(server, bucket=name, create_bucket=False).stat(made.url("a"))


def test_nobody_there_is_said_with_what_to_do() -> None:
    away = store_at("http://127.0.0.1:9")
    with pytest.raises(errors.StorageUnreachable, match=r"127\.0\.0\.1:9"):
        away.stat(away.url("a"))


def test_the_doctor_writes_reads_and_leaves_nothing(server: str) -> None:
    store = store_at(server)
    assert checks.store(store).ok is True
    assert not list(store.list("doctor"))


def test_a_signed_url_is_for_one_verb(server: str, tmp_path: Path) -> None:
    store = store_at(server, pod_endpoint_url="http://minio.lab.example:9000")
    read = store.signed_url(store.url("a"), seconds=60)
    written = store.signed_url(store.url("a"), seconds=60, mode="write")
    assert read is not None
    assert read.startswith("http://minio.lab.example:9000/lab/fairing/a?X-Amz-Algorithm=")
    assert read != written
