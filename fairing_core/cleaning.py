"""What earlier runs and builds have left, found by its age: ended runs, stored objects, caches."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from fairing_core import errors, runs
from fairing_core.build.cluster.supply import CONTEXTS
from fairing_core.cluster import outputs
from fairing_core.images.cache import Cache
from fairing_core.interfaces import BackendInterface, RunHandle, Storage
from fairing_core.types import StoredObject
from fairing_core.values import field, frozen

Kind = Literal["runs", "contexts", "outputs", "artifacts", "cache"]
"""Ended runs; build contexts and outputs in the store; outputs that came home; what was learned."""

KINDS: Sequence[Kind] = get_args(Kind)
WEEK = 604_800.0  # seconds


@frozen
class Leftover:
    """One thing that can go: `changed` is the POSIX time (s) of its end or last change.

    `size` is in bytes, None where nobody knows; `remove` removes it.
    """

    kind: Kind
    name: str
    changed: float
    remove: Callable[[], object] = field(repr=False)
    size: int | None = field(default=None, kw_only=True)


def leftovers(
    *,
    backend: str | BackendInterface | None = None,
    backend_options: Mapping[str, Any] | None = None,
    older_than: float = WEEK,
    kinds: Sequence[Kind] = KINDS,
) -> list[Leftover]:
    """What is older than so many seconds, the oldest of each kind first; removes nothing.

    Args:
        backend: whose runs and store; by default the configured backend, else `local`.
        backend_options: the backend's settings.
        older_than: seconds since a run's end, or since anything else was written.
        kinds: which kinds to look for.

    Raises:
        ClusterError: and its kinds; and `StorageError`: what is asked for can't be looked at.
    """
    found = runs.backend_of(backend, backend_options)
    before = time.time() - older_than
    made: dict[Kind, Callable[[], Iterator[Leftover]]] = {
        "runs": partial(_runs, found),
        "contexts": partial(_stored, found, "contexts", CONTEXTS),
        "outputs": partial(_stored, found, "outputs", outputs.OUTPUTS),
        "artifacts": _artifacts,
        "cache": _cache,
    }
    old = [one for kind in kinds for one in made[kind]() if one.changed <= before]
    return sorted(old, key=lambda one: (kinds.index(one.kind), one.changed))


def _runs(backend: BackendInterface) -> Iterator[Leftover]:
    for run in runs.list_runs(backend=backend):
        if (ended := _ended(run)) is not None:
            yield Leftover("runs", run.name, ended, run.delete)


def _ended(run: RunHandle) -> float | None:
    """When the run ended, once it has."""
    try:
        seen = run.snapshot()
    except errors.RunNotFound:  # deleted since it was listed
        return None
    if not seen.status.is_terminal:
        return None
    moment = seen.ended or seen.started
    return moment.timestamp() if moment else 0.0


def _stored(backend: BackendInterface, kind: Kind, prefix: str) -> Iterator[Leftover]:
    storage: Storage | None = backend.storage()
    listed: Iterator[StoredObject] = iter(storage.list(prefix) if storage is not None else ())
    for one in listed:
        assert storage is not None
        remove = partial(storage.delete, one.url)
        yield Leftover(kind, one.url, one.changed or time.time(), remove, size=one.size)


def _artifacts() -> Iterator[Leftover]:
    for folder in sorted(outputs.root().glob("*/")):
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        changed = max((one.st_mtime for one in files), default=folder.stat().st_mtime)
        size = sum(one.st_size for one in files)
        yield Leftover("artifacts", str(folder), changed, partial(shutil.rmtree, folder), size=size)


def _cache() -> Iterator[Leftover]:
    for path in Cache.of_user().entries():
        try:
            found = path.stat()
        except FileNotFoundError:  # another program's sweep was quicker
            continue
        remove = partial(Path.unlink, path, missing_ok=True)
        yield Leftover("cache", str(path), found.st_mtime, remove, size=found.st_size)
