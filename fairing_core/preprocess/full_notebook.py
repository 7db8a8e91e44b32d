"""The preprocessor ``full_notebook``: the notebook as it is, run by the image's papermill.

What reads notebooks is imported when one is packaged: scripts and functions go without.
"""

from __future__ import annotations

import json
import keyword
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairing_core import errors
from fairing_core.preprocess import inputs, travel
from fairing_core.preprocess.context import pack
from fairing_core.preprocess.inputs import PathLike
from fairing_core.preprocess.notebooks.current import notebook_of
from fairing_core.types import PREFIX, BuildContext, ContextFile, Import, Source

if TYPE_CHECKING:
    from fairing_core.preprocess.notebooks import ipynb

OUTPUT = "fairing_output_notebook.ipynb"
"""What the executed notebook is called (as in Fairing 1.0)."""

_NEEDED = "papermill"
_WHO = "the preprocessor 'full_notebook'"
_VOLATILE = ("execution", "ExecuteTime", "papermill")  # metadata of cells that running them writes
_VOLATILE_WHOLE = ("papermill", "widgets")


class FullNotebookPreprocessor:
    """Packages a notebook as it is; the image's papermill runs it, in a kernel of the image.

    The executed notebook, with its outputs, is an artifact of the run, also when a cell fails. The
    one that travels has no outputs: the same cells give the same digest, whatever theirs are.

    The root is the notebook's folder: inputs keep their path relative to it, and modules in it that
    cells import travel. Relative paths here start at the working directory.

    Args:
        notebook_file: the notebook, where the source names none; by default the one that runs.
        output_file: the executed notebook, relative to where the program starts.
        parameters: values for the cell with the tag ``parameters``: texts, numbers, booleans, None,
            and lists and mappings of them. They are in the executed notebook.
        kernel_name: the kernel; by default the one that the notebook names, else the image's only
            one for its language.
        input_files: files, folders and patterns (``**`` too) that travel beside the notebook.
        command: the Python that has papermill, whether or not the image is known to have it;
            ``["python"]`` by default.
        path_prefix: the folder in the image that the root becomes.
        output_map: more files and folders, ``{path here: path in the image}``.
        allow_secrets: files and patterns, relative to the root, that may travel though they look
            like secrets.

    Example:
        >>> from fairing_core import Source
        >>> preprocessor = FullNotebookPreprocessor(notebook_file="train.ipynb")
        >>> preprocessor.preprocess(Source("notebook")).command  # doctest: +SKIP
        ('python', '/app/fairing_core/notebook_run.py')
    """

    def __init__(
        self,
        *,
        notebook_file: PathLike | None = None,
        output_file: PathLike = OUTPUT,
        parameters: Mapping[str, Any] | None = None,
        kernel_name: str | None = None,
        input_files: PathLike | Iterable[PathLike] | None = None,
        command: str | Sequence[str] | None = None,
        path_prefix: str = PREFIX,
        output_map: Mapping[PathLike, PathLike] | None = None,
        allow_secrets: PathLike | Iterable[PathLike] | None = None,
    ) -> None:
        self._notebook = notebook_file
        self._prefix = inputs.folder(path_prefix)
        self._output = _output(os.fspath(output_file), self._prefix)
        self._parameters = _checked(parameters)
        self._kernel = kernel_name
        self._inputs = inputs.as_paths(input_files)
        self._is_usual = command is None  # whether another Python has papermill is not known here
        if command is None:
            command = ["python"]
        self._command = (command,) if isinstance(command, str) else tuple(command)
        self._output_map = dict(output_map or {})
        self._allow_secrets = inputs.as_paths(allow_secrets)

    def preprocess(self, source: Source) -> BuildContext:
        """The notebook without outputs, what runs it, the inputs, and the command.

        Raises:
            InvalidNotebook: it is no notebook, or one of an old format.
            EmptyEntry: no cell has code, or the notebook that runs now is not known.
            InputError: a file can't travel, or arguments were given; the subclass says why.
        """
        if source.kind != "notebook":
            raise errors.InputError(
                f"the preprocessor 'full_notebook' packages notebooks, not a {source.kind}; "
                "name another preprocessor, or none to have it chosen"
            )
        if source.args:
            raise errors.InvalidArgument(
                "a whole notebook has no argv, so it can't have args; give it parameters: "
                "parameters={'epochs': 3}, for the cell with the tag 'parameters'"
            )
        import glob

        from fairing_core.preprocess.notebooks import ipynb

        path = notebook_of(source, self._notebook)
        root, title = os.path.split(path)
        document = ipynb.load(path)
        notebook = _parsed(document, path)
        name = inputs.as_posix(title)
        if name == self._output:
            raise errors.InvalidDestination(
                f"output_file={name!r} is the notebook itself; give the executed one another name"
            )

        content = _stripped(document)
        entry = ContextFile(self._prefix + name, content, size=len(content), reason="entry")
        found = inputs.collect(self._inputs, root=root)
        files = [entry, *inputs.placed(found, root=root, prefix=self._prefix, without={path})]
        files += inputs.mapped(self._output_map)
        names = _imports(notebook, title)
        files += travel.modules(self._prefix, root, files, names=names)
        wanted = {
            "notebook": name,
            "output": self._output,
            "parameters": self._parameters,
            "kernel": self._kernel,
        }
        runner, settings = travel.notebook_run(self._prefix, json.dumps(wanted, sort_keys=True))
        files += [runner, settings, *travel.answers(self._prefix, files, names)]
        return pack(
            files,
            (*self._command, runner.destination),
            workdir=self._prefix.rstrip("/") or "/",
            root=root,
            allow_secrets=self._allow_secrets,
            outputs=() if "://" in self._output else (glob.escape(self._output),),
            needs=(_NEEDED,) if self._is_usual else (),
            imports=(Import(_NEEDED, _WHO),) if self._is_usual else (),
        )


