"""Logins that end sooner than a build: renewed where its pod reads them, while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from fairing_core import errors, log
from fairing_core.build.cluster.job import Login, logins_secret
from fairing_core.cluster import owned
from fairing_core.cluster.client import Cluster
from fairing_core.values import replace

logger = log.named(__name__)

_EVERY = 60.0  # seconds: clouds' tools hand out tokens that have some minutes left


class Renewal:
    """Keeps the logins of a build as `fresh` gives them, in a thread, as a context manager.

    The kubelet brings them into the pod within a minute or two, and engines read them when they
    push. Whoever may not change Secrets builds with the logins that it began with.

    Args:
        cluster: where it builds.
        job: the Job's manifest; it owns the Secret.
        known: the logins that it began with.
        fresh: gives those of now; asked once a minute.
    """

    def __init__(
        self,
        cluster: Cluster,
        job: dict[str, Any],
        known: Sequence[Login],
        fresh: Callable[[], Sequence[Login]],
    ) -> None:
        self._cluster = cluster
        self._job = job
        self._known = list(known)
        self._fresh = fresh
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Renewal:
        if logins_secret(self._known) is not None:
            self._thread = threading.Thread(target=self._renew, name="logins", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()  # not joined: it may wait for a credential helper

    def _renew(self) -> None:
        name = self._job["metadata"]["name"]
        while not self._over.wait(_EVERY):
            try:
                self._look()
            except errors.ClusterDenied:
                logger.warning(
                    "the build %s goes on with the logins that it began with, which may end before "
                    "it pushes; renewing them needs 'patch' on secrets",
                    name,
                )
                return
            except errors.FairingError as exc:
                logger.warning("the logins of the build %s could not be renewed: %s", name, exc)

    def _look(self) -> None:
        """Writes what has changed; a registry that nobody has a login for now keeps its own."""
        now = {one.host: one.entry for one in self._fresh() if one.entry}
        known = [replace(one, entry=now.get(one.host, one.entry)) for one in self._known]
        secret = logins_secret(known)
        if secret is None or known == self._known or self._over.is_set():
            return
        owned.renew(self._cluster, self._job, secret)
        self._known = known
