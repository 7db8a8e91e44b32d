"""Runs a pickled function in the image, and writes down how it ended.

Shipped as ``function_shim.py``:

    python function_shim.py --serialized_fn_file pickled_fn.p --python_version 3.11

The pickle holds ``(function, args, kwargs)``. The result record (JSON, schema 1) goes to the file
that the environment variable FAIRING_RESULT names, whole or not at all. With FAIRING_RESULT_LIMIT,
a number of bytes, it is written in place, and is never larger: a value that needs more goes to the
file FAIRING_RESULT_LARGE, if there is one, and the record says with its size and SHA-256 that it
was ``kept``. It says what was ``returned``, if JSON brings it back with equal types, else
``pickled`` in base64 with its ``type``, or ``lost`` with the reason; or what was ``raised``, with
its traceback from the user's first frame on.

Standard library only, Python 3.8.
"""

from __future__ import annotations

import os
import pickle
import sys
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NO_LIMIT = 1 << 30
CANNOT_RECORD = 74  # EX_IOERR, as errors.StateError
_JSON_BITS = 14_000  # an int of 4,300 digits, the most that a reader's json takes by default
_JSON_DEPTH = 200  # a reader's stack may be deeper already than ours when it parses


def main() -> None:
    """Loads, calls, records; ends the process when the function failed."""
    pickle_file, python_version = _flags()
    record = _Record(
        os.environ.pop("FAIRING_RESULT", None),
        int(os.environ.pop("FAIRING_RESULT_LIMIT", "0")),
        os.environ.pop("FAIRING_RESULT_LARGE", None),
    )
    _heed_the_end()
    opened = False
    try:
        _check_python(python_version)
        function, args, kwargs = _load(pickle_file)
        opened = True
        value = _call(function, args, kwargs)
    except (SystemExit, KeyboardInterrupt):
        raise  # Python ends as it would without us
    except BaseException as exc:  # noqa: BLE001 - whatever the user's code raises is its end
        _show(exc)
        if not opened:
            _say("the function could not be opened in this image, so it did not run")
        record.raised(exc)
    else:
        record.returned(value)
        return
    sys.exit(1)


def _heed_the_end() -> None:
    """Ends at SIGTERM as others do: Linux spares a container's first process, unless it asks."""
    if os.getpid() == 1:
        import signal

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def _flags() -> tuple[str, str]:
    """The values of our own flags, which the function shall not see in sys.argv."""
    ours = {"--serialized_fn_file": "", "--python_version": ""}
    rest = [sys.argv[0]]
    words = iter(sys.argv[1:])
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in ours:
            ours[flag] = value if equals else next(words, "")
        else:
            rest.append(word)
    sys.argv[:] = rest
    if not ours["--serialized_fn_file"]:
        sys.exit("function_shim: --serialized_fn_file FILE is missing")
    return ours["--serialized_fn_file"], ours["--python_version"]


def _check_python(wanted: str) -> None:
    here = "{}.{}".format(*sys.version_info[:2])
    if wanted and wanted.split(".")[:2] != here.split("."):
        raise RuntimeError(
            f"the function was pickled by Python {wanted}, but this image has Python {here}, and "
            "a pickled function runs only on its own version; use a base image with Python "
            f"{wanted}, or submit from Python {here}"
        )


def _call(function: Any, args: Any, kwargs: Any) -> Any:
    if isinstance(function, type):
        function = function().train
    elif not callable(function):
        function = function.train
    value = function(*args, **kwargs)
    if isinstance(value, types.CoroutineType):
        import asyncio

        value = asyncio.run(value)
    return value


# --- what travelled by value ----------------------------------------------------------------------


def _load(path: str) -> Any:
    with open(path, "rb") as file:
        loader = _Loader(file)
        triple = loader.load()
    _publish(loader.made)
    return triple


