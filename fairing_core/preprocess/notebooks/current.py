"""Which notebook this program runs in.

Asked in turn: what papermill told the notebook, what VS Code told it, this machine's Jupyter
Servers, and the name that a server gave the kernel. The servers come before that name, since it
stays as it was when the notebook is renamed, and programs that a notebook starts inherit it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairing_core import errors

if TYPE_CHECKING:
    from fairing_core.types import Source

_PAPERMILL = ("PAPERMILL_OUTPUT_PATH", "PAPERMILL_INPUT_PATH")
# The first one runs: it has the parameters, too.
_VS_CODE = "__vsc_ipynb_file__"
_SESSION = "JPY_SESSION_NAME"

_Answer = Path | str
"""The notebook, or why it isn't known."""


def is_notebook() -> bool:
    """Whether this program is a notebook's kernel, or an IPython console's."""
    kernel = sys.modules.get("ipykernel")
    if kernel is None:
        return False
    try:
        kernel.get_connection_info()
    except RuntimeError:
        return False
    return True


def current_notebook() -> Path:
    """The notebook that runs now, as its file on this machine.

    Raises:
        NotebookNotFound: it is not known, or is no file here; says what was tried.
    """
    if not is_notebook():
        raise _unknown("this program is no notebook's kernel")
    if "google.colab" in sys.modules:
        raise _unknown(
            "Colab keeps notebooks in Drive, and none on this machine; download it "
            "(File, Download .ipynb) and upload it to this machine"
        )
    tried = []
    for way in (_of_papermill, _of_vs_code, _of_servers, _of_session_name):
        answer = way()
        if isinstance(answer, Path):
            return answer
        tried.append(answer)
    raise _unknown("; ".join(tried))


def notebook_of(source: Source, named: str | os.PathLike[str] | None) -> str:
    """The path of the notebook that `source` names, else of `named`, else of the one that runs.

    Raises:
        EmptyEntry: the name is empty.
        NotebookNotFound: none is named, and which one runs is not known.
    """
    if isinstance(source.target, str | os.PathLike):
        named = source.target
    text = os.fspath(current_notebook() if named is None else named)
    if not text:
        raise errors.EmptyEntry("the notebook's name is empty; name the .ipynb file to run")
    return os.path.normpath(os.path.join(os.getcwd(), text))


def shell() -> Any:
    """IPython's shell of this kernel, or None."""
    package = sys.modules.get("IPython")
    return None if package is None else package.get_ipython()


def session_name() -> str:
    """The name that a Jupyter Server gave this kernel's session when it began, or ""."""
    if not _kernel_id():
        return ""  # a program started this kernel, and had the name from a kernel before it
    return os.environ.get(_SESSION, "")


def _unknown(why: str) -> errors.NotebookNotFound:
    return errors.NotebookNotFound(
        f"which notebook runs here is not known: {why}. Name it: fairing.config."
        "set_preprocessor('notebook', notebook_file='train.ipynb')"
    )


def _of_papermill() -> _Answer:
    names = _names()
    said = [(name, names[name]) for name in _PAPERMILL if isinstance(names.get(name), str)]
    for name, value in said:
        found = _file(value)
        if found:
            if name != _PAPERMILL[0]:
                _tell_of_parameters()
            return found
    if said:
        return f"papermill's {said[0][0]} is no file here ({said[0][1]})"
    return "papermill told nothing (papermill --inject-paths does)"


def _tell_of_parameters() -> None:
    from fairing_core import log

    log.named(__name__).warning(
        "papermill's parameters don't travel, as they are in the notebook that it writes; start it "
        "with --inject-paths, and that one is taken"
    )


def _of_vs_code() -> _Answer:
    value = _names().get(_VS_CODE)
    if not isinstance(value, str):
        return "VS Code told nothing"
    return _file(value) or f"VS Code's {_VS_CODE} is no file here ({value})"


def _of_servers() -> _Answer:
    from fairing_core.preprocess.notebooks import servers

    connection = _connection_file()
    kernel = _kernel_id()
    if not kernel:
        return f"no Jupyter Server started this kernel ({connection.name})"
    return servers.notebook(kernel, [connection.parent, servers.runtime_folder(os.environ)])


def _of_session_name() -> _Answer:
    name = session_name()
    if not name:
        return f"{_SESSION} is not set"
    return _file(name) or f"{_SESSION} is no notebook's file ({name})"


def _connection_file() -> Path:
    try:
        return Path(sys.modules["ipykernel"].get_connection_file())
    except (OSError, RuntimeError):
        return Path()


def _kernel_id() -> str:
    """This kernel's id at its server, which names the file by it; "" if no server started it."""
    name = _connection_file().name
    ours = name.startswith("kernel-") and name.endswith(".json")
    return name.removeprefix("kernel-").removesuffix(".json") if ours else ""


def _names() -> Mapping[str, Any]:
    names = getattr(shell(), "user_ns", None)
    return names if isinstance(names, Mapping) else {}


def _file(text: str) -> Path | None:
    """The notebook of that name; relative ones start where the kernel did."""
    start = getattr(shell(), "starting_dir", None) or os.getcwd()
    path = os.path.normpath(os.path.join(start, text))
    return Path(path) if path.endswith(".ipynb") and os.path.isfile(path) else None
