"""The store: any that speaks S3, as MinIO, Ceph and Amazon's own do."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from fairing_core import errors
from fairing_core.s3 import faults, pods, transfer
from fairing_core.s3._sdk import Api
from fairing_core.s3.faults import Asked
from fairing_core.s3.keys import Keys, entries_of, keys_in
from fairing_core.s3.transfer import Place
from fairing_core.types import PodPatch, StoredObject

logger = logging.getLogger(__name__)

_LONGEST = 7 * 86_400  # seconds. Source: AWS Signature Version 4, X-Amz-Expires
_BUFFER = 1 << 18

ReadSecret = Callable[[str], Mapping[str, bytes]]
"""Gives the entries of a Secret of the cluster, by its name."""

Encryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]
"""How a store encrypts what is written. Source: Amazon S3 API, x-amz-server-side-encryption."""


class S3Store:
    """Keeps objects in a bucket of any store that speaks S3.

    Keys are those that are given, else those that boto3 finds (environment, profile), else those of
    the Secret `secret`, if the user may read it. Pods get the keys of `secret` by reference; where
    none is named, a Secret is made for each Job that needs them, and goes with it.

    Args:
        bucket: which has to be there already, unless `create_bucket`; or what gives its name when
            it is first needed.
        endpoint_url: where the store is served; None is Amazon's.
        pod_endpoint_url: what pods call it; by default the same.
        prefix: what all keys begin with.
        region: by default that of the environment or the profile, else us-east-1.
        access_key: which keys to use; with `secret_key`.
        secret_key: its secret half.
        secret: the name of the Secret with the keys, in the namespace of the pods.
        secret_entries: which of its entries are the access key and its secret: by default
            AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; accesskey and secretkey for Kubeflow's own
            ``mlpipeline-minio-artifact``.
        ca: certificates (PEM) that are trusted instead of the system's, by pods too.
        create_bucket: whether a bucket that is missing is made.
        encryption: how the store is to encrypt what is put; by default the bucket's way, which is
            always that of what pods write by signed URLs.
        kms_key: with which key of the store's KMS; for ``aws:kms``.
        owner: the account that has to own the bucket, or what gives it at the first request; each
            request says it, and a bucket of somebody else's is refused.
        read_secret: reads the Secret where nothing else has keys.
        session: gives the botocore session whose keys and region are used, where none are given.
        pod_keys: gives what pods have their keys by, where no Secret is named; by default a Secret
            that is made of the keys.

    The last three are for plugins that bring identities of their own, as clouds do.

    Example:
        >>> from fairing_core.s3 import S3Store
        >>> store = S3Store(bucket="lab", endpoint_url="http://minio.lab.example:9000")
        >>> store.url("contexts/3f")
        's3://lab/fairing/contexts/3f'
        >>> store
        S3Store('s3://lab/fairing/', endpoint_url='http://minio.lab.example:9000')
    """

    def __init__(
        self,
        *,
        bucket: str | Callable[[], str],
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
        prefix: str = "fairing/",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        secret: str | None = None,
        secret_entries: tuple[str, ...] | None = None,
        ca: Path | None = None,
        create_bucket: bool = False,
        encryption: Encryption | None = None,
        kms_key: str | None = None,
        owner: str | Callable[[], str] | None = None,
        read_secret: ReadSecret | None = None,
        session: Callable[[], Any] | None = None,
        pod_keys: Callable[[], Sequence[PodPatch]] | None = None,
    ) -> None:
        if bool(access_key) != bool(secret_key):
            lacking = "secret_key" if access_key else "access_key"
            raise errors.SettingsError(f"{lacking} is missing: the two keys go together")
        if secret_entries is not None and len(secret_entries) != 2:
            raise errors.SettingsError(
                f"secret_entries={secret_entries!r} are not two: the Secret's entries with the "
                "access key and with its secret"
            )
        if kms_key is not None and not (encryption or "").startswith("aws:kms"):
            raise errors.SettingsError(
                f"kms_key={kms_key!r} is for encryption='aws:kms', and encryption={encryption!r}"
            )
        self._named = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = _checked("endpoint_url", endpoint_url)
        self._pod_endpoint = _checked("pod_endpoint_url", pod_endpoint_url) or self._endpoint
        self._region = region
        self._given = Keys(access_key, secret_key) if access_key and secret_key else None
        self._secret = secret
        self._entries = None if secret is None else entries_of(secret, secret_entries)
        self._ca = ca
        self._create_bucket = create_bucket
        said = {"ServerSideEncryption": encryption, "SSEKMSKeyId": kms_key}
        self._encryption = {name: str(value) for name, value in said.items() if value}
        self._owner = owner
        self._read_secret = read_secret
        self._session = session
        self._pod_keys = pod_keys
        self._lock = threading.Lock()
        self._apis: dict[str | None, Api] = {}

    @property
    def endpoint(self) -> str | None:
        """Where the store is served; None is Amazon's."""
        return self._endpoint

    @property
    def pod_endpoint(self) -> str | None:
        """What pods call it."""
        return self._pod_endpoint

    @property
    def secret(self) -> str | None:
        """The Secret by which pods get the keys; None where one is made for each Job."""
        return self._secret

    @property
    def secret_entries(self) -> tuple[str, str] | None:
        """Which of its entries are the access key and its secret."""
        return self._entries

    def keys_from(self) -> str:
        """In words, where this machine has its keys from.

        Raises:
            StorageDenied: nobody has any.
        """
        keys = self._api().keys
        if keys is None:
            raise faults.keyless(self.url(""), self._called)
        return keys.origin

    def url(self, key: str) -> str:
        """What the object under `key` is called."""
        return Place(self._bucket, self._prefix + key).url

    def put(
        self,
        key: str,
        content: BinaryIO,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object] | None = None,
    ) -> StoredObject:
        """Stores the object; it goes up in parts, four side by side, 8 MiB each.

        Raises:
            StorageError: and its kinds; `content` is not what `size` and `digest` say.
        """
        place = Place(self._bucket, self._prefix + key)
        start = content.tell()

        def send() -> None:
            told = progress or _unheard
            transfer.upload(self._api(), place, content, size=size, digest=digest, progress=told)

        try:
            send()
        except errors.StoredObjectNotFound as exc:
            if exc.code != "NoSuchBucket" or not self._create_bucket:
                raise
            self._make_bucket()
            content.seek(start)
            send()
        return StoredObject(place.url, size, digest=digest)

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        """The object's bytes; of a whole one, the last are given only if all are as put."""
        reader = transfer.Reader(self._api(), self._place(url), start)
        return cast(BinaryIO, io.BufferedReader(reader, _BUFFER))

    def stat(self, url: str) -> StoredObject | None:
        """What is there, or None; one HEAD."""
        place = self._place(url)
        try:
            found = self._api().call("head_object", self._asked("look up", url), **place.arguments)
        except errors.StoredObjectNotFound as exc:
            if exc.code == "NoSuchBucket" and not self._create_bucket:
                raise
            return None
        sha256 = found.get("Metadata", {}).get(transfer.METADATA)
        return StoredObject(
            url,
            found["ContentLength"],
            digest=f"sha256:{sha256}" if sha256 else None,
            changed=found["LastModified"].timestamp(),
        )

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What is stored under keys that begin with `prefix`; their digests are not told."""
        asked = self._asked("list", self.url(prefix))
        more: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        while True:
            try:
                page = self._api().call("list_objects_v2", asked, **more)
            except errors.StoredObjectNotFound:
                if self._create_bucket:  # it is made at the first `put`
                    return
                raise
            for each in page.get("Contents", ()):
                yield StoredObject(
                    Place(self._bucket, each["Key"]).url,
                    each["Size"],
                    changed=each["LastModified"].timestamp(),
                )
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, url: str) -> None:
        """Removes the object; one that is not there is no error."""
        place = self._place(url)
        try:
            self._api().call("delete_object", self._asked("delete", url), **place.arguments)
        except errors.StoredObjectNotFound:
            return

    def pod_access(self, mode: Literal["read", "write"]) -> Sequence[PodPatch]:
        """The store's address as environment variables, and its keys from a Secret.

        Raises:
            StorageDenied: no Secret is named, and there are no keys to make one of.
        """
        asks = self._secret is None or self._session is not None
        region = self._region or (self._api().region if asks else "us-east-1")
        patches = [pods.store_address(self._pod_endpoint, region)]
        if self._secret is not None and self._entries is not None:
            patches.append(pods.keys_by_reference(self._secret, self._entries))
        elif self._pod_keys is not None:
            patches += self._pod_keys()
        else:
            keys = self._api().keys
            if keys is None:
                raise faults.keyless(self.url(""), self._called, "for pods")
            patches.append(pods.keys_by_value(keys.variables))
        if (trusted := self.certificates()) is not None:
            patches.append(pods.store_ca(trusted))
        return patches

    def certificates(self) -> bytes | None:
        """The content of `ca`; None where the system's certificates are trusted.

        Raises:
            SettingsError: it can't be read.
        """
        return None if self._ca is None else _content(self._ca)

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        """A URL by which pods read or write the object, for a week at the longest."""
        api = self._api(self._pod_endpoint)
        return api.signed(
            "get_object" if mode == "read" else "put_object",
            self._asked("sign", url),
            seconds=int(min(max(seconds, 1), _LONGEST)),
            **self._place(url).arguments,
        )

    @property
    def _bucket(self) -> str:
        if not isinstance(self._named, str):
            self._named = self._named()
        return self._named

    @property
    def _called(self) -> str:
        """What the store is called in errors."""
        return self._endpoint or "Amazon S3"

    def _asked(self, verb: str, url: str) -> Asked:
        return Asked(f"can't {verb}", url)

    def _place(self, url: str) -> Place:
        bucket, slash, key = url.removeprefix("s3://").partition("/")
        if not url.startswith("s3://") or not bucket or not slash or not key:
            raise errors.StorageError(
                f"{url!r} is no object of this store; such are called {self.url('NAME')}", url=url
            )
        return Place(bucket, key)

    def _api(self, endpoint: str | None = None) -> Api:
        endpoint = endpoint or self._endpoint
        with self._lock:
            if endpoint not in self._apis:
                self._apis[endpoint] = self._connected(endpoint)
            return self._apis[endpoint]

    def _connected(self, endpoint: str | None) -> Api:
        def api(keys: Keys | None) -> Api:
            return Api(
                endpoint or "Amazon S3",
                endpoint=endpoint,
                region=self._region,
                keys=keys,
                ca=self._ca,
                session=self._session,
                owner=None if self._owner is None else self._owned_by,
                encryption=self._encryption,
            )

        made = api(self._given)
        if made.keys is None and self._secret is not None and self._read_secret is not None:
            return api(self._kept(self._secret, self._read_secret))
        return made

    def _owned_by(self) -> str:
        if not isinstance(self._owner, str):
            assert self._owner is not None
            self._owner = self._owner()
        return self._owner

    def _kept(self, secret: str, read: ReadSecret) -> Keys:
        """The keys that the Secret of the cluster holds."""
        url = self.url("")
        try:
            content = read(secret)
        except errors.ClusterError as exc:
            why = f"and those of the Secret {secret!r} can't be read: {exc}"
            raise faults.keyless(url, self._called, why) from exc
        assert self._entries is not None
        keys = keys_in(content, self._entries, f"the Secret {secret!r}")
        if keys is None:
            why = f"the Secret {secret!r} has no {' and '.join(self._entries)}: secret_entries=..."
            raise faults.keyless(url, self._called, why)
        return keys

    def _make_bucket(self) -> None:
        api, more = self._api(), {}
        if api.region != "us-east-1":  # which is the one that may not be said
            more["CreateBucketConfiguration"] = {"LocationConstraint": api.region}
        asked = self._asked("make the bucket", f"s3://{self._bucket}")
        try:
            api.call("create_bucket", asked, Bucket=self._bucket, **more)
        except errors.StorageError as exc:
            if exc.code != "BucketAlreadyOwnedByYou":  # somebody else was quicker
                raise
        else:
            logger.info("made the bucket %s at %s", self._bucket, self._called)

    def __getstate__(self) -> dict[str, Any]:
        """Handles of runs travel to other processes, and their store with them."""
        return {name: value for name, value in vars(self).items() if name not in ("_lock", "_apis")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock(), _apis={})

    def __repr__(self) -> str:
        said = {
            "endpoint_url": self._endpoint,
            "pod_endpoint_url": None
            if self._pod_endpoint == self._endpoint
            else self._pod_endpoint,
            "region": self._region,
            "secret": self._secret,
        }
        words = "".join(f", {key}={value!r}" for key, value in said.items() if value is not None)
        bucket = self._named if isinstance(self._named, str) else "..."
        return f"{type(self).__name__}({Place(bucket, self._prefix).url!r}{words})"


def _unheard(_: int) -> None:
    """Where nobody wants to know of progress."""


def _checked(name: str, url: str | None) -> str | None:
    """An endpoint's URL; none with a path, or without a scheme, is taken."""
    if not url:
        return None
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise errors.SettingsError(
            f"{name}={_without_user(url)!r} is no address of a store; write http://HOST:PORT or "
            "https://HOST"
        )
    if parts.username or parts.password:
        raise errors.SettingsError(f"{name} has a user in it; leave that out, and set access_key")
    return url.rstrip("/")


def _without_user(url: str) -> str:
    return url.rpartition("@")[2]


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise errors.SettingsError(f"ca={str(file)!r} can't be read: {exc.strerror}") from exc
