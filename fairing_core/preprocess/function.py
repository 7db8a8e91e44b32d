"""The preprocessor ``function``: a pickled function, the modules it needs, and the shim."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fairing_core import errors, log
from fairing_core.preprocess import inputs, outside, travel
from fairing_core.preprocess.context import pack
from fairing_core.preprocess.home import MAIN, Home, home_of, is_installed, source_of
from fairing_core.preprocess.imports import closure
from fairing_core.preprocess.inputs import PathLike
from fairing_core.types import PREFIX, BuildContext, ContextFile, Source

if TYPE_CHECKING:
    from fairing_core.preprocess.pickling import Pickled

logger = log.named(__name__)

_PICKLE = "pickled_fn.p"


class FunctionPreprocessor:
    """Packages a function with its arguments.

    The function may be anything that is called, a class with ``train`` (then ``C().train(...)`` is
    called) or an object with ``train``. What its own module defines travels by value, as it is now;
    other modules beside it travel as source files and are imported in the image; what is installed
    here must be installed there.

    The root is the folder of the function's module, or the one that holds its top-level package,
    or, where there is no file (a notebook), the working directory. Inputs keep their path relative
    to it.

    The digest is as stable as the pickle is: the same code and data give the same digest on any
    machine, except that a class of the function's own module, and a set of texts, are pickled
    differently by each process.

    Args:
        function_obj: the function, where the source names none.
        input_files: files, folders and patterns (``**`` too) that travel beside the code.
        output_map: more files and folders, ``{path here: path in the image}``.
        allow_secrets: files and patterns, relative to the root, that may travel though they look
            like secrets.
        path_prefix: the folder in the image that the root becomes.

    Example:
        >>> from fairing_core import Source
        >>> context = FunctionPreprocessor().preprocess(Source("function", len, args=("four",)))
        >>> context.command[:2]
        ('python', '/app/function_shim.py')
    """

    def __init__(
        self,
        *,
        function_obj: Callable[..., Any] | None = None,
        input_files: PathLike | Iterable[PathLike] | None = None,
        output_map: Mapping[PathLike, PathLike] | None = None,
        path_prefix: str = PREFIX,
        allow_secrets: PathLike | Iterable[PathLike] | None = None,
    ) -> None:
        self._function = function_obj
        self._inputs = inputs.as_paths(input_files)
        self._output_map = dict(output_map or {})
        self._allow_secrets = inputs.as_paths(allow_secrets)
        self._prefix = inputs.folder(path_prefix)

    def preprocess(self, source: Source) -> BuildContext:
        """The pickle, the modules, the shim that runs it, the inputs, and the command.

        Raises:
            NotPicklable: the function or an argument can't travel; names the variable.
            InputError: it is nothing that can be run, or a file can't travel.
        """
        function = _runnable(source, self._function)
        home = home_of(function)
        pickled = _pickled(function, source, home)
        content, modules = pickled.content, pickled.modules
        prefix = self._prefix

        files = [
            travel.shim(prefix),
            *travel.cloudpickle_files(prefix),
            ContextFile(prefix + _PICKLE, content, size=len(content), reason="entry"),
            *self._modules(home, modules),
        ]
        found = inputs.collect(self._inputs, root=home.root)
        there = {str(item.content) for item in files}
        files += inputs.placed(found, root=home.root, prefix=prefix, without=there)
        files += inputs.mapped(self._output_map)
        files += travel.answers(prefix, files, modules)

        from fairing_core.preprocess.bytecode import first_imports

        needed = (*pickled.referred, *first_imports(function))
        title = getattr(function, "__name__", type(function).__name__)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        command = (
            *("python", f"{prefix}function_shim.py"),
            *("--serialized_fn_file", prefix + _PICKLE),
            *("--python_version", version),
        )
        return pack(
            files,
            command,
            workdir=prefix.rstrip("/") or "/",
            python=version,
            root=home.root,
            allow_secrets=self._allow_secrets,
            imports=outside.imports(files, prefix, names=dict.fromkeys(needed, title)),
        )

    def _modules(self, home: Home, names: Iterable[str]) -> Iterator[ContextFile]:
        """The function's own source, and every local module that it or the pickle imports."""
        programs = {}
        if home.file is not None:
            programs[home.file] = home.package
            below = inputs.as_posix(os.path.relpath(home.file, home.root))
            yield inputs.file(home.file, self._prefix + below, reason="entry")
        local = {name: _PICKLE for name in names if _may_travel(name, home)}
        if home.package:
            local.setdefault(home.package, os.path.basename(home.file or ""))
        modules = closure(home.paths, programs=programs, names=local, without={travel.CORE})
        for module in modules.values():
            place = self._prefix + inputs.as_posix(module.below)
            yield inputs.file(module.path, place, reason=module.reason)


def _runnable(source: Source, function: Any) -> Any:
    if source.kind != "function":
        raise errors.InputError(
            f"the preprocessor 'function' packages functions, not a {source.kind}; "
            "name another preprocessor, or none to have it chosen"
        )
    if source.target is not None:
        function = source.target
    if function is None:
        raise errors.EmptyEntry("there is nothing to run: name a function as entry_point")
    if isinstance(function, type):
        if not callable(getattr(function, "train", None)):
            raise errors.InputError(
                f"the class {function.__qualname__} has no method 'train'; "
                "give it one, or name a function"
            )
    elif not callable(function) and not callable(getattr(function, "train", None)):
        raise errors.InputError(
            f"{function!r} can't be run: give a function, a class with a 'train' method, "
            "or an object with one"
        )
    return function


def _pickled(function: Any, source: Source, home: Home) -> Pickled:
    # cloudpickle takes 30 ms to import; scripts go without.
    from fairing_core.preprocess.pickling import Pickling

    pickling = Pickling(home.root, by_value=None if home.module == MAIN else home.module)
    args, kwargs = tuple(source.args), dict(source.kwargs)
    try:
        return pickling.dumps((function, args, kwargs))
    except Exception as exc:
        from fairing_core.preprocess.blame import blame

        raise blame(pickling, function, args, kwargs, exc) from exc


def _may_travel(name: str, home: Home) -> bool:
    """Whether the module is one of the user's, by the file that this process has loaded."""
    module = sys.modules.get(name)
    if module is None or name == MAIN:
        return name != MAIN  # imported later: known by its place alone
    file = source_of(module)
    if file is None:
        return hasattr(module, "__path__")  # a namespace package
    if is_installed(file) or name.partition(".")[0] == travel.CORE:
        return False
    if inputs.relative_to(file, home.root) is None:
        logger.warning(
            "module %s (%s) lies outside %s and does not travel: the image must have it",
            name,
            file,
            home.root,
        )
        return False
    return True
