"""The small runtime that travels beside the user's code.

It answers ``import fairing_core``, and the packages of installed plugins, in images that have never
heard of Fairing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fairing_core import runtime
from fairing_core.preprocess.imports import closure, imported
from fairing_core.preprocess.inputs import as_posix, file
from fairing_core.types import ContextFile

CORE = "fairing_core"
KEEPER = f"{CORE}/keep.py"

_RUNTIME = Path(runtime.__file__).parent


def shim(prefix: str) -> ContextFile:
    """The program that runs a pickled function."""
    return _ours(_RUNTIME / "shim.py", f"{prefix}function_shim.py")


def cloudpickle_files(prefix: str) -> Iterator[ContextFile]:
    """The whole installed cloudpickle, so that the image reads what this machine wrote."""
    import cloudpickle  # type: ignore[import-untyped]

    home = Path(cloudpickle.__file__).parent
    for path in sorted(home.rglob("*.py")):
        yield _ours(path, f"{prefix}cloudpickle/{path.relative_to(home).as_posix()}")


def cells(prefix: str) -> Iterator[ContextFile]:
    """What runs the cells of a converted notebook."""
    for name in ("__init__.py", "cells.py", "commands.py", "displays.py", "shell.py"):
        yield _ours(_RUNTIME / name, f"{prefix}{CORE}/runtime/{name}")


def notebook_run(prefix: str, wanted: str) -> tuple[ContextFile, ContextFile]:
    """What runs a whole notebook, and `wanted`, which says how."""
    content = wanted.encode()
    beside = f"{prefix}{CORE}/notebook.json"
    return (
        _ours(_RUNTIME / "notebook_run.py", f"{prefix}{CORE}/notebook_run.py"),
        ContextFile(beside, content, size=len(content), reason="runtime"),
    )


def answers(
    prefix: str, files: Sequence[ContextFile], names: Iterable[str] = ()
) -> Iterator[ContextFile]:
    """The answers to the imports of Fairing, and of each plugin that `files` or `names` import.

    Args:
        prefix: the folder in the image that Python finds modules in first.
        files: what travels otherwise. A plugin that is among them needs no answer.
        names: dotted names of modules that a pickle imports.
    """
    yield _ours(_RUNTIME / "answers.py", f"{prefix}{CORE}/__init__.py")
    yield _ours(_RUNTIME / "keep.py", f"{prefix}{KEEPER}")
    for package in sorted(_plugins_in(files, names)):
        home = f"{prefix}{package}"
        if not any(item.destination.startswith((f"{home}/", f"{home}.py")) for item in files):
            yield _ours(_RUNTIME / "answers.py", f"{home}/__init__.py")


def modules(
    prefix: str,
    root: str,
    files: Iterable[ContextFile],
    *,
    programs: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> Iterator[ContextFile]:
    """The modules below `root` that `programs` or `names` need (see `closure`), but for `files`."""
    found = closure([root], programs=programs or {}, names=names or {}, without={CORE})
    there = {str(item.content) for item in files}
    for module in found.values():
        if module.path not in there:
            place = prefix + as_posix(module.below)
            yield file(module.path, place, reason=module.reason)


def plugin_packages() -> frozenset[str]:
    """The top-level packages of every installed plugin."""
    from fairing_core.installed import packages

    return packages() - {CORE}


def _plugins_in(files: Iterable[ContextFile], names: Iterable[str]) -> set[str]:
    packages = plugin_packages()
    needed = {name.partition(".")[0] for name in names} & packages
    for item in files:
        unseen = packages - needed
        if not unseen or not item.destination.endswith(".py"):
            continue
        if isinstance(item.content, Path) and _mentions(item.content, unseen):
            tops = (name.partition(".")[0] for name in imported(str(item.content)))
            needed |= unseen.intersection(tops)
    return needed


def _mentions(path: Path, packages: Iterable[str]) -> bool:
    source = path.read_bytes()
    return any(package.encode() in source for package in packages)


def _ours(path: Path, destination: str) -> ContextFile:
    # As an installer's umask left it, the mode would differ from machine to machine.
    return ContextFile(destination, path, mode=0o644, size=path.stat().st_size, reason="runtime")
