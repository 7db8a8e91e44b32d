"""The registry: any that speaks the OCI distribution protocol."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

from fairing_core import Credentials, OwnedSecret, PodPatch, errors, logins
from fairing_onprem import pods

logger = logging.getLogger(__name__)


class PlainRegistry:
    """A place in a registry of your own, which makes repositories by itself.

    Credentials for pushes are the user's: `docker login` and `podman login`. Nodes pull by
    `pull_secret`; where none is named, a pull secret is made of the user's login for that registry,
    if there is one, for each run, and goes with it.

    Args:
        place: where images are pushed, ``host[:port][/path]``.
        pull_secret: the name of a Secret of the runs' namespace.
        make_pull_secret: whether one is made where none is named.
        pull_name: what nodes call the registry, ``host[:port]``, where that differs.

    Example:
        >>> from fairing_onprem import PlainRegistry
        >>> registry = PlainRegistry("registry.lab.example:5000/ml", pull_secret="lab-pull")
        >>> registry.repository("train")
        'registry.lab.example:5000/ml/train'
        >>> registry.pod_access("pull")[0].spec
        {'imagePullSecrets': [{'name': 'lab-pull'}]}
    """

    def __init__(
        self,
        place: str,
        *,
        pull_secret: str | None = None,
        make_pull_secret: bool = True,
        pull_name: str | None = None,
    ) -> None:
        self._place = place.rstrip("/")
        self._pull_secret = pull_secret
        self._make_pull_secret = make_pull_secret
        self._pull_name = pull_name or self.host

    @property
    def host(self) -> str:
        """The registry, ``host[:port]``, as this machine calls it."""
        return self._place.partition("/")[0]

    @property
    def pull_name(self) -> str:
        """The registry as nodes call it."""
        return self._pull_name

    def serves(self, host: str) -> bool:
        """Whether `host` is this registry."""
        return host == self.host

    def repository(self, name: str) -> str:
        """The full repository for images called `name`."""
        return f"{self._place}/{name}"

    def ensure(self, repository: str) -> None:
        """Nothing: registries of this kind make a repository at its first push."""

    def credentials(self, host: str) -> Credentials | None:
        """None: the user's own keychain has them."""
        return None

    def login(self) -> Credentials | None:
        """The user's login that a pull secret is made of; None where there is none for nodes.

        Raises:
            SettingsError: a file can't be read, or a credential helper failed.
        """
        found = logins.login(self.repository("x"))
        if found is not None and not logins.is_for_nodes(found):
            logger.warning(
                "the login for %s is a token that nodes can't use, so no pull secret is made of it",
                self.host,
            )
            return None
        return found

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """A pull secret. Builders make what pods push with themselves, of the user's keychain."""
        if mode == "push":
            return ()
        if self._pull_secret is not None:
            return (pods.pull_by_reference(self._pull_secret),)
        made = self._made() if self._make_pull_secret else None
        return () if made is None else (pods.pull_by_value(made),)

    def _made(self) -> OwnedSecret | None:
        try:
            found = self.login()
        except errors.SettingsError as exc:
            logger.warning("%s. No pull secret for %s is made", exc, self.host)
            return None
        if found is None:
            return None
        logger.info("nodes pull from %s with a Secret made of your login", self._pull_name)
        return logins.pull_secret(pods.PULL, {self._pull_name: found})

    def __repr__(self) -> str:
        secret = "" if self._pull_secret is None else f", pull_secret={self._pull_secret!r}"
        return f"{type(self).__name__}({self._place!r}{secret})"
