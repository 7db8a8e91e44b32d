"""The original's store of contexts, against MinIO."""

from __future__ import annotations

import pytest

from fairing_core import errors
from fairing_onprem import MinioContextSource
from tests.bench.minio import Store
from tests.core.s3.test_store_real import put


def test_the_originals_source_makes_its_bucket(minio: Store, prefix: str) -> None:
    keys = (minio.access_key, minio.secret_key)
    store = MinioContextSource(minio.url, *keys, minio.region, bucket=prefix)
    found = put(store, b"held", "0c1d")
    assert found.url == f"s3://{prefix}/fairing-builds/0c1d"
    store.delete(found.url)
    minio.client().delete_bucket(Bucket=prefix)


def test_a_bucket_that_can_not_be_made_in_that_region_says_so(minio: Store, prefix: str) -> None:
    keys = (minio.access_key, minio.secret_key)
    store = MinioContextSource(minio.url, *keys, "eu-nowhere-1", bucket=prefix)
    with pytest.raises(errors.StorageError) as caught:
        put(store, b"held")
    error = caught.value
    assert error.code == "InvalidRegion"
    assert "expecting 'us-east-1'" in str(error)
    assert "region=" in str(error)
