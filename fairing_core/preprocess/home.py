"""Where a function lives: its module, that module's file, and the root above it."""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from fairing_core.preprocess.inputs import relative_to, working_directory
from fairing_core.values import frozen

MAIN = "__main__"


@frozen
class Home:
    """Where a function was defined.

    Attributes:
        module: the name of its module, by which its functions and classes are pickled by value;
            None where the image has that module (it is installed or built in).
        file: the module's source, None where there is none that travels (interactive).
        package: the dotted name of the package that the module is in, or "".
        root: the folder that becomes the folder of the code in the image: the one that holds the
            module, or its top-level package; the working directory where there is no file.
    """

    module: str | None
    file: str | None
    package: str
    root: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The folders under the root that modules are imported from, the root first."""
        below = [os.path.abspath(path) for path in sys.path if path]
        inner = [
            path
            for path in below
            if path != self.root and relative_to(path, self.root) and not is_installed(path)
        ]
        return tuple(dict.fromkeys((self.root, *inner)))


def home_of(function: Any) -> Home:
    """Where `function` (a function, method, partial, class or instance) was defined."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__module__", None) or MAIN
    module = sys.modules.get(name)
    file = source_of(module)
    if file is None:
        local = name == MAIN or (module is None and not hasattr(sys, "frozen"))
        return Home(name if local else None, None, "", working_directory())
    if is_installed(file):
        return Home(None, None, "", working_directory())
    # ``python -m pkg.train`` calls it __main__; its spec knows better.
    spec = getattr(module, "__spec__", None)
    dotted = spec.name if name == MAIN and spec is not None else name
    parts = [] if dotted == MAIN else dotted.split(".")
    if os.path.basename(file) == "__init__.py":
        parts.append("__init__")
    root = os.path.dirname(file)
    for part in reversed(parts[:-1]):
        if os.path.basename(root) != part:  # loaded under a name that is not its path's
            return Home(name, file, "", os.path.dirname(file))
        root = os.path.dirname(root)
    return Home(name, file, ".".join(parts[:-1]), root)


def source_of(module: Any) -> str | None:
    """The module's Python file, if it has one that exists."""
    path = getattr(module, "__file__", None)
    if not isinstance(path, str) or not path.endswith((".py", ".so", ".pyd")):
        return None
    path = os.path.abspath(path)
    return path if os.path.isfile(path) else None


def is_installed(path: str) -> bool:
    """Whether it belongs to the interpreter or to a package that pip has installed."""
    parts = path.split(os.sep)
    if "site-packages" in parts or "dist-packages" in parts:
        return True
    return any(relative_to(path, folder) is not None for folder in _library())


@functools.cache
def _library() -> tuple[str, ...]:
    import sysconfig

    names = ("stdlib", "platstdlib")
    return tuple({os.path.abspath(sysconfig.get_path(name)) for name in names})
