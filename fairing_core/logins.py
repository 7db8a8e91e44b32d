"""The user's logins for registries, and the pull secrets by which nodes have them; for plugins.

What `docker login` and `podman login` keep: see `fairing_core.images.keychain`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from fairing_core import errors
from fairing_core.types import Credentials, OwnedSecret

CONFIG = ".dockerconfigjson"
"""The entry of a pull secret. Source: Kubernetes API v1.36, Secret types."""

_HUB = ("docker.io", "https://index.docker.io/v1/")  # and how docker and nodes call it


def login(repository: str) -> Credentials | None:
    """What the user's keychain has for `repository`, ``host[:port]/path``; None is nothing.

    Raises:
        SettingsError: a file can't be read, a credential helper failed; nobody else knew.
        InvalidReference: `repository` names none.
    """
    from fairing_core.images.keychain import Keychain
    from fairing_core.images.reference import parse_repository

    return Keychain().find(parse_repository(repository))


def is_for_nodes(known: Credentials) -> bool:
    """Whether nodes can use it: they take users and passwords, no identity tokens."""
    return not known.username.startswith("<")


def pull_secret(name: str, logins: Mapping[str, Credentials]) -> OwnedSecret:
    """A pull secret with `logins`, by the ``host[:port]`` that nodes call, and nothing else.

    Example:
        >>> from fairing_core import Credentials
        >>> secret = pull_secret("pull", {"registry.lab:5000": Credentials("ada", "s3cret")})
        >>> secret
        OwnedSecret(name='pull', type='kubernetes.io/dockerconfigjson')
        >>> in_pull_secret(secret.data[".dockerconfigjson"], "registry.lab:5000/ml", "pull")
        Credentials(username='ada')
    """
    auths = {_key(host): _entry(known) for host, known in sorted(logins.items())}
    content = json.dumps({"auths": auths}, sort_keys=True).encode()
    return OwnedSecret(name, {CONFIG: content}, type="kubernetes.io/dockerconfigjson")


def in_pull_secret(content: bytes, repository: str, name: str) -> Credentials | None:
    """What the pull secret `name` has for `repository`, as nodes call that; None is nothing.

    Raises:
        SettingsError: it is no pull secret.
    """
    from fairing_core.images.keychain import in_config
    from fairing_core.images.reference import parse_repository

    try:
        return in_config(content, parse_repository(repository), f"the Secret {name!r}")
    except errors.SettingsError as exc:
        raise errors.SettingsError(
            f"{exc}; make it with 'kubectl create secret docker-registry {name}'"
        ) from None


def _key(host: str) -> str:
    return _HUB[1] if host == _HUB[0] else host


def _entry(known: Credentials) -> dict[str, str]:
    both = f"{known.username}:{known.password}".encode()
    return {
        "username": known.username,
        "password": known.password,
        "auth": base64.b64encode(both).decode(),
    }
