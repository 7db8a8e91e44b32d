"""Which modules of others the code can't do without, so that an image without them is noticed."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from fairing_core.preprocess.imports import certain
from fairing_core.types import ContextFile, Import

_CONDITIONS = frozenset((*dis.hasjrel, *dis.hasjabs))


def imports(
    files: Sequence[ContextFile],
    prefix: str,
    *,
    entry: str | None = None,
    names: Mapping[str, str] | None = None,
) -> tuple[Import, ...]:
    """The modules that have to be in the image already, by their name.

    Args:
        files: what travels.
        prefix: the folder in the image that modules are imported from.
        entry: the destination of the program, if a file is run.
        names: modules that are imported for certain, by dotted name, and what does.
    """
    places = {file.destination: file for file in files}
    found: dict[str, str] = {}
    waiting: list[tuple[str, str]] = [(name, where) for name, where in (names or {}).items()]

    def read(place: str) -> None:
        content = places[place].content
        if isinstance(content, Path):
            waiting.extend((name, place.removeprefix(prefix)) for name in certain(str(content)))

    if entry is not None:
        read(entry)
    while waiting:
        name, where = waiting.pop(0)
        top = name.partition(".")[0]
        if top in found or top in sys.stdlib_module_names or top == "__main__":
            continue
        found[top] = where
        for place in (f"{prefix}{top}.py", f"{prefix}{top}/__init__.py"):
            if place in places:
                read(place)
    if found:
        for name in _travelling(files) & found.keys():
            del found[name]
    return tuple(Import(name, found[name]) for name in sorted(found))


def first_imports(function: Any) -> Iterator[str]:
    """The modules that a function imports before it does anything that might go another way."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = inspect.unwrap(function)
        elif isinstance(function, type) or not callable(function):
            function = getattr(function, "train", None)
        elif hasattr(function, "__func__"):
            function = function.__func__
        else:
            break
    if isinstance(function, FunctionType):
        yield from _before_conditions(function.__code__)


def _before_conditions(code: CodeType) -> Iterator[str]:
    end = _first_guarded(code)
    before: list[Any] = []
    for step in dis.get_instructions(code):
        if step.offset >= end or step.opcode in _CONDITIONS:
            return
        is_import = step.opname == "IMPORT_NAME" and len(before) == 2
        if is_import and before[0] == 0:  # dots before the name
            yield step.argval
        if step.opname not in ("EXTENDED_ARG", "CACHE"):
            before = [*before[-1:], step.argval]


def _first_guarded(code: CodeType) -> float:
    """Where the first ``try`` or ``with`` begins, as an offset in the code.

    Source: CPython, InternalDocs/exception_handling.md, "Format of the exception table".
    """
    start = 0
    for byte in code.co_exceptiontable:
        start = start << 6 | byte & 0x3F
        if not byte & 0x40:
            return 2 * start
    return float("inf")


def _travelling(files: Iterable[ContextFile]) -> set[str]:
    """Every name that a file or folder among them may be imported by."""
    found = set[str]()
    for file in files:
        *folders, name = file.destination.split("/")
        found.update(folders)
        found.add(name.partition(".")[0])
    return found
