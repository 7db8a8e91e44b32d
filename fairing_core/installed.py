"""What the installed distributions' metadata says of plugins; nothing is imported to know it.

A distribution offers a plugin by an entry point whose value is a module, in one of two groups:
``fairing.backends`` (the entry's name is the backend's; loaded when that backend is used) and
``fairing.plugins`` (ambient; loaded for every run).

The folders are read here, as every command does it: importlib.metadata takes longer to import than
all of Fairing.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from typing import Any

from fairing_core.values import frozen

BACKENDS = "fairing.backends"
AMBIENT = "fairing.plugins"
_GROUPS = (BACKENDS, AMBIENT)


@frozen(order=True)
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
    if any(_is_foreign(finder) for finder in sys.meta_path) or any(map(os.path.isfile, sys.path)):
        return tuple(sorted(_asked_of_importlib()))
    distributions: dict[str, set[Plugin]] = {}
    for folder in sys.path:
        for path in _distributions(folder or os.curdir):
            plugins = _plugins(path)
            if plugins:  # of two of one name, the first on the path is the one that is imported
                distributions.setdefault(min(plugins).distribution, plugins)
    return tuple(sorted(set[Plugin]().union(*distributions.values())))


def _is_foreign(finder: object) -> bool:
    return hasattr(finder, "find_distributions") and finder is not PathFinder


def _asked_of_importlib() -> set[Plugin]:
    import importlib.metadata  # 25 ms, so only where it may know of more than folders tell

    return {
        Plugin(entry.dist.name, entry.name, group, entry.value, entry.dist.version)
        for group in _GROUPS
        for entry in importlib.metadata.entry_points(group=group)
        if entry.dist is not None
    }


def _distributions(folder: str) -> list[str]:
    """The metadata folders of the distributions in a folder of ``sys.path``."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [
        f"{folder}/{name}" for name in names if name.lower().endswith((".dist-info", ".egg-info"))
    ]


def _plugins(path: str) -> set[Plugin]:
    """The plugins of one distribution.

    Sources: Python packaging's specifications of entry points and of core metadata.
    """
    try:
        with open(f"{path}/entry_points.txt", encoding="utf-8") as file:
            text = file.read()
    except (OSError, ValueError):
        return set()
    if not any(f"[{group}]" in text for group in _GROUPS):
        return set()
    name, version = _name_and_version(path)
    found, group = set(), ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif group in _GROUPS and "=" in line and not line.startswith("#"):
            entry, _, value = line.partition("=")
            found.add(Plugin(name, entry.strip(), group, value.strip(), version))
    return found


def _name_and_version(path: str) -> tuple[str, str]:
    fields: dict[str, str] = {}
    for file in ("METADATA", "PKG-INFO"):
        with suppress(OSError, ValueError), open(f"{path}/{file}", encoding="utf-8") as lines:
            for line in lines:
                key, colon, value = line.partition(":")
                if not colon:
                    break
                fields.setdefault(key, value.strip())
    return fields.get("Name", os.path.basename(path).partition("-")[0]), fields.get("Version", "")


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
    import importlib.metadata

    return importlib.metadata.EntryPoint(plugin.name, plugin.module, plugin.group).load()
