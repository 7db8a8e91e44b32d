"""Pickles a function with its arguments, and notes which modules the pickle will import.

The only user of `cloudpickle` here; imported when a function is packed.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import importlib
import io
import os
import posixpath
import re
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import IO, Any, ClassVar

import cloudpickle  # type: ignore[import-untyped]

from fairing_core.preprocess.imports import absolute
from fairing_core.preprocess.inputs import as_posix, relative_to
from fairing_core.preprocess.travel import CORE
from fairing_core.values import frozen

_PROTOCOL = 5  # what every Python since 3.8 reads
_TYPING = ("typing", "types")
_NAME = re.compile(r"[^\W\d]\w*")
_FILENAME = 10  # among the arguments of a code, from Python 3.11 on
_CACHED = type(functools.cache(len))  # it has no public name
_register = threading.RLock()  # cloudpickle keeps its by-value modules in one set of the process


@frozen
class Pickled:
    """A pickle, and the dotted names of the modules that it, or the code in it, imports.

    `referred` are those without which it can't be opened.
    """

    content: bytes
    modules: frozenset[str]
    referred: frozenset[str]


class Pickling:
    """How one function is pickled.

    Args:
        root: the folder that becomes the folder of the code in the image.
        by_value: the module whose functions and classes travel in the pickle, as those of
            ``__main__`` do; None for no other.
    """

    def __init__(self, root: str, *, by_value: str | None) -> None:
        self._root = root
        self._by_value = by_value

    def dumps(self, value: object) -> Pickled:
        """The pickle of `value`; raises whatever pickling raises."""
        with io.BytesIO() as file:
            modules, referred = self._dump(value, file)
            return Pickled(file.getvalue(), frozenset(modules | referred), frozenset(referred))

    def failure(self, value: object) -> Exception | None:
        """Why `value` can't be pickled; None if it can."""
        try:
            self._dump(value, _Sink())
        except Exception as exc:  # noqa: BLE001 - objects say in their own ways that they can't
            return exc
        return None

    def reduced(self, value: object) -> Any:
        """What pickle makes of `value`: a tuple as of ``__reduce_ex__``, or a name; may raise."""
        with _ByValue(self._by_value):
            pickler = _Pickler(_Sink(), self._root, by_value=self._by_value)
            reduced = pickler.reducer_override(value)
            if reduced is not NotImplemented:
                return reduced
            if isinstance(value, FunctionType | type):
                return value.__qualname__
            known = pickler.dispatch_table.get(type(value)) or copyreg.dispatch_table.get(
                type(value)
            )
            return known(value) if known else value.__reduce_ex__(_PROTOCOL)

    def _dump(self, value: object, file: IO[bytes] | _Sink) -> tuple[set[str], set[str]]:
        with _ByValue(self._by_value):
            pickler = _Pickler(file, self._root, by_value=self._by_value)
            pickler.dump(value)
        return pickler.modules, pickler.referred


class _ByValue:
    """While this lasts, the module of that name is pickled by value."""

    def __init__(self, name: str | None) -> None:
        self._module = sys.modules.get(name) if name else None

    def __enter__(self) -> None:
        _register.acquire()
        module = self._module
        if module is not None and module.__name__ in cloudpickle.list_registry_pickle_by_value():
            self._module = None  # somebody else has registered it, and it stays
        if self._module is not None:
            cloudpickle.register_pickle_by_value(self._module)

    def __exit__(self, *exc: object) -> None:
        if self._module is not None:
            cloudpickle.unregister_pickle_by_value(self._module)
        _register.release()


class _Sink(io.RawIOBase):
    def write(self, data: Any) -> int:
        return len(data)


class _Made:
    """Stands in a pickle for what ``make(*args)`` gives where it is opened."""

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        self.reduced = (make, args)


