"""What an image in an engine is like inside, learned without running it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from fairing_core.build.docker.engine import Engine, Files
from fairing_core.images.facts import (
    Fact,
    Facts,
    python_from_config,
    search_path,
    user_from_config,
)
from fairing_core.images.learn import learn as learn_from
from fairing_core.images.manifest import Platform
from fairing_core.images.search import python_named
from fairing_core.types import PREFIX

_ENDS = ("", ".py")  # of a module's folder, or file; one that is a .so is not found


def platform_of(image: Mapping[str, Any]) -> Platform:
    """What an image runs on."""
    return Platform.of({key.lower(): image.get(key) for key in ("Os", "Architecture", "Variant")})


def learn(
    engine: Engine, image: Mapping[str, Any], name: str, *, user: str | None, python: bool
) -> Facts:
    """Whom an image's program runs as, and which Python it has.

    Args:
        engine: has the image.
        image: what the engine says of it.
        name: what it is called in errors.
        user: another user than the config's.
        python: whether its Python has to be known.

    Raises:
        ImageError: the image has no such user.
    """
    inner = dict(image.get("Config") or {})
    if user is not None:
        inner["User"] = user
    config = {"config": inner}
    wanted: set[Fact] = {"user", "python"} if python else {"user"}
    owner, version = user_from_config(config), python_from_config(config) if python else None
    if owner is None or (python and version is None):
        with engine.opened(image["Id"]) as files:
            if owner is None:
                found = learn_from(config, [lambda: files.tar("/etc")], wanted={"user"}, image=name)
                owner = (found.uid or 0, found.gid or 0)
            if python and version is None:
                version = _python(files, search_path(config))
    return Facts(uid=owner[0], gid=owner[1], python=version, learned=frozenset(wanted))


def lacking(engine: Engine, image: Mapping[str, Any], modules: Iterable[str]) -> list[str]:
    """Those of `modules` that are not where the image's Python looks for them, by their names."""
    path = search_path({"config": image.get("Config") or {}})
    with engine.opened(image["Id"]) as files:
        places = _packages(files, path)
        return [
            module
            for module in modules
            if not any(files.end_of(f"{place}/{module}{end}") for place in places for end in _ENDS)
        ]


def _packages(files: Files, path: list[str]) -> list[str]:
    """The folders of modules of the first ``python``, or else ``python3``; none is not known."""
    for name in ("python", "python3"):
        for folder in path:
            end = files.end_of(f"/{folder}/{name}")
            version = end and python_named(posixpath.basename(end))
            if end and version:
                prefix = posixpath.dirname(posixpath.dirname(posixpath.join(f"/{folder}", end)))
                return [
                    f"{prefix}/lib/python{version}/site-packages",
                    f"{prefix}/lib/python3/dist-packages",
                    f"/usr/local/lib/python{version}/dist-packages",
                    PREFIX.rstrip("/"),
                ]
    return []


def _python(files: Files, path: list[str]) -> str | None:
    """The X.Y of the first ``python``, or else ``python3``, by the name that it leads to."""
    for name in ("python", "python3"):
        for folder in path:
            if end := files.end_of(f"/{folder}/{name}"):
                return python_named(posixpath.basename(end))
    return None
