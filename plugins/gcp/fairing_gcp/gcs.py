"""The store: Google Cloud Storage."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from fairing_core import PodPatch, StoredObject, errors
from fairing_gcp import faults, login, pods, transfer
from fairing_gcp._sdk import Api, Google
from fairing_gcp.faults import Asked
from fairing_gcp.login import Login
from fairing_gcp.transfer import Place

logger = logging.getLogger(__name__)

# Seconds. Source: Cloud Storage, V4 signing process; IAM's own keys are kept for twelve hours.
_LONGEST = 7 * 86_400
_LONGEST_BY_IAM = 12 * 3600
_BUFFER = 1 << 18

Identity = Callable[[], Sequence[PodPatch]]
"""What makes pods somebody at Google."""


class GCSStore:
    """Keeps objects in a bucket of Google Cloud Storage.

    It is asked by Google's default credentials: a service account's key, workload identity, the
    metadata server, ``gcloud auth application-default login``.

    Args:
        bucket: which has to be there already, unless `create_bucket`.
        project: whose bucket is made; by default the credentials' own.
        location: where it is made, such as ``europe-west3``; by default Google's choice.
        prefix: what all keys begin with.
        credentials_file: a service account's key, instead of the default credentials.
        impersonate: a service account whose identity is taken on.
        service_account: the Kubernetes service account that pods run as, for workload identity.
        secret: the Secret with a service account's key, in the namespace of the pods.
        secret_entry: which of its entries is the key.
        endpoint_url: where an emulator is served; by default what STORAGE_EMULATOR_HOST says,
            which is then asked without credentials; None is Google's.
        pod_endpoint_url: what pods call the emulator; by default the same.
        create_bucket: whether a bucket that is missing is made.
        google: who asks, instead of those credentials.
        identity: what pods need, instead of `service_account` and `secret`.

    Example:
        >>> from fairing_gcp import GCSStore
        >>> store = GCSStore(bucket="lab-fairing", project="lab-1")
        >>> store.url("contexts/3f")
        'gs://lab-fairing/fairing/contexts/3f'
        >>> store
        GCSStore('gs://lab-fairing/fairing/', project='lab-1')
    """

    def __init__(
        self,
        *,
        bucket: str,
        project: str | None = None,
        location: str | None = None,
        prefix: str = "fairing/",
        credentials_file: Path | None = None,
        impersonate: str | None = None,
        service_account: str | None = None,
        secret: str | None = None,
        secret_entry: str = pods.ENTRY,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
        create_bucket: bool = False,
        google: Google | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._bucket = bucket.removeprefix("gs://").strip("/")
        self._project = project
        self._location = location
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._endpoint = _checked("endpoint_url", endpoint_url)
        self._pod_endpoint = _checked("pod_endpoint_url", pod_endpoint_url)
        self._create_bucket = create_bucket
        by = Login(credentials_file=credentials_file, impersonate=impersonate)
        self._google = google or Google(by)
        self._named = identity_of(service_account, secret, secret_entry)
        self._identity = identity
        self._lock = threading.Lock()
        self._made: Api | None = None

    @property
    def bucket(self) -> str:
        """The bucket."""
        return self._bucket

    @property
    def endpoint(self) -> str | None:
        """Where an emulator is served; None is Google's own."""
        return self._endpoint or os.environ.get("STORAGE_EMULATOR_HOST")

    @property
    def pod_endpoint(self) -> str | None:
        """What pods call it."""
        return self._pod_endpoint or self.endpoint

    def url(self, key: str) -> str:
        """What the object under `key` is called."""
        return Place(self.bucket, self._prefix + key).url

    def put(
        self,
        key: str,
        content: BinaryIO,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object] | None = None,
    ) -> StoredObject:
        """Stores the object, in pieces of 8 MiB; over another writer's only if that is the same.

        Raises:
            StorageError: and its kinds; `content` is not what `size` and `digest` say; somebody
                else wrote another content at the same time.
        """
        place = Place(self.bucket, self._prefix + key)
        start = content.tell()

        def send() -> None:
            content.seek(start)
            self._send(place, content, size, digest, progress or _unheard)

        try:
            send()
        except errors.StoredObjectNotFound:
            if not self._create_bucket:
                raise
            self._make_bucket()
            send()
        return StoredObject(place.url, size, digest=digest)

    def _send(
        self,
        place: Place,
        content: BinaryIO,
        size: int,
        digest: str,
        progress: Callable[[int], object],
    ) -> None:
        api, asked = self._api(), Asked("can't write", place.url)
        checked = transfer.Checked(content, place.url, size=size, digest=digest, progress=progress)
        if not size:
            checked.check()
        before = self._found(place)
        blob = api.blob(*place)
        blob.chunk_size = transfer.PIECE
        blob.metadata = {transfer.METADATA: digest.removeprefix("sha256:")}
        try:
            with api.asking(Asked(asked.what, place.url)):
                blob.upload_from_file(
                    checked,
                    size=size,
                    content_type="application/octet-stream",
                    # 0: nothing is there yet. So a request may be tried again, too.
                    if_generation_match=before.generation if before is not None else 0,
                    checksum="crc32c",
                    **api.how(),
                )
        except errors.StoredObjectNotFound as exc:  # nothing else can be missing
            said = faults.no_bucket(place.bucket)
            raise faults.missing(place.url, f"can't be written: {said}") from exc
        except errors.StorageError as exc:
            if exc.status != 412:
                raise
            there = self._found(place)
            if there is None or _digest(there) != digest:
                raise faults.lost(place.url) from exc
            return
        if blob.size != size or _digest(blob) != digest:
            raise faults.damaged(
                place.url, "what the store has is not what was sent; write it again"
            )

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        """The object's bytes; of a whole one, the last are given only if all are as put."""
        reader = transfer.Reader(self._api(), self._place(url), start)
        return cast(BinaryIO, io.BufferedReader(reader, _BUFFER))

    def stat(self, url: str) -> StoredObject | None:
        """What is there, or None; one request."""
        found = self._found(self._place(url))
        return None if found is None else _told(found)

    def _found(self, place: Place) -> Any | None:
        """The object as the SDK has it; None is none."""
        api, asked = self._api(), Asked("can't look up", place.url)
        blob = api.blob(*place)
        try:
            with api.asking(asked):
                blob.reload(**api.how())
        except errors.StoredObjectNotFound as exc:
            if "create_bucket" in str(exc) and not self._create_bucket:
                raise
            return None
        return blob

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What is stored under keys that begin with `prefix`."""
        try:
            yield from self._listed(prefix)
        except errors.StoredObjectNotFound:
            if not self._create_bucket:  # it is made at the first `put`
                raise

    def _listed(self, prefix: str) -> Iterator[StoredObject]:
        api = self._api()
        client = api.client(self.url(prefix))
        # A 404 is the bucket's: a prefix that nothing has is no fault.
        with api.asking(Asked("can't list", f"gs://{self.bucket}")):
            pages = client.list_blobs(self.bucket, prefix=self._prefix + prefix, **api.how()).pages
            for page in pages:
                yield from map(_told, page)

    def delete(self, url: str) -> None:
        """Removes the object; one that is not there is no error."""
        api, place = self._api(), self._place(url)
        try:
            with api.asking(Asked("can't delete", url)):
                api.blob(*place).delete(**api.how())
        except errors.StoredObjectNotFound:
            return

    def pod_access(self, mode: Literal["read", "write"]) -> Sequence[PodPatch]:
        """Who pods are at Google, and where an emulator is, if one is set."""
        endpoint = self.pod_endpoint
        where = () if endpoint is None else (pods.emulator(endpoint),)
        who = self._named if self._identity is None else self._identity()
        return (*who, *where)

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        """A URL by which pods read or write the object, signed by a key, or else by IAM.

        It is good for a week at the longest, by IAM for twelve hours. None where the credentials
        are a person's, or may not sign.
        """
        place = self._place(url)
        asked = Asked("can't sign", place.url)
        api = self._api()
        by_key = self._signs_itself()
        longest = _LONGEST if by_key else _LONGEST_BY_IAM
        try:
            return api.signed(
                asked,
                self.pod_endpoint,
                "GET" if mode == "read" else "PUT",
                int(min(max(seconds, 1), longest)),
            )
        except errors.StorageDenied as exc:
            if by_key or exc.url:
                raise
            logger.info("%s; so no URL is signed", exc)
            return None

    def _signs_itself(self) -> bool:
        try:
            kind = type(self._google.credentials)
        except login.NotLoggedIn:
            return False
        return kind.__module__ == "google.oauth2.service_account"

    def _place(self, url: str) -> Place:
        bucket, slash, key = url.removeprefix("gs://").partition("/")
        if not url.startswith("gs://") or not bucket or not slash or not key:
            raise errors.StorageError(
                f"{url!r} is no object of this store; such are called {self.url('NAME')}", url=url
            )
        return Place(bucket, key)

    def _api(self) -> Api:
        with self._lock:
            if self._made is None:
                self._made = Api(
                    self._google,
                    project=self._project,
                    endpoint=self.endpoint,
                    anonymous=self._endpoint is None and self.endpoint is not None,
                )
            return self._made

    def _make_bucket(self) -> None:
        api, asked = self._api(), Asked(faults.MAKE, f"gs://{self.bucket}")
        client = api.client(asked.url)
        try:
            with api.asking(asked):
                made = client.bucket(self.bucket)
                made.iam_configuration.uniform_bucket_level_access_enabled = True
                client.create_bucket(
                    made, project=self._project, location=self._location, **api.how()
                )
        except errors.StorageError as exc:
            if exc.status != 409 or not self._is_there():  # somebody else was quicker
                raise
        else:
            logger.info("made the bucket %s", self.bucket)

    def _is_there(self) -> bool:
        """Whether the bucket can be read: its name may be taken by somebody of another project."""
        try:
            next(self._listed(""), None)
        except errors.StorageError:
            return False
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_lock", "_made")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _made=None)

    def __repr__(self) -> str:
        said = {
            "project": self._project,
            "endpoint_url": self._endpoint,
            "pod_endpoint_url": self._pod_endpoint,
        }
        words = "".join(f", {key}={value!r}" for key, value in said.items() if value is not None)
        return f"{type(self).__name__}({self.url('')!r}{words})"


class GCSContextSource(GCSStore):
    """Kubeflow Fairing's store of build contexts, by the arguments that it had.

    Unlike other stores it makes its bucket, which is called as the project, where that is missing:
    as the original did, and its users expect.

    Args:
        gcp_project: by default the credentials' own.
        credentials_file: a service account's key, instead of the default credentials.
        namespace: taken, and not needed.
        bucket: another bucket.
        service_account: as for `GCSStore`.
        secret: as for `GCSStore`.
        endpoint_url: as for `GCSStore`.
        pod_endpoint_url: as for `GCSStore`.

    Example:
        >>> from fairing_gcp import GCSContextSource
        >>> GCSContextSource("lab-1")
        GCSContextSource('gs://lab-1/fairing_builds/', project='lab-1')
    """

    def __init__(
        self,
        gcp_project: str | None = None,
        credentials_file: str | Path | None = None,
        namespace: str = "default",
        *,
        bucket: str | None = None,
        service_account: str | None = None,
        secret: str | None = None,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
    ) -> None:
        super().__init__(
            bucket=bucket or gcp_project or "",
            project=gcp_project,
            prefix="fairing_builds/",
            credentials_file=Path(credentials_file) if credentials_file else None,
            service_account=service_account,
            secret=secret,
            endpoint_url=endpoint_url,
            pod_endpoint_url=pod_endpoint_url,
            create_bucket=True,
        )

    @property
    def bucket(self) -> str:
        """The bucket; called as the credentials' project where nobody said."""
        if not self._bucket:
            try:
                self._bucket = self._google.project or ""
            except login.NotLoggedIn as exc:
                raise errors.StorageDenied(str(exc), url="gs://") from exc
            if not self._bucket:
                raise login.no_project()
        return self._bucket

    def __repr__(self) -> str:
        return super().__repr__() if self._bucket else f"{type(self).__name__}()"


def identity_of(
    service_account: str | None, secret: str | None, secret_entry: str = pods.ENTRY
) -> tuple[PodPatch, ...]:
    """What pods need to be the one, or to have the key of the other."""
    account = () if service_account is None else (pods.runs_as(service_account),)
    key = () if secret is None else (pods.key_by_reference(secret, secret_entry),)
    return (*account, *key)


def _told(blob: Any) -> StoredObject:
    return StoredObject(
        Place(blob.bucket.name, blob.name).url,
        int(blob.size),
        digest=_digest(blob),
        changed=blob.updated.timestamp(),
    )


def _digest(blob: Any) -> str | None:
    found = (blob.metadata or {}).get(transfer.METADATA)
    return f"sha256:{found}" if found else None


def _unheard(_: int) -> None:
    """Where nobody wants to know of progress."""


def _checked(name: str, url: str | None) -> str | None:
    """An emulator's URL; none with a path, or without a scheme, is taken."""
    if not url:
        return None
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise errors.SettingsError(
            f"{name}={url.rpartition('@')[2]!r} is no address of an emulator; write "
            "http://HOST:PORT"
        )
    if parts.username or parts.password:
        raise errors.SettingsError(f"{name} has a user in it; leave that out")
    return url.rstrip("/")