def _environment(environ: Any) -> Any:
    for name in ("environ", "environb"):
        if environ is getattr(os, name, None):
            return getattr, (os, name)
    return environ.__reduce_ex__(_PROTOCOL)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, with four additions.

    It notes every module that it refers to. It leaves out what differs between two machines with
    the same code: folders, and the order of constant sets. The environment (``from os import
    environ``) is that of where it is opened: here it holds what is nobody else's affair. And it
    knows two types of functools: cached functions, which cloudpickle refers to by their name in a
    ``__main__`` that the image lacks, and cached properties, which hold a lock up to Python 3.11.
    """

    dispatch_table: ClassVar[ChainMap[Any, Any]] = ChainMap(
        {type(os.environ): _environment}, *cloudpickle.Pickler.dispatch_table.maps
    )

    def __init__(self, file: IO[bytes] | _Sink, root: str, *, by_value: str | None) -> None:
        super().__init__(file, protocol=_PROTOCOL)
        self.modules, self.referred = set[str](), set[str]()
        self._root = root
        self._by_value = by_value
        self._shown: dict[str, str] = {}
        self._tried: dict[int, bool] = {}

    def reducer_override(self, obj: Any) -> Any:
        """What `obj` is pickled as; pickle asks for all but plain values and containers."""
        kind = type(obj)
        if kind is _Made:
            return obj.reduced
        if kind is CodeType:
            return self._code(obj)
        if kind is _CACHED and obj.__module__ in ("__main__", self._by_value):
            return self._cached(obj)
        if kind is functools.cached_property:
            return kind, (obj.func,), {"attrname": obj.attrname}
        if isinstance(obj, ModuleType) and obj.__name__ == self._by_value:
            # By value would be everything in it; its source travels as well.
            self.modules.add(obj.__name__)
            return importlib.import_module, (obj.__name__,)
        if kind.__module__.partition(".")[0] == CORE and not isinstance(obj, type):
            return getattr, (importlib.import_module(CORE), kind.__name__)  # inert, inside a run
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:
            self._note(obj)
        elif isinstance(obj, FunctionType):
            self._function(obj, reduced)
        elif len(reduced) > 2 and obj.__qualname__ != obj.__name__:
            # cloudpickle forgets what the class is nested in, and pickle finds it by that.
            reduced[2][0]["__qualname__"] = obj.__qualname__
        return reduced

    def _note(self, obj: Any) -> None:
        if isinstance(obj, ModuleType):
            self.referred.add(obj.__name__)
        elif isinstance(obj, FunctionType | BuiltinFunctionType | type) and obj.__module__:
            self.referred.add(str(obj.__module__))

    def _code(self, code: CodeType) -> tuple[Any, ...]:
        shown = code.replace(co_filename=self._show(code.co_filename))
        make, args = self.dispatch_table[CodeType](shown)
        consts = tuple(map(_ordered, shown.co_consts))
        found = [consts if arg is shown.co_consts else arg for arg in args]
        # cloudpickle 3.1.3 writes "<dynamic-code>", and tracebacks would show no line of it.
        found[_FILENAME] = shown.co_filename
        return make, tuple(found)

    def _function(self, function: FunctionType, reduced: Any) -> None:
        """Edits what cloudpickle made of a function by value; all of it is cloudpickle's copy."""
        _, (code, space, *_), (_, slots), *_ = reduced
        package = function.__globals__.get("__package__") or ""
        self.modules.update(_imported(code, package))
        slots["_cloudpickle_submodules"].sort(key=lambda module: str(module.__name__))
        for name in ("__file__", "__path__"):
            self._relocate(slots["__globals__"], name)
            if not self._relocate(space, name):
                space.pop(name, None)  # cloudpickle adds it whether or not it is used
        for name in sorted(_named(slots["__annotations__"]) - slots["__globals__"].keys()):
            if name in function.__globals__ and self._goes_along(function.__globals__[name]):
                slots["__globals__"][name] = function.__globals__[name]

    def _goes_along(self, value: object) -> bool:
        """Whether what only the text of a hint names can travel, and asks nothing of the image."""
        if isinstance(value, ModuleType):
            return _is_there(value.__name__)
        if not isinstance(value, type) and type(value).__module__ not in _TYPING:
            return False
        if id(value) not in self._tried:
            self._tried[id(value)] = True  # while it is tried: hints may go round in circles
            trial = _Pickler(_Sink(), self._root, by_value=self._by_value)
            trial._tried = self._tried
            try:
                trial.dump(value)
            except Exception:  # noqa: BLE001 - objects say in their own ways that they can't
                self._tried[id(value)] = False
            else:
                self._tried[id(value)] = all(map(_is_there, trial.referred))
        return self._tried[id(value)]

    def _relocate(self, space: dict[str, Any], name: str) -> bool:
        """Makes a path, or a list of one, relative to where the code is opened."""
        value = space.get(name)
        if type(value) is _Made or (isinstance(value, list) and type(value[0]) is _Made):
            return True
        path = value if isinstance(value, str) else next(iter(value or ()), "")
        below = relative_to(os.path.abspath(path), self._root) if path else None
        if below is None:
            return False
        made = _Made(posixpath.abspath, as_posix(below))
        space[name] = made if isinstance(value, str) else [made]
        return True

    def _show(self, path: str) -> str:
        """`path` as tracebacks in the image show it: Python looks along sys.path for its source."""
        if path.startswith("<"):
            return path
        if path not in self._shown:
            full = os.path.abspath(path)
            bases = map(os.path.abspath, (self._root, *filter(None, sys.path)))
            for base in sorted(bases, key=len, reverse=True):
                if (below := relative_to(full, base)) is not None:
                    self._shown[path] = as_posix(below)
                    break
            else:
                self._shown[path] = os.path.basename(path)
        return self._shown[path]

    def _cached(self, function: Any) -> tuple[Any, ...]:
        parameters = function.cache_parameters()
        wrapped = function.__wrapped__
        state = {name: value for name, value in vars(function).items() if not callable(value)}
        info = _Made(getattr, functools, "_CacheInfo")  # by itself it gives another name
        args = (wrapped, parameters["maxsize"], parameters["typed"], info)
        return type(function), args, {**state, "__wrapped__": wrapped}


def _named(hints: Mapping[str, object]) -> set[str]:
    """The names in those hints that are texts, as a whole or in part."""
    found = set[str]()
    for hint in hints.values():
        if isinstance(hint, str) or type(hint).__module__ in _TYPING:
            found.update(_NAME.findall(str(hint)))
    return found


def _is_there(module: str) -> bool:
    """Whether every image has the module, or gets it."""
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top == cloudpickle.__name__


def _ordered(constant: object) -> object:
    """A constant set in an order that is not the hash seed's."""
    if type(constant) is not frozenset:
        return constant
    return _Made(frozenset, sorted(constant, key=lambda item: (type(item).__name__, repr(item))))


def _imported(code: CodeType, package: str) -> Iterator[str]:
    """The modules that running `code` may import."""
    before: list[Any] = []
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and len(before) >= 2:
            level, names = before[-2:]
            base = absolute(step.argval, level if isinstance(level, int) else 0, package)
            if base:
                yield base
                yield from (f"{base}.{name}" for name in names or ())
        if step.opname not in ("EXTENDED_ARG", "CACHE"):
            before = [*before[-1:], step.argval]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imported(constant, package)
