"""Credentials for registries, where docker, podman and skopeo keep them.

The files, in their order; one that has nothing for a repository leaves it to the next:

1. ``$REGISTRY_AUTH_FILE``, and then none of the others: who names a file means that one
2. ``$DOCKER_CONFIG/config.json``, or ``~/.docker/config.json``
3. ``$XDG_RUNTIME_DIR/containers/auth.json``, or ``/run/containers/UID/auth.json``
4. ``$XDG_CONFIG_HOME/containers/auth.json``, or ``~/.config/containers/auth.json``

In a file: the helper that ``credHelpers`` has for the host, and then nothing else of that file; or
the entry of ``auths``, the one of the longest namespace first; or the helper ``credsStore``.

Source: containers-auth.json(5) and containers/image, pkg/docker/config, for the files, namespaces
and the keys of ``auths``; docker's manual of "docker login" for credential stores. podman reads on
after a file without an entry, too; that docker's file comes before podman's is our choice.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from fairing_core import errors, log
from fairing_core.images.credhelper import CredentialHelper
from fairing_core.images.reference import HUB, ImageRef
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN
from fairing_core.types import Credentials
from fairing_core.values import field, frozen

logger = log.named(__name__)

_HUB_KEY = "https://index.docker.io/v1/"  # under which docker keeps Docker Hub's
_HUB_HOSTS = (HUB, "index.docker.io", "registry-1.docker.io")

_K = TypeVar("_K")
_V = TypeVar("_V")


class Keychain:
    """Answers which credentials a registry gets; no file, helper or plugin is asked for each.

    Args:
        explicit: credentials by ``host[:port]`` or ``host/namespace``; they come first.
        fallback: asked last, with the registry as references name it (``docker.io``).
        environ: instead of the process's environment; helpers get it, too.
        timeout: seconds that a helper may take.
        lasting: seconds for which what a helper or `fallback` gave is remembered: it may be a token
            that ends within the hour, and a build may take longer.

    Example:
        >>> keychain = Keychain({"registry.example.com": Credentials("ada", "s3cret")})
        >>> keychain.find(ImageRef.parse("registry.example.com/team/app"))
        Credentials(username='ada')

    One keychain may be asked from several threads. It never forgets a file, nor within `lasting` a
    failure: make one for each build. What `fallback` gives may say when it ends; it is asked again
    then.
    """

    def __init__(
        self,
        explicit: Mapping[str, Credentials] | None = None,
        *,
        fallback: Callable[[str], Credentials | None] | None = None,
        environ: Mapping[str, str] | None = None,
        timeout: float = 60,
        lasting: float = 600,
    ) -> None:
        environ = dict(os.environ if environ is None else environ)
        self._explicit = dict(explicit or {})
        self._named = environ.get("REGISTRY_AUTH_FILE")
        self._paths = [Path(self._named)] if self._named else list(_usual_files(environ))
        self._read = _Once(_read)
        self._ask: _Once[CredentialHelper, Credentials | None] = _Once(
            lambda helper: helper.get(environ, timeout), lasting
        )
        self._fallback = _Once(fallback or (lambda _: None), lasting)

    def find(self, ref: ImageRef) -> Credentials | None:
        """The credentials for the repository of `ref`; None says: nobody knows any.

        A file or helper that fails keeps no other from answering; only if none does, its failure
        is raised. A public image can then still be pulled: go on without credentials, and raise
        this error when the registry wants some.

        Raises:
            SettingsError: a file can't be read or understood, a helper failed; nobody else knew.
        """
        given = next(_matching(self._explicit, ref), None)
        if given is not None:
            return self._explicit[given]
        faults: list[errors.SettingsError] = []
        answers = (self._of_file(path, ref, faults) for path in self._paths)
        found = next((answer for answer in answers if answer), None)
        found = found or self._fallback(ref.registry)
        if faults and not found:
            raise faults[0]
        for fault in faults:
            logger.warning("%s. Went on with credentials found elsewhere", fault)
        return found

    def _of_file(
        self, path: Path, ref: ImageRef, faults: list[errors.SettingsError]
    ) -> Credentials | None:
        """What one file knows; a failure is added to `faults`."""
        try:
            file = self._read(path)
            if file is None and self._named:
                raise errors.SettingsError(
                    f"REGISTRY_AUTH_FILE is {self._named!r}, and there is no such file; "
                    "log in (podman login), or unset it"
                )
            found = None if file is None else self._in_file(file, ref)
        except errors.SettingsError as exc:
            faults.append(exc)
            return None
        if found:
            logger.debug("credentials for %s come from %s", ref.name, path)
        return found

    def _in_file(self, file: _AuthFile, ref: ImageRef) -> Credentials | None:
        helped = next(_matching(file.helpers, ref, by_host=True), None)
        if helped is not None and file.helpers[helped]:
            return self._ask(CredentialHelper(file.helpers[helped], helped, file.path))
        found = self._in_entries(file, ref)
        if found or not file.store or helped is not None:  # "" excepts a host from credsStore
            return found
        # The empty entry that `docker login` leaves is spelt as in the store.
        usual = _HUB_KEY if ref.registry == HUB else ref.registry
        server = next(_matching(file.auths, ref, by_host=True), usual)
        return self._ask(CredentialHelper(file.store, server, file.path))

    def _in_entries(self, file: _AuthFile, ref: ImageRef) -> Credentials | None:
        known = (_in_entry(file.auths[key], key, file.path) for key in _matching(file.auths, ref))
        return next((entry for entry in known if entry), None)


class _Once(Generic[_K, _V]):
    """Each key's answer, or SettingsError, asked for once, however many threads want it.

    After `lasting` seconds, or once the answer itself is stale, it is asked for again.
    """

    def __init__(self, ask: Callable[[_K], _V], lasting: float = float("inf")) -> None:
        self._ask = ask
        self._lasting = lasting
        self._lock = threading.Lock()
        self._cells: dict[
            _K, tuple[threading.Lock, list[tuple[_V | errors.SettingsError, float]]]
        ] = {}

    def __call__(self, key: _K) -> _V:
        with self._lock:
            lock, answers = self._cells.setdefault(key, (threading.Lock(), []))
        with lock:
            if not answers or self._is_over(*answers[0]):
                answer: _V | errors.SettingsError
                try:
                    answer = self._ask(key)
                except errors.SettingsError as exc:
                    answer = exc
                answers[:] = [(answer, time.monotonic())]
            answer = answers[0][0]
        if isinstance(answer, errors.SettingsError):
            # A new one: threads that raise the same one would write over its traceback.
            raise errors.SettingsError(*answer.args) from answer.__cause__
        return answer

    def _is_over(self, answer: _V | errors.SettingsError, asked: float) -> bool:
        if isinstance(answer, Credentials) and answer.is_stale:
            return True
        return time.monotonic() - asked >= self._lasting


def in_config(content: bytes, ref: ImageRef, where: str) -> Credentials | None:
    """What a config.json, or a pull secret, has for the repository of `ref`; no helper is asked.

    Raises:
        SettingsError: it can't be understood; `where` says in the message whose it is.
    """
    file = _parsed(Path(where), content)
    known = (_in_entry(file.auths[key], key, file.path) for key in _matching(file.auths, ref))
    return next((entry for entry in known if entry), None)


# --- which entry ----------------------------------------------------------------------------------


def _matching(keys: Iterable[str], ref: ImageRef, *, by_host: bool = False) -> Iterator[str]:
    """Those `keys` that hold for `ref`: the longest namespace first, then those spelt plainly.

    With `by_host` those of the whole registry alone: helpers know no namespaces.
    """
    wanted = _normal(ref.registry) if by_host else f"{_normal(ref.registry)}/{ref.repository}"
    normal = {key: _normal(key) for key in keys}
    fits = [key for key, value in normal.items() if f"{wanted}/".startswith(f"{value}/")]
    yield from sorted(fits, key=lambda key: (-len(normal[key]), key != normal[key]))


def _normal(key: str) -> str:
    """``host`` or ``host/namespace``; of a URL its host, of Docker Hub ``docker.io``."""
    bare = key.removeprefix("https://").removeprefix("http://")
    host, _, path = bare.partition("/")
    host = HUB if host.lower() in _HUB_HOSTS else host.lower()
    path = path.strip("/")
    return host if bare != key or path in {"", "v1", "v2"} else f"{host}/{path}"


# --- files ----------------------------------------------------------------------------------------


@frozen
class _AuthFile:
    path: Path
    auths: Mapping[str, Mapping[str, Any]] = field(repr=False)
    helpers: Mapping[str, str] = field(kw_only=True)
    store: str = field(kw_only=True)


def _usual_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")
    runtime = environ.get("XDG_RUNTIME_DIR")
    containers = Path(runtime, "containers") if runtime else Path(f"/run/containers/{os.getuid()}")
    yield containers / "auth.json"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")


def _read(path: Path) -> _AuthFile | None:
    """What the file holds, None if there is none; errors don't quote it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise _unfit(path, f"can't be read ({exc.strerror}); mend that, or move it away") from exc
    return _parsed(path, content)


