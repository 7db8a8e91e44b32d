"""The preprocessor ``notebook``: its cells as one program, and the local modules they import.

What converts cells is imported when a notebook is packaged: scripts and functions go without.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairing_core import errors
from fairing_core.preprocess import inputs, outside, travel
from fairing_core.preprocess.context import pack
from fairing_core.preprocess.inputs import PathLike
from fairing_core.preprocess.notebooks.current import notebook_of
from fairing_core.types import PREFIX, BuildContext, ContextFile, Source

if TYPE_CHECKING:
    from fairing_core.preprocess.notebooks.filters import Filter


class NotebookPreprocessor:
    """Packages a notebook: its code cells become one program, which runs them in their order.

    What is IPython's in them is converted by stated rules (docs/notebooks.md). Tracebacks name the
    cell and its line. Outputs don't travel, and nothing is written beside the notebook.

    The root is the notebook's folder: inputs keep their path relative to it, and what lies outside
    needs a place in `output_map`. Relative paths here start at the working directory.

    Args:
        notebook_file: the notebook, where the source names none; by default the one that runs.
        notebook_preprocessor: a filter, or several: classes or objects as nbconvert's
            preprocessors; by default `FilterMagicCommands`, which leaves every cell in.
        input_files: files, folders and patterns (``**`` too) that travel beside the program.
        command: what the program is given to; ``["python"]`` by default.
        path_prefix: the folder in the image that the root becomes.
        output_map: more files and folders, ``{path here: path in the image}``.
        allow_secrets: files and patterns, relative to the root, that may travel though they look
            like secrets.

    Example:
        >>> from fairing_core import Source
        >>> preprocessor = NotebookPreprocessor(notebook_file="train.ipynb")
        >>> preprocessor.preprocess(Source("notebook")).command  # doctest: +SKIP
        ('python', '/app/train.ipynb.py')
    """

    def __init__(
        self,
        *,
        notebook_file: PathLike | None = None,
        notebook_preprocessor: object = None,
        input_files: PathLike | Iterable[PathLike] | None = None,
        command: str | Sequence[str] | None = None,
        path_prefix: str = PREFIX,
        output_map: Mapping[PathLike, PathLike] | None = None,
        allow_secrets: PathLike | Iterable[PathLike] | None = None,
    ) -> None:
        self._notebook = notebook_file
        self._filters = _filters(notebook_preprocessor)
        self._inputs = inputs.as_paths(input_files)
        if command is None:
            command = ["python"]
        self._command = (command,) if isinstance(command, str) else tuple(command)
        self._prefix = inputs.folder(path_prefix)
        self._output_map = dict(output_map or {})
        self._allow_secrets = inputs.as_paths(allow_secrets)

    def preprocess(self, source: Source) -> BuildContext:
        """The program, what it imports from beside the notebook, the inputs, and the command.

        The same cells give the same digest, whatever their outputs and execution counts are.

        Raises:
            InvalidNotebook: it is no notebook, or one of an old format or another language.
            InvalidCell: a cell is no Python, or does what no job can; names all such cells.
            EmptyEntry: no cell is left to run.
            NotebookNotFound: it is the one that runs now, and which that is is not known.
            InputError: a file can't travel; the subclass says why.
        """
        if source.kind != "notebook":
            raise errors.InputError(
                f"the preprocessor 'notebook' packages notebooks, not a {source.kind}; "
                "name another preprocessor, or none to have it chosen"
            )
        from fairing_core.preprocess.notebooks import cells
        from fairing_core.preprocess.notebooks.program import program
        from fairing_core.preprocess.notebooks.requirements import with_requirements

        path = notebook_of(source, self._notebook)
        root, title = os.path.split(path)
        converted = cells.cells_of(path, self._filters)

        content = program(inputs.as_posix(title), cells.running(path, converted))
        place = f"{self._prefix}{inputs.as_posix(title)}.py"
        files = [ContextFile(place, content, size=len(content), reason="entry")]
        found = inputs.collect(self._inputs, root=root)
        files += inputs.placed(found, root=root, prefix=self._prefix, without={path})
        files += inputs.mapped(self._output_map)
        names, needed = cells.imports_of(title, converted)
        files += travel.modules(self._prefix, root, files, names=names)
        files += travel.cells(self._prefix)
        files += travel.answers(self._prefix, files, names)
        return pack(
            with_requirements(files, title, Path(root), converted),
            (*self._command, place),
            workdir=self._prefix.rstrip("/") or "/",
            root=root,
            allow_secrets=self._allow_secrets,
            imports=outside.imports(files, self._prefix, names=needed),
        )


def _filters(said: object) -> tuple[Filter, ...]:
    if said is None:
        return ()
    from fairing_core.preprocess.notebooks.filters import as_filters

    return as_filters(said)
