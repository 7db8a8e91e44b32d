"""What the `check` of a backend can look at: a store, a push, a pull, a right; for plugins.

Each gives a `Check` that says what to do where it failed, and leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fairing_core import errors
from fairing_core.types import Check, Credentials, RegistryAccess

if TYPE_CHECKING:
    from fairing_core.cluster.client import Cluster
    from fairing_core.images.session import Session
    from fairing_core.interfaces import Registry, Storage


def store(of: Storage) -> Check:
    """Whether a small object can be written, read and deleted again."""
    content = b"written by 'fairing doctor'; it may be deleted\n"
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    key = f"doctor-{secrets.token_hex(8)}"
    step = "written"
    try:
        url = of.put(key, io.BytesIO(content), size=len(content), digest=digest).url
        step = "looked up"
        found = of.stat(url)
        step = "read"
        with of.open(url) as stream:
            same = stream.read() == content
        step = "deleted"
        of.delete(url)
    except errors.StorageError as exc:
        return Check("store", False, f"an object can't be {step}: {exc}")
    if found is None or not same:
        return Check("store", False, f"{url} was written, and is not what is there then")
    return Check("store", True, f"{url.rpartition('/')[0]}/: objects can be written and read")


def right(in_: Cluster, verb: str, resource: str, purpose: str) -> Check:
    """Whether the user may `verb` the `resource` in the cluster's namespace; `purpose` says why."""
    from fairing_core.cluster.rights import is_allowed

    try:
        namespace = in_.namespace
        allowed = is_allowed(in_, namespace, verb, resource)
    except errors.ClusterError as exc:
        return Check("rights", None, f"whether you may {verb} {resource} is not known: {exc}")
    what = f"{verb} {resource} in the namespace {namespace!r} ({purpose})"
    if allowed:
        return Check("rights", True, f"you may {what}")
    return Check("rights", False, f"you may not {what}; ask for a Role with that verb")


def push(
    repository: str,
    *,
    registries: Mapping[str, RegistryAccess],
    registry: Registry | None = None,
) -> Check:
    """Whether `repository` takes the user's pushes: an upload is opened, and given up again.

    Args:
        repository: ``host[:port]/path``, as this machine calls it.
        registries: how registries are reached, by host.
        registry: who has credentials that the user's keychain lacks.
    """
    from fairing_core.images.cache import Cache
    from fairing_core.images.reference import parse_repository
    from fairing_core.images.session import Session

    try:
        ref = parse_repository(repository)
        # Without what is remembered: a token may outlive the right.
        with Session(registries, lambda _: registry, Cache(None)) as session:
            found = session.repository(ref, push=True)
            found.abandon(found.begin())
    except (errors.RegistryError, errors.ImageError, errors.SettingsError) as exc:
        return Check("push", False, str(exc))
    return Check("push", True, f"{repository} takes your pushes")


def pull(
    repository: str, *, registries: Mapping[str, RegistryAccess], login: Credentials | None
) -> Check:
    """Whether `repository` lets itself be read by `login`, or by anybody where that is None.

    It is asked for a tag; that there is none is no fault.
    """
    from fairing_core.images.reference import parse_repository

    who = "whoever has no login" if login is None else f"the user {login.username!r}"
    try:
        ref = parse_repository(repository)
        with _as(login, ref.registry, registries) as session:
            session.repository(ref).head("latest")
    except errors.RegistryDenied as exc:
        cure = "give nodes a pull secret with a login that may"
        return Check("pull", False, f"{who} may not pull {repository}; {cure}: {exc}")
    except (errors.RegistryError, errors.ImageError) as exc:
        return Check("pull", False, str(exc))
    who = "anybody" if login is None else who
    return Check("pull", True, f"{who} may pull {repository}")


def _as(login: Credentials | None, host: str, registries: Mapping[str, RegistryAccess]) -> Session:
    """A session that knows that login, and no other."""
    from fairing_core.images.cache import Cache
    from fairing_core.images.keychain import Keychain
    from fairing_core.images.session import Session

    explicit = None if login is None else {host: login}
    nothing = {"REGISTRY_AUTH_FILE": os.devnull}
    keychain = Keychain(explicit, environ=nothing)
    return Session(registries, cache=Cache(None), keychain=keychain)
