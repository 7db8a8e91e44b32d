"""Proves to a registry who asks: Basic, Bearer tokens, or nobody.

Sources: RFC 7617 (Basic); RFC 9110, 11.6.1 (WWW-Authenticate); Docker Registry v2 authentication
via central service (token, refresh token), as every registry with Bearer tokens answers it.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard
from urllib.parse import quote, urlencode, urlsplit

from fairing_core import errors
from fairing_core.images import http
from fairing_core.images.answers import diagnosis
from fairing_core.images.cache import Cache
from fairing_core.images.route import Closed, Origin, basic, is_loopback

if TYPE_CHECKING:
    from fairing_core.types import Credentials

IDENTITY_TOKEN = "<token>"  # noqa: S105 - a marker, as docker's helpers answer it
"""The user of credentials whose password is an identity token: a refresh token of OAuth 2."""

REGISTRY_TOKEN = "<registrytoken>"  # noqa: S105 - a marker, our own
"""The user of credentials whose password is sent as it is: ``Authorization: Bearer``."""

_LARGEST = 1 << 20
_DEFAULT_SECONDS = 60  # where the answer has no expires_in; the specification's own default
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_SCHEME = re.compile(r"(?:^|,)\s*(basic|bearer)(?=\s|,|$)", re.IGNORECASE)


class Challenge(NamedTuple):
    """How a registry wants it proven: `scheme` is ``basic`` or ``bearer``."""

    scheme: str
    realm: str = ""
    service: str = ""

    @classmethod
    def parse(cls, field: str) -> Challenge | None:
        """The best challenge of a WWW-Authenticate field; None where we know none of them."""
        found = {}
        starts = list(_SCHEME.finditer(field))
        ends = [*(start.start() for start in starts[1:]), len(field)]
        for start, end in zip(starts, ends, strict=False):
            rest = field[start.end() : end]
            values = {m[1].lower(): m[2] or m[3] or "" for m in _PARAMETER.finditer(rest)}
            scheme = start[1].lower()
            found[scheme] = cls(scheme, values.get("realm", ""), values.get("service", ""))
        return found.get("bearer") or found.get("basic")


class Authorizer:
    """Gives requests to one registry their Authorization; learns from its first refusal.

    Args:
        host: the registry's ``host[:port]``.
        credentials: asked whenever the registry wants some anew, as passwords that are tokens end;
            may be slow, and has to remember.
        pool: takes the requests to token servers.
        cache: keeps challenges and tokens.
    """

    def __init__(
        self,
        host: str,
        *,
        credentials: Callable[[], Credentials | None],
        pool: http.Pool,
        cache: Cache,
    ) -> None:
        self._host = host
        self._scopes: tuple[str, ...] = ()
        self._ask = credentials
        self._pool = pool
        self._cache = cache
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self.fault: errors.SettingsError | None = None
        """Why credentials that should be there can't be read; what is public goes without."""
        self._field: str | None = None
        self._expires = float("inf")
        known = cache.load("challenges", host)
        self._kept = Challenge(*known) if _is_challenge(known) else None
        self._challenge: Challenge | None = None

    @property
    def user(self) -> str | None:
        """Who asks; None is nobody (or not known yet)."""
        return self._credentials.username if self._credentials else None

    def wants(self, scope: str) -> None:
        """Asks for a right too, e.g. ``repository:team/model:pull,push``.

        Rights to push come first, as some servers read only one.
        """
        with self._lock:
            repository = scope.rpartition(":")[0]
            if scope in self._scopes or f"{repository}:pull,push" in self._scopes:
                return
            self._scopes = tuple(
                sorted((*self._scopes, scope), key=lambda each: not each.endswith("push"))
            )
            if self._challenge is None or self._challenge.scheme == "bearer":
                self._field = None

    def field(self, *, secure: bool) -> str | None:
        """The Authorization to send, as far as one is known to be wanted.

        Args:
            secure: whether it will be sent through TLS.
        """
        with self._lock:
            if self._kept is not None:
                challenge, self._kept = self._kept, None
                with suppress(errors.RegistryError):  # it was http then, and is https now
                    _check(challenge, self._host, secure=secure)
                    self._challenge = challenge
            if self._challenge is None:
                return None
            if self._field is None or time.time() >= self._expires:
                self._prove(self._challenge, use_kept=True)
            return self._field

    def refused(self, www_authenticate: str, sent: str | None, *, secure: bool) -> bool:
        """Takes a 401 in; True when another try is worth it.

        Args:
            www_authenticate: the field of the refusal; may be empty.
            sent: the Authorization that was refused.
            secure: whether the registry was asked through TLS.

        Raises:
            RegistryDenied: the token server refuses the credentials.
        """
        with self._lock:
            if sent != self._field:
                return True  # another thread has a newer one by now
            challenge = Challenge.parse(www_authenticate) or self._challenge
            if challenge is None:
                return False
            _check(challenge, self._host, secure=secure)
            if challenge != self._challenge:
                self._challenge = challenge
                self._cache.save("challenges", self._host, list(challenge))
            self._prove(challenge, use_kept=False)
            return self._field is not None and self._field != sent

    def _prove(self, challenge: Challenge, *, use_kept: bool) -> None:
        try:
            self._credentials, self.fault = self._ask(), None
        except errors.SettingsError as exc:
            self.fault = exc
        who = self._credentials
        if challenge.scheme == "basic":
            self._field = basic(who.username, who.password) if who else None
            self._expires = (who.expires if who else None) or float("inf")
            return
        if who and who.username == REGISTRY_TOKEN:
            self._field = f"Bearer {who.password}"
            return
        key = self._key(challenge)
        if use_kept:
            kept = self._cache.load("tokens", key)
            if _is_token(kept) and kept["expires"] > time.time():
                self._field, self._expires = f"Bearer {kept['token']}", kept["expires"]
                return
        token, seconds = self._token(challenge)
        self._expires = time.time() + 0.9 * seconds - 2
        self._field = f"Bearer {token}"
        if seconds > 30:
            self._cache.save("tokens", key, {"token": token, "expires": self._expires})

    def _key(self, challenge: Challenge) -> str:
        who = self._credentials
        secret = f"{who.username}\0{who.password}" if who else ""
        digest = hashlib.sha256(secret.encode()).hexdigest()
        return "\0".join((self._host, *challenge, *self._scopes, digest))

    def _token(self, challenge: Challenge) -> tuple[str, float]:
        who = self._credentials
        asked = [("service", challenge.service)] if challenge.service else []
        parts = urlsplit(challenge.realm)
        origin = Origin.of(challenge.realm)
        path = parts.path or "/"
        fields = {"Accept": "application/json", "User-Agent": "fairing"}
        if who and who.username == IDENTITY_TOKEN:
            form = {
                "grant_type": "refresh_token",
                "refresh_token": who.password,
                "client_id": "fairing",
                "scope": " ".join(self._scopes),
                **dict(asked),
            }
            fields["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()
            response = self._send(origin, "POST", path, fields, lambda: body)
        else:
            if who:
                fields["Authorization"] = basic(who.username, who.password)
            asked += [("scope", scope) for scope in self._scopes]
            query = "&".join(filter(None, (parts.query, urlencode(asked, quote_via=quote))))
            response = self._send(origin, "GET", f"{path}?{query}", fields, None)
        return self._read(response, origin)

    def _send(
        self,
        origin: Origin,
        method: str,
        target: str,
        fields: Mapping[str, str],
        body: Callable[[], bytes] | None,
    ) -> http.Response:
        import ssl

        for pause in (0.2, 1.0, None):
            try:
                response = self._pool.request(origin, method, target, fields, body)
            except ssl.SSLCertVerificationError as exc:
                raise errors.UntrustedRegistry(
                    f"the certificate of {origin.netloc}, the token server of {self._host}, is not "
                    f"trusted here: {exc.verify_message}; name its authority's file with "
                    f'[tool.fairing.registries."{origin.netloc}"] ca, or in SSL_CERT_FILE',
                    host=self._host,
                ) from exc
            except OSError as exc:
                if isinstance(exc, errors.FairingError | Closed):
                    raise
                if pause is None:
                    raise errors.RegistryUnreachable(
                        f"the token server of {self._host}, {origin.netloc}, can't be reached: "
                        f"{exc}",
                        host=self._host,
                    ) from exc
            else:
                if pause is None or (response.status != 429 and response.status < 500):
                    return response
                response.close()
            self._pool.pause(pause)
        raise AssertionError("unreachable")

    def _read(self, response: http.Response, origin: Origin) -> tuple[str, float]:
        content = response.read(_LARGEST)
        if response.status != 200:
            who = f"the user {self.user!r}" if self.user else "anonymous users"
            _, said = diagnosis(content)
            kind = (
                errors.RegistryDenied
                if response.status in (400, 401, 403)
                else errors.RegistryError
            )
            raise kind(
                f"{origin.netloc}, the token server of {self._host}, refused {who} "
                f"(status {response.status}): {said}; log in with 'docker login {self._host}', "
                f"and see that the user may {' and '.join(self._scopes)}",
                host=self._host,
                status=response.status,
            )
        try:
            table = json.loads(content)
            token = table.get("token") or table["access_token"]
            seconds = float(table.get("expires_in") or _DEFAULT_SECONDS)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            token = None
        if (
            not token
            or not isinstance(token, str)
            or not token.isascii()
            or not token.isprintable()
        ):
            raise errors.RegistryError(
                f"{origin.netloc}, the token server of {self._host}, gave no token",
                host=self._host,
                status=response.status,
            )
        return token, seconds


def _is_challenge(known: object) -> bool:
    return (
        isinstance(known, list)
        and len(known) == 3
        and all(isinstance(text, str) for text in known)
        and known[0] in ("basic", "bearer")
    )


def _is_token(kept: object) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(kept, dict)
        and isinstance(kept.get("token"), str)
        and isinstance(kept.get("expires"), int | float)
    )


def _check(challenge: Challenge, host: str, *, secure: bool) -> None:
    """Refuses to carry credentials where a registry should not send them.

    A realm on the registry's own host is taken as the registry is; elsewhere it has to be https
    and no address of a private network (which only we can reach).
    """
    if challenge.scheme == "basic":
        return
    realm = challenge.realm
    try:
        origin = Origin.of(realm)
    except ValueError:
        raise errors.RegistryError(
            f"{host} names no usable token server: realm={realm!r}", host=host
        ) from None
    own = origin.netloc == host or origin.host == Origin.of(f"https://{host}").host
    if own and (origin.scheme == "https" or not secure):
        return
    if origin.scheme == "https" and not _is_private(origin.host):
        return
    raise errors.RegistryError(
        f"{host} wants credentials sent to {realm!r}, which is "
        f"{'not encrypted' if origin.scheme == 'http' else 'an address of a private network'}; "
        "they were not sent",
        host=host,
    )


def _is_private(host: str) -> bool:
    if is_loopback(host):
        return True
    if not (host.replace(".", "").isdecimal() or ":" in host):
        return False
    import ipaddress

    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:  # 2130706433 is 127.0.0.1, too
        return True
