"""``IPython.display``, and ``InteractiveShell`` to set options of, for images without IPython.

Shipped with a converted notebook; see `fairing_core.runtime.cells`. It answers the notebook and the
modules beside it alone: libraries that ask for IPython to learn where they are shall not find it.

Standard library only, Python 3.8.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

_PACKAGES = {
    "IPython": ("IPython.display", "IPython.core"),
    "IPython.core": ("IPython.core.display", "IPython.core.interactiveshell"),
}
_MODULES = {*_PACKAGES, *(name for inner in _PACKAGES.values() for name in inner)}
_frame = sys._getframe  # noqa: SLF001 - there is no other way to who imports


class Shown:
    """What a notebook would show; as text it is what IPython calls it."""

    def __init__(self, data: Any = None, *_: Any, **__: Any) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"


class Finder:
    """Answers the imports of those whose file `is_ours`; comes last, after the real IPython."""

    def __init__(self, display: Callable[..., None], is_ours: Callable[[str], bool]) -> None:
        self._display = display
        self._is_ours = is_ours

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if fullname not in _MODULES:
            return None
        frame: Any = _frame(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is None or not self._is_ours(frame.f_code.co_filename):
            return None
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in _PACKAGES:
            module.__dict__["get_ipython"] = _nothing
            for name in _PACKAGES[module.__name__]:
                import_module(name)
            return
        module.__dict__["__getattr__"] = _class
        if module.__name__.endswith("display"):
            module.__dict__.update(
                display=self._display, clear_output=_nothing, set_matplotlib_formats=_nothing
            )

    def invalidate_caches(self) -> None:
        pass


def of_program(title: str, file: str) -> Callable[[str], bool]:
    """Whether a file's name is that of a cell, or of a module beside the program `file`."""
    cell, folder = f"{title}, cell ", os.path.dirname(os.path.abspath(file)) + os.sep

    def is_ours(name: str) -> bool:
        below = os.path.abspath(name)
        return name.startswith(cell) or (below.startswith(folder) and "site-packages" not in below)

    return is_ours


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _class(name: str) -> Any:
    """HTML, Image, Markdown: any class of things to show."""
    if not name[:1].isupper():
        raise AttributeError(f"there is no IPython inside this run, and so no {name}")
    return type(name, (Shown,), {"__module__": "IPython.core.display"})
