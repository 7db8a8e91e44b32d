"""How an origin is reached: names, proxies, TLS, and the certificates that are trusted.

Sources: RFC 9110, 9.3.6 (CONNECT); the variables are those that curl reads.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from fairing_core import errors

if TYPE_CHECKING:
    import ssl

CONNECT_SECONDS = 15.0
"""Until a host has taken the connection."""
ANSWER_SECONDS = 300.0
"""Without a byte either way; a registry may take minutes to check a large blob."""

_LONGEST = 1 << 16  # bytes of a proxy's answer


class Origin(NamedTuple):
    """Whom a connection is made to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute URL.

        Raises:
            ValueError: it has no host, or neither scheme that we speak.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or not port:
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            raise ValueError(f"{shown!r} is no http or https URL with a host")
        return cls(parts.scheme, parts.hostname, port)

    @property
    def netloc(self) -> str:
        """``host[:port]``, as in a URL and in the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


class Broken(ConnectionError):
    """The connection ended too soon, or what came is no HTTP."""


class Closed(ConnectionError):
    """The pool was closed: nobody wants an answer any more."""


class Route:
    """How origins are reached: certificates, and the proxies that the environment names.

    Args:
        ca: a file of certificates to trust instead of the system's, by origin's netloc.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` count, in small letters too;
    loopback never goes through a proxy.
    """

    def __init__(self, ca: Mapping[str, str | os.PathLike[str]] | None = None) -> None:
        self._ca = dict(ca or {})
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._opening: set[socket.socket] = set()
        self._is_closed = False
        self._lock = threading.Lock()
        self._proxied = any(
            value and key.lower() in ("http_proxy", "https_proxy", "all_proxy")
            for key, value in os.environ.items()
        )

    def open(self, origin: Origin) -> socket.socket:
        """A connected socket, through TLS where the scheme wants it.

        Raises:
            OSError: none can be had.
            Closed: the route was closed.
        """
        proxy = self._proxy(origin)
        via = Origin.of(proxy) if proxy else origin
        host: Any = _bare(via.host)  # typeshed knows no host in bytes
        fault = OSError(f"{via.host} has no address")
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host, via.port, type=socket.SOCK_STREAM
        ):
            try:
                plain = socket.socket(family, kind, protocol)
                with self._closing(plain):
                    plain.settimeout(CONNECT_SECONDS)
                    plain.connect(place)
            except OSError as exc:
                fault = exc
            else:
                return self._opened(plain, origin, proxy)
        raise fault

    def close(self) -> None:
        """Opens no more, and ends what is being opened by other threads."""
        with self._lock:
            self._is_closed = True
            opening = list(self._opening)
        for each in opening:
            with suppress(OSError):  # wakes the thread that waits for it
                socket.socket.shutdown(each, socket.SHUT_RDWR)

    def _opened(self, plain: socket.socket, origin: Origin, proxy: str | None) -> socket.socket:
        """A connected socket, made ready for requests to `origin`."""
        with self._closing(plain):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy and origin.scheme == "https":
                _tunnel(plain, origin, _proxy_fields(proxy))
            if origin.scheme == "http":
                plain.settimeout(ANSWER_SECONDS)
                return plain
            secure = self._context(origin).wrap_socket(
                plain, server_hostname=_bare(origin.host), do_handshake_on_connect=False
            )
        with self._closing(secure):
            secure.do_handshake()
            secure.settimeout(ANSWER_SECONDS)
        return secure

    @contextmanager
    def _closing(self, connection: socket.socket) -> Iterator[None]:
        """Within, `close` ends it, and so does whatever is raised."""
        with self._lock:
            self._opening.add(connection)
        try:
            if self._is_closed:
                raise Closed("stopped")
            yield
        except BaseException as exc:
            connection.close()
            if self._is_closed and isinstance(exc, OSError):
                raise Closed("stopped") from exc
            raise
        finally:
            with self._lock:
                self._opening.discard(connection)

    def target(self, origin: Origin, target: str) -> str:
        """What the request line names: the whole URL where a proxy reads it."""
        if origin.scheme == "http" and self._proxy(origin):
            return f"http://{origin.netloc}{target}"
        return target

    def fields(self, origin: Origin) -> dict[str, str]:
        """Header fields for the proxy itself."""
        proxy = self._proxy(origin) if origin.scheme == "http" else None
        return _proxy_fields(proxy) if proxy else {}

    def _proxy(self, origin: Origin) -> str | None:
        if not self._proxied or is_loopback(origin.host):
            return None
        from urllib.request import getproxies, proxy_bypass

        if proxy_bypass(origin.netloc):
            return None
        found = getproxies()
        proxy = found.get(origin.scheme) or found.get("all")
        if proxy is None:
            return None
        scheme, _, rest = proxy.rpartition("://")
        if scheme not in ("", "http"):
            raise errors.SettingsError(
                f"the proxy for {origin.scheme} is a {scheme} one, which Fairing can't talk to; "
                f"name one on http in {origin.scheme.upper()}_PROXY, or leave the host out of "
                f"proxies: NO_PROXY={origin.host}"
            )
        try:
            Origin.of(f"http://{rest}")
        except ValueError:  # it shows what may be a part of a password
            raise errors.SettingsError(
                f"the proxy for {origin.scheme} is no URL of one; write http://HOST:PORT in "
                f"{origin.scheme.upper()}_PROXY, and %2F for a slash in a password"
            ) from None
        return f"http://{rest}"

    def _context(self, origin: Origin) -> ssl.SSLContext:
        with self._lock:
            ca = str(self._ca.get(origin.netloc, ""))
            if ca not in self._contexts:
                import ssl

                self._contexts[ca] = ssl.create_default_context(cafile=ca or None)
            return self._contexts[ca]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, by its name alone."""
    return (
        host in ("localhost", "::1")
        or host.endswith(".localhost")
        or (host.startswith("127.") and host.replace(".", "").isdecimal())
    )


def _bare(host: str) -> str | bytes:
    """`host` for the socket module: as bytes, a plain name does without the whole IDNA codec."""
    return host.encode() if host.isascii() else host


def basic(user: str, password: str) -> str:
    """The Authorization of a user and a password (RFC 7617)."""
    import base64

    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _proxy_fields(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    from urllib.parse import unquote

    return {"Proxy-Authorization": basic(unquote(parts.username), unquote(parts.password or ""))}


def _tunnel(plain: socket.socket, origin: Origin, fields: Mapping[str, str]) -> None:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    place = f"{host}:{origin.port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    plain.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
    head = b""
    while b"\r\n\r\n" not in head:  # byte by byte: what follows belongs to TLS
        byte = plain.recv(1)
        if not byte or len(head) > _LONGEST:
            raise Broken("the proxy closed the connection")
        head += byte
    line = head.split(b"\r\n", 1)[0].decode("latin-1")
    if line.split()[1:2] != ["200"]:
        raise Broken(f"the proxy refused to connect to {place}: {line}")
