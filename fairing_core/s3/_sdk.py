"""The only importer of boto3, always inside a function; its errors end here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.s3 import faults
from fairing_core.s3.faults import Asked
from fairing_core.s3.keys import Keys

_CONNECT = 10  # seconds
_READ = 60
_TRIES = 4
_ORIGINS = {
    "env": "AWS_ACCESS_KEY_ID of the environment",
    "shared-credentials-file": "the profile in ~/.aws/credentials",
    "config-file": "the profile in ~/.aws/config",
}
_INSTALL = (
    "the package 'boto3', which talks to stores that speak S3, is not installed: "
    "pip install 'fairing-core[s3]'"
)
_OWNERLESS = frozenset({"create_bucket"})  # all the others that we call know ExpectedBucketOwner
_WRITES = frozenset({"put_object", "create_multipart_upload"})


class Api:
    """The S3 API of one store; what it raises are kinds of `StorageError`.

    Args:
        store: what the store is called in errors.
        endpoint: its URL; None is Amazon's.
        region: by default that of the environment or the profile, else us-east-1.
        keys: None takes what boto3 finds in the environment and in profiles.
        ca: certificates that are trusted instead of the system's.
        session: gives the botocore session whose keys and region are taken, instead of a plain one.
        owner: gives the account that has to own the bucket; asked at the first request.
        encryption: how what is written is to be encrypted, as boto3's arguments.
    """

    def __init__(
        self,
        store: str,
        *,
        endpoint: str | None,
        region: str | None,
        keys: Keys | None,
        ca: Path | None,
        session: Callable[[], Any] | None = None,
        owner: Callable[[], str] | None = None,
        encryption: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._region = region
        self._given = keys
        self._ca = ca
        self._session = session
        self._owner = owner
        self._encryption = dict(encryption or {})
        self._lock = threading.Lock()
        self._made: tuple[Any, Any] | None = None

    @property
    def keys(self) -> Keys | None:
        """Those that are used, as they are now; None where there are none.

        Raises:
            StorageDenied: they can't be renewed.
        """
        _, session = self._ready()
        return self._given or self._found(session)

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return str(self._ready()[0].meta.region_name)

    def call(self, operation: str, asked: Asked, **arguments: Any) -> dict[str, Any]:
        """The answer to one operation of boto3's S3 client.

        Raises:
            StorageError: and its kinds.
        """
        client, _ = self._ready()
        from botocore.exceptions import BotoCoreError, ClientError

        keys = self.keys
        if keys is None:
            raise faults.keyless(asked.url, self._store)
        asked = Asked(asked.what, asked.url, self._store, keys.origin)
        if self._owner is not None and operation not in _OWNERLESS:
            owner = self._owner()
            asked = Asked(asked.what, asked.url, self._store, keys.origin, owner)
            arguments["ExpectedBucketOwner"] = owner
        if operation in _WRITES:
            arguments = {**self._encryption, **arguments}
        try:
            answer: dict[str, Any] = getattr(client, operation)(**arguments)
        except ClientError as exc:
            raise _refused(asked, exc) from exc
        except BotoCoreError as exc:
            raise _failed(asked, exc) from exc
        return answer

    def signed(self, operation: str, asked: Asked, *, seconds: int, **arguments: Any) -> str:
        """A URL by which whoever has it does one operation; asks nobody."""
        client, _ = self._ready()
        if self.keys is None:
            raise faults.keyless(asked.url, self._store)
        made: str = client.generate_presigned_url(operation, arguments, ExpiresIn=seconds)
        return made

    def broke(self, asked: Asked, exc: Exception) -> errors.StorageUnreachable:
        """The error for an answer whose body broke off."""
        return faults.unreachable(Asked(asked.what, asked.url, self._store), str(exc))

    def _ready(self) -> tuple[Any, Any]:
        """The client, and the session that its keys are of."""
        with self._lock:
            if self._made is None:
                self._made = self._client()
            return self._made

    def _client(self) -> tuple[Any, Any]:
        try:
            import boto3
        except ImportError as exc:
            raise errors.StorageError(_INSTALL, url="s3:") from exc
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        if self._ca is not None and not self._ca.is_file():
            raise errors.SettingsError(f"ca={str(self._ca)!r}: there is no such file")
        config = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            retries={"mode": "standard", "total_max_attempts": _TRIES},
            s3={"addressing_style": "auto" if self._endpoint is None else "path"},
            signature_version="s3v4",
            tcp_keepalive=True,
            user_agent_extra="fairing",
            # We send SHA-256 ourselves; the SDK's own trailers are refused by older stores.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            session = _session() if self._session is None else self._session()
            made = boto3.Session(botocore_session=session).client(
                "s3",
                endpoint_url=self._endpoint,
                region_name=self._region or session.get_config_variable("region") or "us-east-1",
                aws_access_key_id=self._given.access_key if self._given else None,
                aws_secret_access_key=self._given.secret_key if self._given else None,
                aws_session_token=(self._given.token or None) if self._given else None,
                verify=None if self._ca is None else str(self._ca),
                config=config,
            )
        except (BotoCoreError, ValueError) as exc:
            raise errors.SettingsError(f"the store {self._store} can't be asked: {exc}") from exc
        return made, session

    def _found(self, session: Any) -> Keys | None:
        """The keys that the session has: of the environment, a profile, a role."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            found = session.get_credentials()
            if found is None:
                return None
            frozen = found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as exc:
            raise errors.StorageDenied(
                f"there are no keys for {self._store}: {exc}", url="s3:"
            ) from exc
        origin = _ORIGINS.get(found.method, f"boto3's {found.method}")
        return Keys(frozen.access_key, frozen.secret_key, token=frozen.token or "", origin=origin)


def _session() -> Any:
    from botocore.session import Session

    session = Session()
    # It would ask an address that answers in Amazon's cloud alone, and wait for that.
    session.get_component("credential_provider").remove("iam-role")
    return session


def broken() -> tuple[type[Exception], ...]:
    """What is raised where the connection breaks within an answer's body."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError
    from urllib3.exceptions import HTTPError

    return HTTPClientError, IncompleteReadError, HTTPError, ConnectionError


def _refused(asked: Asked, exc: Any) -> errors.StorageError:
    told: dict[str, Any] = exc.response
    error, answer = told.get("Error", {}), told.get("ResponseMetadata", {})
    headers = answer.get("HTTPHeaders", {})
    # The answer to a HEAD has no body; MinIO says its code in a header.
    code = headers.get("x-minio-error-code") or str(error.get("Code", ""))
    said = headers.get("x-minio-error-desc", "").strip('"') or str(error.get("Message", ""))
    region = str(error.get("Region") or headers.get("x-amz-bucket-region", ""))
    return faults.refused(asked, answer.get("HTTPStatusCode"), code, said, region)


def _failed(asked: Asked, exc: Exception) -> errors.StorageError:
    from botocore.exceptions import (
        ConnectionError as Unconnected,
    )
    from botocore.exceptions import (
        HTTPClientError,
        NoCredentialsError,
        SSLError,
    )

    if isinstance(exc, SSLError):
        return faults.unreachable(asked, str(exc), trust="CERTIFICATE_VERIFY" in str(exc))
    if isinstance(exc, Unconnected | HTTPClientError):
        return faults.unreachable(asked, str(exc))
    if isinstance(exc, NoCredentialsError):
        return faults.keyless(asked.url, asked.store)
    return errors.StorageError(f"{asked.what} {asked.url}: {exc}", url=asked.url)
