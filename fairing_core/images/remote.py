"""A registry as a program sees it: requests that prove who asks, are tried again, and say why not.

Source: OCI distribution specification v1.1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin, urlsplit

from fairing_core import errors, log
from fairing_core.images import http
from fairing_core.images.answers import asked_pause, diagnosis
from fairing_core.images.cache import Cache
from fairing_core.images.route import Closed, Origin, Route, is_loopback
from fairing_core.images.tokens import Authorizer

if TYPE_CHECKING:
    from fairing_core.types import Credentials

logger = log.named(__name__)

TRIES = 5
LONGEST_PAUSE = 60.0
"""Seconds; a registry that asks for a longer pause than this is reported instead."""

_PAUSES = (0.1, 0.4, 1.2, 3.0)
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LARGEST = 1 << 16


class Remote:
    """One registry, asked with the rights that one program needs. Threads may share it.

    Args:
        host: ``host[:port]`` of its API.
        plain_http: True never uses TLS; False always does; None does but for this machine's own
            names (localhost, 127.0.0.0/8, ::1), which are asked which of both they speak.
        credentials: asked when the registry wants some.
        pool: its connections.
        cache: what is remembered of it.
    """

    def __init__(
        self,
        host: str,
        *,
        plain_http: bool | None,
        credentials: Callable[[], Credentials | None],
        pool: http.Pool,
        route: Route,
        cache: Cache,
    ) -> None:
        self.host = host
        self._pool = pool
        self._route = route
        self._cache = cache
        self._auth = Authorizer(host, credentials=credentials, pool=pool, cache=cache)
        self._lock = threading.Lock()
        self._probed = plain_http is None and is_loopback(self._origin("https").host)
        self._scheme: str | None = "http" if plain_http else "https"
        if self._probed:
            known = cache.load("schemes", host)
            self._scheme = known if known in ("http", "https") else None

    def wants(self, scope: str) -> None:
        """Asks for a right from now on, as token servers name it: ``repository:NAME:pull,push``."""
        self._auth.wants(scope)

    def request(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        body: Callable[[], http.Body] | None = None,
        *,
        tries: int = TRIES,
    ) -> http.Response:
        """An answer, whatever its status; redirects are followed, what is worth it tried again.

        Args:
            method: of HTTP.
            target: a path of this registry, or the absolute URL that it gave for an upload.
            fields: more header fields.
            body: makes the body, anew for each try.
            tries: 1 for what can't be sent twice.

        Raises:
            RegistryUnreachable: nobody answered.
            UntrustedRegistry: its certificate is not trusted.
            RegistryDenied: its token server refuses.
        """
        attempt = 1
        while True:
            try:
                response = self._ask(method, target, fields or {}, body)
            except OSError as exc:
                if isinstance(exc, errors.FairingError | Closed):
                    raise
                if self._forget_https(exc):
                    continue
                if attempt == tries or not _may_pass(exc):
                    raise self._unreachable(exc) from exc
                logger.info("%s %s: %s; trying again", method, self.host, exc)
                self._pool.pause(_pause(attempt))
            else:
                if attempt == tries or not self.waited(response, attempt):
                    return response
            attempt += 1

    def waited(self, response: http.Response, attempt: int) -> bool:
        """Whether an answer is worth another try; waits before that as long as it asks for."""
        if response.status not in _AGAIN:
            return False
        asked = asked_pause(response.field("retry-after"))
        if asked is not None and asked > LONGEST_PAUSE:
            return False
        pause = max(_pause(attempt), asked or 0.0)
        logger.info("%s answered %d; trying again in %.1f s", self.host, response.status, pause)
        response.close()
        self._pool.pause(pause)
        return True

    def broke(self, exc: OSError, attempt: int, tries: int) -> None:
        """Waits before the next try, after the connection broke within an answer.

        Raises:
            RegistryUnreachable: it was the last of the `tries`.
        """
        if attempt == tries or isinstance(exc, Closed):
            raise self._unreachable(exc) from exc
        logger.info("%s: %s; trying again", self.host, exc)
        self._pool.pause(_pause(attempt))

    def _ask(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str],
        body: Callable[[], http.Body] | None,
    ) -> http.Response:
        refused = False
        here = self._own()
        url = urljoin(f"{here.scheme}://{here.netloc}", target)
        for _ in range(8):
            origin, path = _split(url)
            own = origin == here
            secure = origin.scheme == "https"
            sent = self._auth.field(secure=secure) if own else None
            more = {"User-Agent": "fairing", **fields}
            if sent:
                more["Authorization"] = sent
            response = self._pool.request(origin, method, path, more, body)
            if own and self._is_other_scheme(response):
                here = self._own()
                url = urljoin(f"{here.scheme}://{here.netloc}", path)
            elif response.status == 401 and own and not refused:
                refused = sent is not None
                wanted = response.field("www-authenticate")
                if not self._auth.refused(wanted, sent, secure=secure):
                    return response
                response.close()
            elif response.status in _REDIRECTS and response.field("location"):
                response.close()
                url = self._redirected(url, response.field("location"))
                if response.status == 303:
                    method, body = "GET", None
            else:
                return response
        raise errors.RegistryError(f"{self.host} redirects in a circle", host=self.host)

    def _own(self) -> Origin:
        """Where this registry is."""
        with self._lock:
            if self._scheme is None:
                self._scheme = self._probe()
                self._cache.save("schemes", self.host, self._scheme)
            return self._origin(self._scheme)

    def _origin(self, scheme: str) -> Origin:
        return Origin.of(f"{scheme}://{self.host}")

    def _probe(self) -> str:
        """Which of both a registry of this machine speaks."""
        import ssl

        try:
            self._route.open(self._origin("https")).close()
        except Closed:
            raise
        except ssl.SSLCertVerificationError:
            return "https"
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
            return "http"
        except OSError as exc:
            raise self._unreachable(exc) from exc
        return "https"

    def _is_other_scheme(self, response: http.Response) -> bool:
        """Whether a remembered http has become https (Go's server says so in words)."""
        if not self._probed or self._scheme != "http" or response.status != 400:
            return False
        if response.field("content-type") or response.field("docker-distribution-api-version"):
            return False
        if self._probe() == "http":
            return False
        response.close()
        with self._lock:
            self._scheme = None
        return True

    def _forget_https(self, exc: OSError) -> bool:
        """Whether a remembered https has become http."""
        import ssl

        if not self._probed or not isinstance(exc, ssl.SSLError):
            return False
        if isinstance(exc, ssl.SSLCertVerificationError):
            return False
        with self._lock:
            if self._scheme == "https":  # else another thread has asked already
                self._scheme = None
        return True

    def _redirected(self, url: str, location: str) -> str:
        there = urljoin(url, location)
        try:
            Origin.of(there)
        except ValueError as exc:
            raise errors.RegistryError(
                f"{self.host} names a place that can't be reached: {exc}", host=self.host
            ) from None
        if url.startswith("https:") and not there.startswith("https:"):
            raise errors.RegistryError(
                f"{self.host} redirects to {_shown(there)}, which is not encrypted; not followed",
                host=self.host,
            )
        return there

    def location(self, response: http.Response) -> str:
        """The absolute URL of an upload, from the answer that tells it.

        Raises:
            RegistryError: it tells none.
        """
        here = self._own()
        location = response.field("location")
        if not location:
            raise errors.RegistryError(
                f"{self.host} opened an upload without saying where (no Location)",
                host=self.host,
                status=response.status,
            )
        return self._redirected(f"{here.scheme}://{here.netloc}", location)

    def fail(self, response: http.Response, what: str) -> NoReturn:
        """Raises what an unwanted answer means; `what` begins the message: "can't push ...".

        Raises:
            RegistryError: see `fail_with`.
        """
        try:
            content = response.read(_LARGEST)
        except OSError:
            content = b""
        pause = asked_pause(response.field("retry-after"))
        self.fail_with(response.status, content, what, pause=pause)

    def fail_with(
        self, status: int, content: bytes, what: str, *, pause: float | None = None
    ) -> NoReturn:
        """Raises what an answer with that status and body means; `pause` are seconds to wait.

        Raises:
            RegistryDenied: 401 or 403.
            ImageNotFound: 404.
            RegistryError: anything else.
        """
        code, said = diagnosis(content)
        tail = f"{said} (status {status}{f', {code}' if code else ''})"
        kind: type[errors.RegistryError] = errors.RegistryError
        if status in (401, 403) or code in ("DENIED", "UNAUTHORIZED"):
            kind = errors.RegistryDenied
            if self._auth.fault:
                tail += f"; {self._auth.fault}"
            who = f"the user {self._auth.user!r}" if self._auth.user else "nobody is logged in"
            tail += (
                f"; {who}: log in with 'docker login {self.host}' as one who may"
                if status == 401 or not self._auth.user
                else f"; {who} may not: ask for that right, or log in as another"
            )
        elif status == 404:
            kind = errors.ImageNotFound
        elif status == 429:
            tail += "; it asks to be left alone for a while: try again later, or log in"
        if pause:
            tail += f". It may answer again in {pause:,.0f} s"
        raise kind(f"{what}: {tail}", host=self.host, status=status, code=code)

    def _unreachable(self, exc: OSError) -> errors.RegistryError:
        import socket
        import ssl

        setting = f'[tool.fairing.registries."{self.host}"]'
        if isinstance(exc, ssl.SSLCertVerificationError):
            return errors.UntrustedRegistry(
                f"the certificate of {self.host} is not trusted here: {exc.verify_message}; "
                f"name its authority's file with {setting} ca, or in SSL_CERT_FILE",
                host=self.host,
            )
        if isinstance(exc, ssl.SSLError) and not _may_pass(exc):
            return errors.RegistryUnreachable(
                f"{self.host} does not speak TLS ({exc.reason}); if it is a registry on plain "
                f"http that you trust your network with, say so: {setting} plain_http = true",
                host=self.host,
            )
        if isinstance(exc, socket.gaierror):
            return errors.RegistryUnreachable(
                f"no host is called {self.host.partition(':')[0]} ({exc.strerror}); "
                "look at the registry's name",
                host=self.host,
            )
        return errors.RegistryUnreachable(
            f"{self.host} can't be reached: {exc.strerror or exc}; "
            "look at its name and port, the network and the proxy",
            host=self.host,
        )


def _pause(attempt: int) -> float:
    import random  # only when something failed; not its own state, which is the user's to seed

    return _PAUSES[min(attempt, len(_PAUSES)) - 1] * random.Random().uniform(0.7, 1.3)


def _split(url: str) -> tuple[Origin, str]:
    parts = urlsplit(url)
    path = parts.path or "/"
    return Origin.of(url), f"{path}?{parts.query}" if parts.query else path


def _shown(url: str) -> str:
    parts = urlsplit(url)  # the query may hold a signature
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _may_pass(exc: OSError) -> bool:
    """Whether an error of a connection may be gone at the next try."""
    import socket
    import ssl

    if isinstance(exc, socket.gaierror):
        return exc.errno == socket.EAI_AGAIN
    if isinstance(exc, ssl.SSLError):
        return isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError)
    return True
