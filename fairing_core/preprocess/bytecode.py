"""What a function imports for certain, by its bytecode; imported when a function is packed."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from fairing_core.preprocess.imports import INSTALLERS

_CONDITIONS = frozenset((*dis.hasjrel, *dis.hasjabs))


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
        if step.offset >= end or step.opcode in _CONDITIONS or _brings_modules(step, before):
            return
        is_import = step.opname == "IMPORT_NAME" and len(before) == 2
        if is_import and before[0] == 0:  # dots before the name
            yield step.argval
        if step.opname not in ("EXTENDED_ARG", "CACHE"):
            before = [*before[-1:], step.argval]


def _brings_modules(step: dis.Instruction, before: list[Any]) -> bool:
    """Whether what comes after it may be imported from where the function itself has put it."""
    if step.argval == "path":
        return before[-1:] == ["sys"]
    texts = step.argval if isinstance(step.argval, tuple) else (step.argval,)
    return any(isinstance(text, str) and INSTALLERS.search(text) for text in texts)


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
