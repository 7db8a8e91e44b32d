"""What ``fairing run FILE[::FUNCTION] -- ARGS`` names."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from fairing_core import errors


def load_entry(
    entry: str, arguments: Sequence[str]
) -> tuple[Path | Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """The script, or the function, with its positional and keyword arguments.

    Raises:
        MissingInput: there is no such file, or no such function in it.
        InputError: the file can't be imported.
    """
    name, colons, function = entry.partition("::")
    path = Path(name)
    if not path.suffix and not path.exists():
        path = path.with_suffix(".py")
    if not colons:
        file, colon, wanted = name.rpartition(":")
        if colon and not path.exists() and Path(file).is_file():
            raise errors.MissingInput(
                f"there is no file {name!r}; a function of one has two colons: {file}::{wanted}"
            )
        return path, tuple(arguments), {}
    if not path.is_file():
        raise errors.MissingInput(f"there is no file {os.fspath(path)!r} here ({Path.cwd()})")
    module = _import(path)
    target = getattr(module, function, None)
    if not callable(target):
        known = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise errors.MissingInput(
            f"{path} has no function {function!r}{errors.near(function, known)}"
        )
    positional, keywords = read_arguments(arguments)
    return target, positional, keywords


def read_arguments(arguments: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """``3 text rate=0.1`` as ``((3, "text"), {"rate": 0.1})``: JSON where it is, else text."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if equals and key.isidentifier():
            keywords[key] = as_value(value)
        else:
            positional.append(as_value(argument))
    return tuple(positional), keywords


def as_value(text: str) -> Any:
    """JSON where it is, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _import(path: Path) -> ModuleType:
    """The file as a module, imported as a run would: its own calls to Fairing do nothing."""
    name = path.stem if path.stem not in sys.modules else f"_entry_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    if spec is None or spec.loader is None:
        raise errors.InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.fspath(path.absolute().parent))
    before = os.environ.get("FAIRING_RUNTIME")
    os.environ["FAIRING_RUNTIME"] = "1"
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as exc:
        del sys.modules[name]
        lines = traceback.format_exception(exc)
        own = [line for line in lines if "importlib" not in line and __file__ not in line]
        raise errors.InputError(f"{path} can't be imported:\n{''.join(own).rstrip()}") from exc
    finally:
        if before is None:
            del os.environ["FAIRING_RUNTIME"]
        else:
            os.environ["FAIRING_RUNTIME"] = before
    return module
