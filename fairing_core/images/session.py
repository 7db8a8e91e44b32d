"""The registries that one build talks to: their connections, credentials and what is remembered."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from fairing_core.images import http
from fairing_core.images.cache import Cache
from fairing_core.images.reference import ImageRef
from fairing_core.images.remote import Remote
from fairing_core.images.repository import Repository
from fairing_core.images.route import Route
from fairing_core.types import Credentials, RegistryAccess

if TYPE_CHECKING:
    from fairing_core.images.keychain import Keychain
    from fairing_core.interfaces import Registry


class Session:
    """Gives repositories; those of one registry share its connections and one token.

    Args:
        access: how registries are reached, by ``host[:port]``.
        registry_for: gives the plugin that knows a host, for what the user's keychain lacks.
        cache: by default the user's.
        keychain: by default the user's.
    """

    def __init__(
        self,
        access: Mapping[str, RegistryAccess],
        registry_for: Callable[[str], Registry | None] | None = None,
        cache: Cache | None = None,
        keychain: Keychain | None = None,
    ) -> None:
        self.cache = Cache.of_user() if cache is None else cache
        self._access = access
        route = Route({host: said.ca for host, said in access.items() if said.ca})
        self._route = route
        self._pool = http.Pool(route)
        self._registry_for = registry_for
        self._given = keychain
        self._remotes: dict[str, Remote] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def repository(self, ref: ImageRef, *, push: bool = False) -> Repository:
        """The repository of `ref`, with the right to pull, or to push too."""
        remote = self._remotes.get(ref.registry)
        if remote is None:
            said = self._access.get(ref.registry) or RegistryAccess()
            remote = self._remotes[ref.registry] = Remote(
                ref.host,
                plain_http=said.plain_http,
                credentials=functools.partial(self.credentials, ref),
                pool=self._pool,
                route=self._route,
                cache=self.cache,
            )
        remote.wants(f"repository:{ref.repository}:{'pull,push' if push else 'pull'}")
        return Repository(remote, ref)

    def credentials(self, ref: ImageRef) -> Credentials | None:
        """Those for the repository of `ref`; None where nobody knows any.

        Raises:
            SettingsError: a file can't be read or understood, a helper failed; nobody else knew.
        """
        return self._keychain.find(ref)

    @functools.cached_property
    def _keychain(self) -> Keychain:
        if self._given is not None:
            return self._given
        from fairing_core.images.keychain import Keychain  # not for registries that ask nobody

        return Keychain(fallback=_asking(self._registry_for))

    def close(self) -> None:
        """Ends every connection, also those that threads wait for."""
        self._pool.close()


def _asking(
    registry_for: Callable[[str], Registry | None] | None,
) -> Callable[[str], Credentials | None] | None:
    if registry_for is None:
        return None

    def ask(host: str) -> Credentials | None:
        registry = registry_for(host)
        return registry.credentials(host) if registry else None

    return ask
