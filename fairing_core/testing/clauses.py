"""What the clauses of the kit share."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fairing_core import errors
from fairing_core.types import PodPatch
from fairing_core.values import plain

_TOUCHING = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir")


def raised(act: Callable[[], object]) -> BaseException:
    """The `FairingError` that `act` raises; its message says something."""
    try:
        act()
    except errors.FairingError as error:
        assert len(str(error)) > 20, "an error has to say what failed and what to do"
        return error
    raise AssertionError("no FairingError was raised")


@contextlib.contextmanager
def untouched(*, beyond: bool = False) -> Iterator[None]:
    """Whatever is done in here connects nowhere, starts no program and makes no folder.

    Args:
        beyond: whether only what is beyond this machine counts.
    """
    touched: list[str] = []
    _watching.append((threading.get_ident(), beyond, touched))
    if len(_hooked) < 1:
        _hooked.append(True)
        sys.addaudithook(_note)
    try:
        yield
    finally:
        _watching.pop()
    assert touched == [], f"it should ask nobody, and did: {', '.join(touched)}"


_watching: list[tuple[int, bool, list[str]]] = []
_hooked: list[bool] = []  # an audit hook can't be taken away, so there is one, and it goes deaf


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if not _watching or event not in _TOUCHING:
        return
    thread, beyond, touched = _watching[-1]
    local = not event.startswith("socket.") or not isinstance(arguments[-1], tuple)
    if threading.get_ident() == thread and not (beyond and event != "socket.getaddrinfo" and local):
        touched.append(event)


def shown(patches: Sequence[PodPatch]) -> str:
    """Patches as they go into objects that are no Secrets, and into logs: as text."""
    assert all(isinstance(patch, PodPatch) for patch in patches)
    objects: list[Any] = [
        {key: value for key, value in plain(patch).items() if key != "secrets"} for patch in patches
    ]
    return json.dumps(objects, sort_keys=True, default=str) + repr(patches)


def references(patches: Sequence[PodPatch]) -> set[str]:
    """The names of Secrets that patches refer to."""
    return set(_named([{"spec": patch.spec, "container": patch.container} for patch in patches]))


def _named(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        if key in ("secretKeyRef", "secretRef"):
            yield value["name"]
        if key == "secret" and "secretName" in value:
            yield value["secretName"]
        for inner, item in value.items():
            yield from _named(item, inner)
    elif isinstance(value, list | tuple):
        for item in value:
            if key == "imagePullSecrets":
                yield item["name"]
            yield from _named(item)