class _Loader(pickle.Unpickler):
    """Notes the functions and classes that cloudpickle makes anew."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.made: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle" and name.startswith("_make_"):

            def make(*args: Any) -> Any:
                value = found(*args)
                if isinstance(value, (types.FunctionType, type)):
                    self.made.append(value)
                return value

            return make
        return found


_published: list[types.ModuleType] = []
_shim = sys.modules["__main__"]


def _publish(made: list[Any]) -> None:
    """Puts `made` where each one's ``__module__`` says.

    Else pickle, and so joblib and multiprocessing, would not find a class or function of the user's
    program by its name, as they do where the program runs directly.
    """
    named: dict[str, dict[str, Any]] = {}
    for item in made:
        if "." not in item.__qualname__ and _is_users(item.__module__):
            named.setdefault(item.__module__, {})[item.__qualname__] = item
    for name, values in named.items():
        if name in sys.modules and name != "__main__":
            continue  # another module has imported it from its source
        spaces: list[dict[str, Any]] = [values]
        for item in made:
            space = getattr(item, "__globals__", {})
            if space.get("__name__") == name and not any(space is known for known in spaces):
                spaces.append(space)
        module = _view(name, spaces)
        sys.modules[name] = module
        _published.append(module)


def _is_users(name: Any) -> bool:
    """Whether the module is the user's own program: its source has travelled."""
    if name == "__main__":
        return True
    stem = os.path.join(os.path.dirname(os.path.abspath(__file__)), *str(name).split("."))
    return os.path.isfile(stem + ".py") or os.path.isfile(os.path.join(stem, "__init__.py"))


def _view(name: str, spaces: list[dict[str, Any]]) -> types.ModuleType:
    """A module that shows `spaces` as they are at each moment, then its source file's own names."""
    module = types.ModuleType(name)
    source: list[types.ModuleType] = []

    def answer(attribute: str) -> Any:
        for space in spaces:
            if attribute in space:
                return space[attribute]
        if name == "__main__" or attribute.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}")
        if not source:
            source.append(_from_source(name))
        return getattr(source[0], attribute)

    module.__dict__["__getattr__"] = answer
    for space in spaces:
        for attribute, value in space.items():
            # What type hints look up is looked up in the dict; other values may change yet.
            fixed = isinstance(value, (types.FunctionType, type, types.ModuleType))
            if (
                fixed
                or type(value).__module__ in ("typing", "types")
                or attribute in ("__file__", "__package__", "__path__")
            ):
                module.__dict__[attribute] = value
    return module


