"""Finds the variable that keeps a function from being pickled, to name it to the user."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

from fairing_core import errors
from fairing_core.preprocess.handles import advice_for
from fairing_core.preprocess.pickling import Pickling

_GENERAL = (
    "make it inside the function, pass what it is made from, "
    "or give its class a __getstate__ that leaves it out"
)


class _Step(NamedTuple):
    """A value on the way to the culprit: how the user writes it, and what it is."""

    path: str
    role: str
    value: Any


def blame(
    pickling: Pickling,
    function: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    error: Exception,
) -> errors.NotPicklable:
    """The error that names what in `function` or its arguments can't travel.

    Args:
        error: what pickling all of it raised.
    """
    start = _Step(_name(function), "the function", function)
    steps = [
        start,
        *(_Step(f"args[{i}]", "an argument", value) for i, value in enumerate(args)),
        *(_Step(f"kwargs[{key!r}]", "an argument", value) for key, value in kwargs.items()),
    ]
    last, seen = start, set[int]()
    while (found := _first(pickling, steps, seen)) is not None:
        last, error = found
        seen.add(id(last.value))
        if advice_for(last.value):
            break  # what is in it is not the user's affair
        if _is_too_deep(error) and not isinstance(last.value, FunctionType | MethodType | type):
            break  # the way down would be as long as it is deep
        steps = list(_children(pickling, last))
    return _described(last, error)


def _first(
    pickling: Pickling, steps: list[_Step], seen: set[int]
) -> tuple[_Step, Exception] | None:
    for step in steps:
        if id(step.value) not in seen and (error := pickling.failure(step.value)):
            return step, error
    return None


def _is_too_deep(error: BaseException) -> bool:
    return isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError)


def _described(step: _Step, error: Exception) -> errors.NotPicklable:
    if _is_too_deep(error):
        why = "it is nested too deeply to be pickled"
        advice = "flatten it, or save it to a file and name that in input_files"
    else:
        why = f"it is a {_type_name(step.value)}, which can't be pickled ({_text(error)})"
        advice = advice_for(step.value) or _GENERAL
    return errors.NotPicklable(
        f"{step.path} ({step.role}) can't travel: {why}; {advice}", variable=step.path
    )


def _text(error: Exception) -> str:
    return f"{error}" or type(error).__name__


def _type_name(value: object) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _name(function: Any) -> str:
    name = getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


def _children(pickling: Pickling, step: _Step) -> Iterable[_Step]:
    """What `step`'s value is pickled from, under the names that the user knows."""
    for kinds, parts in _PARTS:
        if isinstance(step.value, kinds):
            return parts(step)
    return _parts_of_object(pickling, step)


def _parts_of_dict(step: _Step) -> Iterator[_Step]:
    path, role, value = step
    for key, item in value.items():
        yield _Step(f"{path}[{key!r}]", role, item)
        yield _Step(f"a key of {path}", role, key)


def _parts_of_list(step: _Step) -> Iterator[_Step]:
    path, role, value = step
    for number, item in enumerate(value):
        yield _Step(f"{path}[{number}]", role, item)


def _parts_of_set(step: _Step) -> Iterator[_Step]:
    for item in step.value:
        yield _Step(f"an element of {step.path}", step.role, item)


def _parts_of_method(step: _Step) -> Iterator[_Step]:
    method = step.value
    yield _Step("self", f"the object of {_name(method)}()", method.__self__)
    yield _Step(step.path, step.role, method.__func__)


def _parts_of_partial(step: _Step) -> Iterator[_Step]:
    for name in ("func", "args", "keywords"):
        yield _Step(f"{step.path}.{name}", step.role, getattr(step.value, name))


def _parts_of_accessor(step: _Step) -> Iterator[_Step]:
    for name in ("__func__", "fget", "fset", "fdel"):
        if function := getattr(step.value, name, None):
            yield _Step(step.path, step.role, function)


def _parts_of_function(step: _Step) -> Iterator[_Step]:
    function = step.value
    name = _name(function)
    for variable in _globals_of(function.__code__):
        if variable in function.__globals__:
            role = f"a global that {name}() uses"
            yield _Step(variable, role, function.__globals__[variable])
    for variable, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=True
    ):
        role = f"a variable of the function around {name}()"
        try:
            yield _Step(variable, role, cell.cell_contents)
        except ValueError:
            continue  # not assigned yet
    defaults = {
        parameter.name: parameter.default
        for parameter in _parameters(function)
        if parameter.default is not inspect.Parameter.empty
    }
    for variable, value in defaults.items():
        yield _Step(variable, f"the default of a parameter of {name}()", value)
    for variable, value in vars(function).items():
        yield _Step(f"{name}.{variable}", f"an attribute of {name}()", value)
    for variable, value in function.__annotations__.items():
        yield _Step(variable, f"an annotation in {name}()", value)


def _parameters(function: FunctionType) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):
        return []


def _globals_of(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname.endswith("_GLOBAL"):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def _parts_of_object(pickling: Pickling, step: _Step) -> Iterator[_Step]:
    """From what the object reduces to (see `object.__reduce__`)."""
    path, role, value = step
    if isinstance(value, type):
        path, role = value.__name__, "a class"
    try:
        reduced = pickling.reduced(value)
    except Exception:  # noqa: BLE001 - whatever it raises, the object itself is the culprit
        return
    if not isinstance(reduced, tuple):
        return
    parts: tuple[Any, ...] = (*reduced, None, None, None)
    _, args, state, items, pairs, *_ = parts
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            yield from (_Step(f"{path}.{name}", role, item) for name, item in part.items())
        elif part is not None:
            yield _Step(f"the state of {path}", role, part)
    yield from _parts_of_list(_Step(path, role, items or ()))
    yield from (_Step(f"{path}[{key!r}]", role, item) for key, item in pairs or ())
    yield from (_Step(path, role, item) for item in args)
    if not isinstance(value, type):
        yield _Step(type(value).__name__, "a class", type(value))


_PARTS: tuple[tuple[Any, Callable[[_Step], Iterable[_Step]]], ...] = (
    (dict, _parts_of_dict),
    ((list, tuple), _parts_of_list),
    ((set, frozenset), _parts_of_set),
    (FunctionType, _parts_of_function),
    (MethodType, _parts_of_method),
    (functools.partial, _parts_of_partial),
    ((staticmethod, classmethod, property), _parts_of_accessor),
)
