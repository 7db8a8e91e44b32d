from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.bench.aws import Aws, User
from tests.bench.minio import Store
from tests.core.s3.conftest import nobody

__all__ = ["nobody"]

ECR = (
    "ecr:GetAuthorizationToken",
    "ecr:DescribeRepositories",
    "ecr:CreateRepository",
)
As = Callable[..., User]


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
def settings(aws: Aws, bucket: str) -> dict[str, Any]:
    """The backend's, for the bench's AWS."""
    return {
        "region": aws.region,
        "sts_endpoint_url": aws.url,
        "ecr_endpoint_url": aws.url,
        "endpoint_url": aws.s3_url,
        "image_registry": aws.registry.image("") or aws.registry.name,
        "ca": aws.registry.ca,
        "bucket": bucket,
    }


@pytest.fixture
def log_in(aws: Aws, prefix: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> As:
    """Logs in as a new user who may do those actions, and all in the test's bucket."""
    count = 0

    def logged_in(*actions: str, buckets: tuple[str, ...] | None = None) -> User:
        nonlocal count
        count += 1
        user = aws.user(
            f"{prefix}-{count}", *actions, buckets=(bucket,) if buckets is None else buckets
        )
        for name, value in user.environ.items():
            monkeypatch.setenv(name, value)
        return user

    return logged_in