def _from_source(name: str) -> types.ModuleType:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    package = sys.modules.get(name.rpartition(".")[0])
    spec = PathFinder.find_spec(name, getattr(package, "__path__", None))
    if spec is None or spec.loader is None:
        return types.ModuleType(name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- how it ended ---------------------------------------------------------------------------------


class _Record:
    """The result record, written once, by this process alone."""

    def __init__(self, path: str | None, limit: int, large: str | None = None) -> None:
        # The user's code may change the directory, or fork.
        self._path = path and os.path.abspath(path)
        self._limit = limit
        self._large = large
        self._process = os.getpid()

    def returned(self, value: Any) -> None:
        """Writes the value, or what became of it; ends the process where it can't."""
        if not self._path:
            return
        record = _described(value)
        if self._limit and len(record) > self._limit:
            record = self._set_aside(record, _name(type(value)))
        if not self._write(record):
            sys.exit(CANNOT_RECORD)

    def _set_aside(self, record: str, kind: str) -> str:
        """Puts a large record where it is kept; gives the one that says so."""
        import hashlib

        lost = (
            f"its record has {len(record):,} bytes, and {self._limit:,} come home from here; "
            "write it to a file or a store"
        )
        if not self._large or os.getpid() != self._process:
            return _json(lost=lost, type=kind)
        place, self._path, self._limit = self._path, self._large, 0
        was_written = self._write(record)
        self._path, self._limit = place, _NO_LIMIT
        if not was_written:
            return _json(lost=lost, type=kind)
        digest = hashlib.sha256(record.encode("ascii")).hexdigest()
        lost = (
            f"its record has {len(record):,} bytes, and was not fetched while its pod was kept "
            "for that; wait for the run, or set a longer time: keep=3600"
        )
        return _json(lost=lost, type=kind, kept={"size": len(record), "sha256": digest})

    def raised(self, error: BaseException) -> None:
        """Writes the error; the run has failed whether or not it can."""
        kind = type(error)
        try:
            message = str(error)
        except Exception as exc:  # noqa: BLE001 - its own __str__ is the user's code
            message = f"<str() of it failed: {type(exc).__name__}>"
        raised = {
            "type": kind.__qualname__,
            "module": kind.__module__,
            "message": message,
            "traceback": _formatted(error),
        }
        record = _json(raised=raised)
        while self._limit and len(record) > self._limit:
            longer = max(raised, key=lambda name: len(_json(x=raised[name])))
            text = raised[longer]
            if len(text) < 12:
                break
            kept = len(text) // 2
            # The end of a traceback says where it was, the start of a message what.
            raised[longer] = "[...]" + text[-kept:] if longer == "traceback" else text[:kept]
            record = _json(raised=raised)
        self._write(record)

    def _write(self, record: str) -> bool:
        if not self._path or os.getpid() != self._process:
            return True
        if self._limit:
            return self._write_in_place(record)
        unfinished = self._path + ".tmp"
        try:
            with open(unfinished, "w", encoding="ascii") as file:
                file.write(record)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self._path)
        except OSError as exc:
            _say(f"the result can't be written: {exc}")
            if os.path.exists(unfinished):
                os.unlink(unfinished)
            return False
        return True

    def _write_in_place(self, record: str) -> bool:
        """Where the file is a mount, nothing can be put in its place."""
        try:
            with open(self._path or "", "w", encoding="ascii") as file:
                file.write(record)
        except OSError as exc:
            _say(f"the result can't be written: {exc}")
            return False
        return True


def _json(**content: Any) -> str:
    import json

    return json.dumps(dict({"schema": 1}, **content))


def _described(value: Any) -> str:
    name = _name(type(value))
    try:
        if _is_plain(value, 0):
            return _json(returned=value)
    except (ValueError, RecursionError):
        pass  # json has its limits; pickle may not
    try:
        import base64

        import cloudpickle  # type: ignore[import-untyped]

        for module in _published:
            if module.__name__ != "__main__":
                # The reader may not have the user's program.
                cloudpickle.register_pickle_by_value(module)
        pickled = cloudpickle.dumps(value)
    except Exception as exc:  # noqa: BLE001 - objects say in their own ways that they can't
        return _json(lost=f"{type(exc).__name__}: {exc}", type=name)
    return _json(pickled=base64.b64encode(pickled).decode("ascii"), type=name)


def _name(kind: type) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _is_plain(value: Any, depth: int) -> bool:
    """Whether JSON brings `value` back with equal types all the way down."""
    kind = type(value)
    if kind is list or kind is dict:
        if kind is dict:
            if not all(type(key) is str for key in value):
                return False
            value = value.values()
        return depth < _JSON_DEPTH and all(_is_plain(item, depth + 1) for item in value)
    if kind is int:
        return bool(value.bit_length() <= _JSON_BITS)
    return value is None or kind in (bool, float, str)


def _show(error: BaseException) -> None:
    """Prints `error` as Python does, from the user's first frame on."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_globals):
        trace = trace.tb_next
    error.__traceback__ = trace
    try:
        sys.excepthook(type(error), error, trace)
    except Exception:  # noqa: BLE001 - the user's code may have set the hook
        sys.__excepthook__(type(error), error, trace)


def _is_ours(space: dict[str, Any]) -> bool:
    name = str(space.get("__name__"))
    return space is globals() or name.partition(".")[0] in ("asyncio", "cloudpickle")


def _formatted(error: BaseException) -> str:
    import traceback

    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # noqa: BLE001 - causes and groups run the user's code too
        return "".join(traceback.format_tb(error.__traceback__))


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"function_shim: {text}\n")
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        pass  # the user's code has closed it


if __name__ == "__main__":
    main()
