"""The only importer of Google's packages, always inside a function; their errors end here."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from fairing_core import Credentials as RegistryLogin
from fairing_core import errors
from fairing_gcp import faults, login
from fairing_gcp.faults import Asked
from fairing_gcp.login import Login

_TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two bytes
_PATIENCE = 20.0  # seconds for which one request is tried again
_FRESH = 50 * 60.0  # seconds that a token is to be good for at least, where more can be had
_IMPORT = 30.0
_METADATA = "the metadata server"
_UPLOAD = re.compile(r"[?&]upload_id=[^\s&'\")]+")  # whoever has it may write, without any login


def load() -> None:
    """Imports what the Kubernetes client imports of Google's packages, too, before or after it.

    Of two threads that import one package at once, one may get it half made (CPython, "deadlock
    avoidance" of import locks), and core imports that client in the background.
    """
    end = time.monotonic() + _IMPORT
    while _is_half_made("kubernetes") and time.monotonic() < end:
        time.sleep(0.01)  # nothing tells when an import ends
    import requests  # noqa: F401 - for its side effect: it is whole from here on


def _is_half_made(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


class Google:
    """Google as one login sees it; asked when it is needed, not before.

    What it raises is `NotLoggedIn`, where it concerns the login itself.
    """

    def __init__(self, by: Login | None = None) -> None:
        self._login = by or Login()
        self._lock = threading.RLock()
        self._found: tuple[Any, str | None, str] | None = None
        self._minted = 0.0
        self._http: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Google, (self._login,)  # no token travels

    @property
    def project(self) -> str | None:
        """The project that the credentials name."""
        return self._loaded()[1]

    @property
    def origin(self) -> str:
        """In words, where the credentials are from."""
        return self._loaded()[2]

    @property
    def email(self) -> str | None:
        """Whose they are; None where that is not known, as for people."""
        found = self._loaded()[0]
        named = getattr(found, "service_account_email", None) or getattr(
            found, "signer_email", None
        )
        if named == "default":  # of the metadata server, which tells it with a token
            self.token()
            named = found.service_account_email
        return None if named is None else str(named)

    @property
    def credentials(self) -> Any:
        """As Google's clients take them."""
        return self._loaded()[0]

    def location(self) -> str | None:
        """Where the cluster is that this runs in, as the metadata server says it."""
        if self.origin != _METADATA:
            return None
        from google.auth.compute_engine import _metadata
        from google.auth.exceptions import GoogleAuthError

        path = "instance/attributes/cluster-location"
        try:
            return str(_metadata.get(self._request(), path, retry_count=1))
        except GoogleAuthError:
            return None

    def token(self) -> str:
        """An access token, good for an hour nearly, where the credentials give such."""
        found = self._loaded()[0]
        with self._lock:
            left = 0.0
            if found.token and found.expiry:
                now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)  # as theirs is
                left = (found.expiry - now).total_seconds()
            if left < _FRESH:
                with self._logging_in():
                    found.refresh(self._request())
            return str(found.token)

    def for_registries(self) -> RegistryLogin:
        """That token as registries take it; to be asked for anew once it is not fresh."""
        token, expiry = self.token(), self._loaded()[0].expiry
        ends = expiry and expiry.replace(tzinfo=datetime.UTC).timestamp() - _FRESH
        return RegistryLogin(login.USER, token, expires=ends)

    def ask(
        self, method: str, url: str, body: Mapping[str, Any] | None = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and answer of one request to an API that speaks JSON.

        Raises:
            NotLoggedIn: and GoogleUnreachable.
        """
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            answer = self._session().request(method, url, json=body, timeout=_TIMEOUT[1])
        except GoogleAuthError as exc:
            raise self.fault_of(exc) from exc
        except RequestException as exc:
            raise login.GoogleUnreachable(f"{url} can't be reached: {exc}") from exc
        try:
            told = answer.json()
        except ValueError:
            told = {"error": {"message": answer.text[:200]}}
        return answer.status_code, told

    def signer(self) -> Any | None:
        """Credentials that sign, by their own key or by IAM; None where they can't."""
        from google.auth import credentials as kinds

        found = self._loaded()[0]
        email = self.email
        if email is None:
            return None
        if isinstance(found, kinds.Signing) and type(found).__module__ == (
            "google.oauth2.service_account"
        ):
            return found
        outer = self

        class ByIam(kinds.Signing):
            """Has IAM sign, as the service account that the credentials are of."""

            def sign_bytes(self, message: bytes) -> bytes:
                """By signBlob. Source: IAM Service Account Credentials API, v1."""
                return outer.signed(str(email), message)

            @property
            def signer_email(self) -> str:
                """Whose signature it is."""
                return str(email)

            @property
            def signer(self) -> Any:
                """None: there is no key here."""
                return None

        return ByIam()

    def signed(self, email: str, message: bytes) -> bytes:
        """A signature that IAM makes.

        Raises:
            StorageDenied: it does not; its `url` is "".
        """
        url = f"{self._login.iam_url}/v1/projects/-/serviceAccounts/{email}:signBlob"
        status, told = self.ask("POST", url, {"payload": base64.b64encode(message).decode()})
        if status != 200:
            raise faults.cant_sign(email, status, said_in(told))
        return base64.b64decode(told["signedBlob"])

    def _loaded(self) -> tuple[Any, str | None, str]:
        with self._lock:
            if self._found is None:
                load()
                found, project, origin = self._searched()
                if self._login.impersonate is not None:
                    found = self._as_another(found, self._login.impersonate)
                    origin = f"{origin}, as {self._login.impersonate}"
                self._found = found, project, origin
            return self._found

    def _searched(self) -> tuple[Any, str | None, str]:
        from google.auth import default
        from google.auth.exceptions import DefaultCredentialsError

        if self._login.credentials_file is not None:
            return self._of_file()
        try:
            # It warns of a person's login without a project for quotas.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found, project = default(scopes=[login.SCOPE], request=self._request())
        except DefaultCredentialsError as exc:
            raise login.none(_brief(exc)) from exc
        if type(found).__module__.startswith("google.auth.compute_engine"):
            return found, project, _METADATA
        named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        return found, project, named or "gcloud's application-default login"

    def _of_file(self) -> tuple[Any, str | None, str]:
        from google.auth import load_credentials_from_dict
        from google.auth.exceptions import GoogleAuthError
        from google.oauth2.service_account import Credentials

        file = self._login.credentials_file
        assert file is not None
        try:
            told = json.loads(file.expanduser().read_bytes())
            if told.get("type") == "service_account":
                found = Credentials.from_service_account_info(told, scopes=[login.SCOPE])
                return found, told.get("project_id"), str(file)
            with warnings.catch_warnings():  # it is the user's own file, and is trusted
                warnings.simplefilter("ignore")
                found, project = load_credentials_from_dict(
                    told, scopes=[login.SCOPE], request=self._request()
                )
        except OSError as exc:
            raise login.NotLoggedIn(
                f"credentials_file={str(file)!r} can't be read: {exc.strerror or exc}"
            ) from exc
        except (ValueError, AttributeError, GoogleAuthError):
            # Not from it: what is wrong may be shown with what is secret.
            raise login.NotLoggedIn(
                f"credentials_file={str(file)!r} has no Google credentials (JSON) in it; name a "
                "service account's key"
            ) from None
        return found, project, str(file)

    def _as_another(self, source: Any, account: str) -> Any:
        from google.auth.impersonated_credentials import Credentials

        iam = f"{self._login.iam_url}/v1/projects/-/serviceAccounts/{account}"
        return Credentials(
            source_credentials=source,
            target_principal=account,
            target_scopes=[login.SCOPE],
            iam_endpoint_override=f"{iam}:generateAccessToken",
        )

    @contextlib.contextmanager
    def _logging_in(self) -> Iterator[None]:
        from google.auth.exceptions import GoogleAuthError

        try:
            yield
        except GoogleAuthError as exc:
            raise self.fault_of(exc) from exc

    def fault_of(self, exc: Exception) -> login.NotLoggedIn:
        """The error for what google-auth raised."""
        from google.auth.exceptions import RefreshError, TransportError

        if isinstance(exc, TransportError) or isinstance(exc.__cause__, TransportError):
            return login.GoogleUnreachable(
                f"no token can be had for the credentials from {self.origin}: {_brief(exc)}"
            )
        return login.refused(self.origin, _brief(exc) if isinstance(exc, RefreshError) else "")

    def _request(self) -> Any:
        from google.auth.transport.requests import Request

        return Request()

    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession

        with self._lock:
            if self._http is None:
                self._http = AuthorizedSession(self.credentials)
            return self._http


class Api:
    """Cloud Storage as one login sees it; what it raises are kinds of `StorageError`.

    Args:
        google: who asks.
        project: whose buckets are made; by default the credentials' own.
        endpoint: where an emulator answers; None is Google's.
        anonymous: whether it is asked without a login.
    """

    def __init__(
        self, google: Google, *, project: str | None, endpoint: str | None, anonymous: bool
    ) -> None:
        self._google = google
        self._project = project
        self._endpoint = endpoint
        self._anonymous = anonymous
        self._lock = threading.Lock()
        self._client: Any = None

    def blob(self, bucket: str, key: str) -> Any:
        """The SDK's own object for an object, which asks nobody yet."""
        return self.client(f"gs://{bucket}/{key}").bucket(bucket).blob(key)

    def client(self, url: str) -> Any:
        """The SDK's client.

        Raises:
            StorageDenied: there are no credentials.
        """
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        with self._lock:
            if self._client is None:
                try:
                    found = AnonymousCredentials() if self._anonymous else self._google.credentials
                    project = self._project or (None if self._anonymous else self._google.project)
                except login.NotLoggedIn as exc:
                    raise errors.StorageDenied(str(exc), url=url) from exc
                options = {"api_endpoint": self._endpoint} if self._endpoint else None
                self._client = storage.Client(
                    project=project or "none", credentials=found, client_options=options
                )
                # New versions look the bucket up in the background, with a right of its own
                # (storage.buckets.get), for traces that nobody has asked for. They ask whether
                # this is there first, and know no other way that is not the whole process's.
                self._client._bucket_metadata_cache = None  # noqa: SLF001 - see above
            return self._client

    def how(self) -> dict[str, Any]:
        """How each request is made: its timeout, and for how long it is tried again."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        return {"timeout": _TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(_PATIENCE)}

    @contextlib.contextmanager
    def asking(self, asked: Asked) -> Iterator[None]:
        """What goes wrong within is a `StorageError`."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
        from requests import RequestException

        self.client(asked.url)
        try:
            yield
        except GoogleAPICallError as exc:
            raise _refusal(self._asked(asked), exc.code, exc.response) from _cause(exc)
        except InvalidResponse as exc:
            answer = exc.response
            raise _refusal(self._asked(asked), answer.status_code, answer) from _cause(exc)
        except DataCorruption:
            said = "what the store has is not what was sent; write it again"
            raise faults.damaged(asked.url, said) from None
        except GoogleAuthError as exc:
            if self._anonymous:
                raise faults.wants_login(self._asked(asked)) from exc
            fault = self._google.fault_of(exc)
            if isinstance(fault, login.GoogleUnreachable):
                raise errors.StorageUnreachable(str(fault), url=asked.url) from exc
            raise errors.StorageDenied(f"{asked.what} {asked.url}: {fault}", url=asked.url) from exc
        except (RetryError, RequestException, ConnectionError) as exc:
            why = _UPLOAD.sub("", str(exc.__cause__ or exc))
            raise faults.unreachable(self._asked(asked), why) from _cause(exc)

    def signed(self, asked: Asked, endpoint: str | None, method: str, seconds: int) -> str | None:
        """A URL by which whoever has it does one thing; None where nobody can sign."""
        if self._anonymous:
            return None
        bucket, _, key = asked.url.removeprefix("gs://").partition("/")
        blob = self.blob(bucket, key)
        with self.asking(asked):
            try:
                signer = self._google.signer()
                if signer is None:
                    return None
                made: str = blob.generate_signed_url(
                    version="v4",
                    expiration=datetime.timedelta(seconds=seconds),
                    method=method,
                    credentials=signer,
                    **({"api_access_endpoint": endpoint} if endpoint else {}),
                )
            except login.GoogleUnreachable as exc:
                raise errors.StorageUnreachable(str(exc), url=asked.url) from exc
            except login.NotLoggedIn as exc:
                raise errors.StorageDenied(str(exc), url=asked.url) from exc
        return made

    def _asked(self, asked: Asked) -> Asked:
        """With the store, and who asks it."""
        store = self._endpoint or "Cloud Storage"
        if self._anonymous:
            return Asked(asked.what, asked.url, store, "nobody's credentials")
        named = getattr(self._google.credentials, "service_account_email", None)
        who = "" if named in (None, "default") else str(named)
        return Asked(asked.what, asked.url, store, self._google.origin, who)


def said_in(answer: Mapping[str, Any]) -> str:
    """What an API says went wrong."""
    found = answer.get("error")
    return str(found.get("message", "")) if isinstance(found, Mapping) else str(found or "")


def _refusal(asked: Asked, status: int | None, response: Any) -> errors.StorageError:
    """Of the answer itself: the SDK's text has the URL of an upload in it, which is a secret."""
    said, reason = "", ""
    try:
        told = response.json()["error"]
        said = str(told.get("message", ""))
        reason = str((told.get("errors") or [{}])[0].get("reason", ""))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        said = str(getattr(response, "text", ""))[:200]
    return faults.refused(asked, None if status is None else int(status), reason, said)


def _cause(exc: BaseException) -> BaseException | None:
    """`exc`, unless it, or what it came of, shows the URL of an upload."""
    seen: BaseException | None = exc
    while seen is not None:
        if _UPLOAD.search(str(seen)):
            return None
        seen = seen.__cause__ or seen.__context__
    return exc


def _brief(exc: Exception) -> str:
    """The first line of what it says, of what may be a tuple."""
    first = exc.args[0] if exc.args else exc
    return str(first).strip().partition("\n")[0].rstrip(".")[:300]
