"""Finds the local modules that a program imports, by reading it: nothing is executed.

An import is any ``import`` statement, wherever it stands. A name that no file beside the program
answers is ignored: it is the image's affair.
"""

from __future__ import annotations

import ast
import functools
import importlib.machinery
import os
import re
import warnings
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from fairing_core import log
from fairing_core.faults import fault
from fairing_core.values import frozen

logger = log.named(__name__)

_HARMLESS = frozenset(("time", "prun", "env", "set_env", "pwd", "ls", "ll", "cat", "matplotlib"))
INSTALLERS = re.compile(r"\b(?:pip3?|conda)\b")
"""What a text has in it by which a program installs something."""

_SUFFIXES = (*importlib.machinery.EXTENSION_SUFFIXES, *importlib.machinery.SOURCE_SUFFIXES)


@frozen
class Module:
    """A local module's file; `below` is its path from the folder that it is imported from."""

    path: str
    below: str
    reason: str


def closure(
    roots: Sequence[str],
    *,
    programs: Mapping[str, str],
    names: Mapping[str, str],
    without: Collection[str] = (),
) -> dict[str, Module]:
    """The local modules that are needed, by their path.

    Args:
        roots: folders that modules are imported from, in their order.
        programs: files that start it all (not part of the answer), with the dotted name of the
            package that each belongs to, or "".
        names: dotted names of modules that are needed too, and who imports them.
        without: top-level names that are not local, whatever lies there.
    """
    found: dict[str, Module] = {}
    waiting = deque((path, package, os.path.basename(path)) for path, package in programs.items())

    def need(name: str, importer: str) -> None:
        if name.partition(".")[0] in without:
            return
        for module in _files(name, roots, f"imported by {importer}"):
            if module.path not in programs and module.path not in found:
                found[module.path] = module
                if module.path.endswith(".py"):
                    waiting.append((module.path, _package(module.below), module.below))

    for name, importer in sorted(names.items()):
        need(name, importer)
    while waiting:
        path, package, label = waiting.popleft()
        for name in sorted(imported(path, package)):
            need(name, label.replace(os.sep, "/"))
    return found


def imported(path: str, package: str = "") -> frozenset[str]:
    """The dotted names of modules that the file may import; none where it can't be parsed.

    ``from a import b`` gives both ``a`` and ``a.b``; ``from a import *`` gives ``a.*``.
    """
    return _read(path, package)[0]


def certain(path: str) -> frozenset[str]:
    """The top-level names of modules without which the file can't be run.

    Those of imports that are under no condition, in no function and in no ``try``.
    """
    return _read(path, "")[1]


def _read(path: str, package: str) -> tuple[frozenset[str], frozenset[str]]:
    """What is imported, and what of it for certain."""
    try:
        status = os.stat(path)
        return _parsed(path, package, (status.st_mtime_ns, status.st_size, status.st_ino))
    except OSError as exc:
        raise fault(path, exc) from exc


@functools.lru_cache(maxsize=4096)
def _parsed(
    path: str, package: str, _version: tuple[int, ...]
) -> tuple[frozenset[str], frozenset[str]]:
    with open(path, "rb") as file:
        source = file.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's code: Python shows them when it runs
            tree = ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        logger.warning("%s travels, but what it imports is unknown: %s", path, exc)
        return frozenset(), frozenset()
    return names_in(tree, package)


def names_in(tree: ast.Module, package: str = "") -> tuple[frozenset[str], frozenset[str]]:
    """The modules that parsed code may import, as `imported` gives them, and as `certain` does."""
    return frozenset(_imports(tree, package)), frozenset(_certain(tree.body))


def brings_modules(code: ast.AST) -> bool:
    """Whether running `code` may put modules where later imports find them.

    Then what is imported after it may be there, whatever the image has: it changes where Python
    looks or stands, or runs pip or, in a notebook, a command.
    """
    return any(map(_brings_modules, ast.walk(code)))


def absolute(name: str, level: int, package: str) -> str | None:
    """The name that a relative import (`level` dots) means in `package`; None if it means none."""
    if not level:
        return name
    parts = package.split(".") if package else []
    if level > len(parts):
        return None
    return ".".join([*parts[: len(parts) - level + 1], *([name] if name else [])])


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node.module or "", node.level, package)
            if base:
                yield base
                yield from (f"{base}.{alias.name}" for alias in node.names)


def _certain(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if brings_modules(node):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.With | ast.ClassDef) or _is_main(node):
            yield from _certain(node.body)  # type: ignore[attr-defined]


def _brings_modules(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="path" | "modules" | "meta_path"):
            return True
        case ast.Attribute(value=ast.Name(id="os"), attr="chdir"):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")))):
            return not _texts(node) & _HARMLESS
        case ast.Call():
            return any(map(INSTALLERS.search, _texts(node)))
    return False


def _texts(call: ast.Call) -> set[str]:
    """The texts among the arguments of a call."""
    parts = (part for argument in call.args for part in ast.walk(argument))
    return {
        part.value
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def _is_main(node: ast.stmt) -> bool:
    """Whether it is ``if __name__ == "__main__"``: the program that is run goes in there."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def _files(name: str, roots: Iterable[str], reason: str) -> Iterator[Module]:
    """The files that importing `name` runs: those of its packages, and its own."""
    parts = name.split(".")
    for root in roots:
        found = [Module(path, os.path.relpath(path, root), reason) for path in _find(root, parts)]
        if found:
            yield from found
            return


def _find(folder: str, parts: Sequence[str]) -> Iterator[str]:
    head, rest = parts[0], parts[1:]
    if head == "*":
        # What the package's __all__ lists may be its modules, which Python then imports.
        for entry in sorted(os.listdir(folder)):
            if entry.endswith(".py") and entry != "__init__.py":
                yield os.path.join(folder, entry)
        return
    inner = os.path.join(folder, head)
    if package := _file(os.path.join(inner, "__init__")):
        yield package
    elif module := _file(inner):
        yield module
        return
    # A folder without __init__ is a part of a namespace package.
    if rest and os.path.isdir(inner):
        yield from _find(inner, rest)


def _file(stem: str) -> str | None:
    for suffix in _SUFFIXES:
        if os.path.isfile(stem + suffix):
            return stem + suffix
    return None


def _package(below: str) -> str:
    return ".".join(os.path.dirname(below).split(os.sep)) if os.path.dirname(below) else ""