def _parsed(path: Path, content: bytes) -> _AuthFile:
    """What a file's content says; errors don't quote it."""
    try:
        table = json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError) as exc:  # they carry the content
        where = f", line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else ""
        raise _unfit(path, f"is no JSON{where}; mend it, or log in anew") from None
    table = _table(path, "its content", table)
    auths = _table(path, "auths", table.get("auths"))
    return _AuthFile(
        path,
        {key: _table(path, f"auths[{key!r}]", entry) for key, entry in auths.items()},
        helpers={
            key: _text(path, f"credHelpers[{key!r}]", name)
            for key, name in _table(path, "credHelpers", table.get("credHelpers")).items()
        },
        store=_text(path, "credsStore", table.get("credsStore")),
    )


def _in_entry(entry: Mapping[str, Any], key: str, path: Path) -> Credentials | None:
    """What an entry of ``auths`` holds; None where it only says that a helper has it."""

    def text(name: str) -> str:
        return _text(path, f"{name} of auths[{key!r}]", entry.get(name))

    for name, marker in (("registrytoken", REGISTRY_TOKEN), ("identitytoken", IDENTITY_TOKEN)):
        if token := text(name):
            return Credentials(marker, token)
    if encoded := "".join(text("auth").split()):
        padded = encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4)
        try:
            user, colon, password = base64.b64decode(padded, validate=True).decode().partition(":")
        except ValueError:  # it carries the content
            colon = ""
        if not colon:
            fault = f"is amiss: auth of auths[{key!r}] is not user:password in base64; log in anew"
            raise _unfit(path, fault)
        password = password.strip("\0")  # old versions of docker padded it
    else:
        user, password = text("username"), text("password")
    return Credentials(user, password) if user or password else None


def _table(path: Path, what: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _unfit(path, f"is amiss: {what} is no JSON object; mend it, or log in anew")
    return value


def _text(path: Path, what: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _unfit(path, f"is amiss: {what} is no text; mend it, or log in anew")
    return value


def _unfit(path: Path, fault: str) -> errors.SettingsError:
    return errors.SettingsError(f"{path}, which holds credentials for registries, {fault}")
