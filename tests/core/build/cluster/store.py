"""A store on S3, as a backend's would be: what a build asks of it, and counts of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

from fairing_core.types import OwnedSecret, PodPatch, StoredObject
from tests.bench.minio import Store


@dataclass
class S3:
    """A bucket on one of the bench's servers; pods read it by `reader`'s keys."""

    store: Store
    reader: Store
    bucket: str
    pod_url: str = ""
    scheme: str = "s3"
    """``lab`` is one that no engine knows."""
    is_lost: bool = False
    """Whether what is put is gone at once."""
    asked: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.client = self.store.client()
        self.pod_url = self.pod_url or self.store.pod_url

    def url(self, key: str) -> str:
        return f"{self.scheme}://{self.bucket}/{key}"

    def key(self, url: str) -> str:
        return url.removeprefix(f"{self.scheme}://{self.bucket}/")

    def put(
        self,
        key: str,
        content: BinaryIO,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object] | None = None,
    ) -> StoredObject:
        self.asked["put"] += 1
        if not self.is_lost:
            # boto3 closes what it is given
            self.client.put_object(Bucket=self.bucket, Key=key, Body=content.read())
        if progress:
            progress(size)
        return StoredObject(self.url(key), size, digest=digest)

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        raise NotImplementedError

    def stat(self, url: str) -> StoredObject | None:
        from botocore.exceptions import ClientError

        self.asked["stat"] += 1
        try:
            head = self.client.head_object(Bucket=self.bucket, Key=self.key(url))
        except ClientError:
            return None
        return StoredObject(url, head["ContentLength"])

    def list(self, prefix: str) -> Iterable[StoredObject]:
        raise NotImplementedError

    def delete(self, url: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.key(url))

    def pod_access(self, mode: Literal["read", "write"]) -> Sequence[PodPatch]:
        keys = {
            "AWS_ACCESS_KEY_ID": self.reader.access_key.encode(),
            "AWS_SECRET_ACCESS_KEY": self.reader.secret_key.encode(),
        }
        settings = {
            "S3_ENDPOINT": self.pod_url,
            "S3_FORCE_PATH_STYLE": "true",
            "AWS_REGION": self.store.region,
        }
        env: list[dict[str, Any]] = [
            {"name": name, "value": value} for name, value in settings.items()
        ]
        env += [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": "store", "key": name}}}
            for name in keys
        ]
        return [PodPatch({}, {"env": env}, secrets=(OwnedSecret("store", keys),))]

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        from dataclasses import replace

        signing = replace(self.reader, url=self.pod_url).client()  # as pods call it
        where = {"Bucket": self.bucket, "Key": self.key(url)}
        signed: str = signing.generate_presigned_url(
            "get_object", Params=where, ExpiresIn=int(seconds)
        )
        return signed