def _parsed(document: dict[str, Any], path: str) -> ipynb.Notebook:
    """Its cells, in whatever language they are; "" is Python's."""
    from fairing_core.preprocess.notebooks import ipynb

    try:
        return ipynb.parse(document, path)
    except errors.InvalidNotebook:
        # Of another language? Then without its name there is nothing wrong with it.
        bare = ipynb.parse({"cells": document["cells"]}, path)
        return ipynb.Notebook(bare.path, bare.cells, language="another")


def _imports(notebook: ipynb.Notebook, title: str) -> dict[str, str]:
    """The modules that cells may import; those of a cell that can't be read are not known."""
    from fairing_core.preprocess.notebooks import cells, magics

    found: dict[str, str] = {}
    if notebook.language == "another":
        return found
    for cell in notebook.cells:
        if cell.is_code:
            try:
                names, _ = cells.imports_of(title, [(cell.number, magics.convert(cell.source))])
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue  # IPython will say so, in the run
            found = {**names, **found}
    return found


def _stripped(document: Mapping[str, Any]) -> bytes:
    """The notebook without what running it has left in it."""
    metadata = _without(document.get("metadata"), _VOLATILE_WHOLE)
    cells = []
    minor = document.get("nbformat_minor")
    for number, cell in enumerate(document["cells"], 1):
        clean = {**cell, "metadata": _without(cell.get("metadata"), _VOLATILE)}
        if cell["cell_type"] == "code":
            clean.update(outputs=[], execution_count=None)
        if isinstance(minor, int) and minor >= 5:  # papermill would warn of each without one
            clean.setdefault("id", f"fairing-{number}")
        cells.append(clean)
    whole = {**document, "metadata": metadata, "cells": cells}
    return json.dumps(whole, indent=1, sort_keys=True).encode()


def _without(metadata: Any, keys: Iterable[str]) -> dict[str, Any]:
    kept = dict(metadata) if isinstance(metadata, dict) else {}
    for key in keys:
        kept.pop(key, None)
    return kept


def _output(text: str, prefix: str) -> str:
    if "://" in text:  # papermill writes to stores, too
        return text
    path = posixpath.normpath(posixpath.join(prefix, text))
    below = path[len(prefix) :] if path.startswith(prefix) else ""
    if not text or "\0" in text or text.endswith("/") or not (below or text.startswith("/")):
        raise errors.InvalidDestination(
            f"output_file={text!r} names no file where the notebook runs ({prefix}); write a path "
            f"such as {OUTPUT!r}"
        )
    return below or path


def _checked(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    for name, value in (parameters or {}).items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise errors.InvalidArgument(
                f"parameters has {name!r}, which can't be a variable's name in the notebook"
            )
        if (found := _odd(value, f"parameters[{name!r}]")) is not None:
            raise errors.InvalidArgument(
                f"{found} and can't be written into a notebook; give texts, numbers, booleans, "
                "None, or lists and mappings (with texts as keys) of them"
            )
    return dict(parameters or {})


def _odd(value: object, where: str) -> str | None:
    """What of it is no plain value."""
    if value is None or type(value) in (bool, int, float, str):
        return None
    if type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        parts = [(each, f"{where}[{n}]") for n, each in enumerate(value)]
    elif type(value) is dict and all(type(key) is str for key in value):
        parts = [(each, f"{where}[{key!r}]") for key, each in value.items()]
    else:
        return f"{where} is a {type(value).__name__}"
    return next((found for each in parts if (found := _odd(*each)) is not None), None)
