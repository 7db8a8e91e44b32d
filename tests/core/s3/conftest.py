from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairing_core.s3 import S3Store
from tests.bench.minio import Store
from tests.core.s3.proxy import Proxy, before

Make = Callable[..., S3Store]


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No keys and no logins but the test's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/dev/null")
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bucket(minio: Store, prefix: str) -> Iterator[str]:
    """A bucket of the test's own."""
    client = minio.client()
    client.create_bucket(Bucket=prefix)
    yield prefix
    for each in client.list_objects_v2(Bucket=prefix).get("Contents", ()):
        client.delete_object(Bucket=prefix, Key=each["Key"])
    client.delete_bucket(Bucket=prefix)


@pytest.fixture
def at(minio: Store, bucket: str) -> Make:
    """The store as root, or with other settings."""

    def made(**settings: Any) -> S3Store:
        usual: dict[str, Any] = {
            "bucket": bucket,
            "endpoint_url": minio.url,
            "access_key": minio.access_key,
            "secret_key": minio.secret_key,
        }
        return S3Store(**{**usual, **settings})

    return made


@pytest.fixture
def proxy(minio: Store) -> Iterator[Proxy]:
    """A proxy before MinIO."""
    with before(minio.url) as proxy:
        yield proxy
