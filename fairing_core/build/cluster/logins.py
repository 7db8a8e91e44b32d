"""What an engine in a pod has to know of registries: their names there, logins, certificates."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairing_core import errors, log
from fairing_core.build.cluster.job import Login
from fairing_core.images.reference import ImageRef
from fairing_core.images.route import is_loopback
from fairing_core.images.session import Session
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN
from fairing_core.types import RegistryAccess
from fairing_core.values import replace

logger = log.named(__name__)

Registries = Mapping[str, RegistryAccess]


def for_pods(ref: ImageRef, registries: Registries) -> ImageRef:
    """What pods call an image."""
    access = registries.get(ref.registry)
    name = access and (access.pod_name or access.pull_name)
    return replace(ref, registry=name) if name else ref


def for_nodes(ref: ImageRef, registries: Registries) -> ImageRef:
    """What the nodes that pull an image call it."""
    access = registries.get(ref.registry)
    return replace(ref, registry=access.pull_name) if access and access.pull_name else ref


def logins(session: Session, refs: Iterable[ImageRef], registries: Registries) -> list[Login]:
    """One for each registry of `refs`; of the user's logins, no others.

    Raises:
        SettingsError: a certificate can't be read.
    """
    found: dict[str, Login] = {}
    for ref in refs:
        access = registries.get(ref.registry) or RegistryAccess()
        host = for_pods(ref, registries).registry
        if host in found:
            continue
        plain = access.plain_http
        if plain is None:  # as this machine reaches it, whatever pods call it
            plain = is_loopback(ref.host.partition(":")[0])
        found[host] = Login(
            host,
            for_nodes(ref, registries).registry,
            _entry(session, ref),
            _certificates(access.ca),
            plain,
        )
    return list(found.values())


def _entry(session: Session, ref: ImageRef) -> Mapping[str, str] | None:
    """The entry of a docker config.json: for one registry, never the user's whole file."""
    import base64

    try:
        found = session.credentials(ref)
    except errors.SettingsError as exc:  # it may want none
        logger.warning("%s. Went on without a login for %s", exc, ref.registry)
        return None
    if found is None:
        return None
    for marker, name in ((IDENTITY_TOKEN, "identitytoken"), (REGISTRY_TOKEN, "registrytoken")):
        if found.username == marker:
            return {name: found.password}
    both = f"{found.username}:{found.password}".encode()
    return {"auth": base64.b64encode(both).decode()}


def _certificates(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as exc:
        raise errors.SettingsError(
            f"the certificates {os.fspath(path)} can't be read ({exc.strerror or exc})"
        ) from exc
