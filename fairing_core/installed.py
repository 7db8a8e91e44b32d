"""What the installed distributions' metadata says of plugins; nothing is imported to know it.

A distribution offers a plugin by an entry point whose value is a module, in one of two groups:
``fairing.backends`` (the entry's name is the backend's; loaded when that backend is used) and
``fairing.plugins`` (ambient; loaded for every run).
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from typing import Any

BACKENDS = "fairing.backends"
AMBIENT = "fairing.plugins"


@dataclass(frozen=True, slots=True, order=True)
class Plugin:
    """One plugin: the distribution that offers it, and its entry point."""

    distribution: str
    name: str
    group: str
    module: str
    version: str

    def __str__(self) -> str:
        return f"{self.name!r} of {self.distribution} {self.version}".rstrip()


def installed() -> tuple[Plugin, ...]:
    """Every plugin, blocked ones too, in the order in which they are loaded.

    By distribution, then by entry name.
    """
    found = {
        Plugin(entry.dist.name, entry.name, group, entry.value, entry.dist.version)
        for group in (BACKENDS, AMBIENT)
        for entry in importlib.metadata.entry_points(group=group)
        if entry.dist is not None
    }
    return tuple(sorted(found))


def packages() -> frozenset[str]:
    """The top-level import names behind the installed plugins."""
    return frozenset(plugin.module.partition(":")[0].partition(".")[0] for plugin in installed())


def is_blocked(plugin: Plugin) -> bool:
    """Whether ``FAIRING_DISABLE_PLUGINS`` names it, by entry name or distribution.

    ``*`` blocks every ambient plugin.
    """
    words = {word.strip() for word in os.environ.get("FAIRING_DISABLE_PLUGINS", "").split(",")}
    if "*" in words and plugin.group == AMBIENT:
        return True
    return plugin.name in words or plugin.distribution in words


def imported(plugin: Plugin) -> Any:
    """What its entry point names: a module, if it is right. Its own errors pass through."""
    return importlib.metadata.EntryPoint(plugin.name, plugin.module, plugin.group).load()
