"""Loggers that import `logging` when there is something to say.

It takes as long as a small upload does, and most runs of the command have nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import logging

_first: list[Callable[[], None]] = []


def named(name: str) -> logging.Logger:
    """What `logging.getLogger` gives, got when it is used."""
    return cast("logging.Logger", _Late(name))


def before_first(configure: Callable[[], None]) -> None:
    """Calls `configure` before the first message, if there ever is one; for programs."""
    _first[:] = [configure]


class _Late:
    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        import logging

        while _first:
            _first.pop()()
        return getattr(logging.getLogger(self._name), attribute)
