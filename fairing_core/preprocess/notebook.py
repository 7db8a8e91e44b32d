"""The preprocessor ``notebook``: its cells as one program, and the local modules they import."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fairing_core import errors, log
from fairing_core.preprocess import filters, inputs, installs, ipynb, magics, travel
from fairing_core.preprocess.context import pack
from fairing_core.preprocess.imports import closure, names_in
from fairing_core.preprocess.inputs import PathLike
from fairing_core.preprocess.program import program
from fairing_core.types import PREFIX, BuildContext, ContextFile, Source

logger = log.named(__name__)

SKIPPED = ("fairing-skip", "skip-execution")
"""Tags of cells that don't travel."""

INCLUDED = "fairing-include"
"""Where a cell has this tag, only those that have it travel."""

_REQUIREMENTS = PREFIX + "requirements.txt"
_SHOWN = 10  # faults that one error tells of

_Cells = Sequence[tuple[int, magics.Converted]]


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
        notebook_preprocessor: object = filters.FilterMagicCommands,
        input_files: PathLike | Iterable[PathLike] | None = None,
        command: str | Sequence[str] | None = None,
        path_prefix: str = PREFIX,
        output_map: Mapping[PathLike, PathLike] | None = None,
    ) -> None:
        self._notebook = notebook_file
        self._filters = filters.as_filters(notebook_preprocessor)
        self._inputs = inputs.as_paths(input_files)
        if command is None:
            command = ["python"]
        self._command = (command,) if isinstance(command, str) else tuple(command)
        self._prefix = inputs.folder(path_prefix)
        self._output_map = dict(output_map or {})

    def preprocess(self, source: Source) -> BuildContext:
        """The program, what it imports from beside the notebook, the inputs, and the command.

        The same cells give the same digest, whatever their outputs and execution counts are.

        Raises:
            InvalidNotebook: it is no notebook, or one of an old format or another language.
            InvalidCell: a cell is no Python, or does what no job can; names all such cells.
            EmptyEntry: no cell is left to run, or the notebook that runs now is not known.
            InputError: a file can't travel; the subclass says why.
        """
        if source.kind != "notebook":
            raise errors.InputError(
                f"the preprocessor 'notebook' packages notebooks, not a {source.kind}; "
                "name another preprocessor, or none to have it chosen"
            )
        path = self._path(source)
        root, title = os.path.split(path)
        cells = self._cells(path)

        content = program(inputs.as_posix(title), _running(path, cells))
        place = f"{self._prefix}{inputs.as_posix(title)}.py"
        files = [ContextFile(place, content, size=len(content), reason="entry")]
        found = inputs.collect(self._inputs, root=root)
        for name, text in found.items():
            if name != path:
                where = inputs.place(name, root=root, prefix=self._prefix, named=text)
                files.append(inputs.file(name, where, reason="input_files"))
        files += inputs.mapped(self._output_map)
        names = _imports(title, cells)
        files += self._imported(root, names, files)
        files += travel.cells(self._prefix)
        files += travel.answers(self._prefix, files, names)
        return pack(
            _with_requirements(files, title, Path(root), cells),
            (*self._command, place),
            workdir=self._prefix.rstrip("/") or "/",
        )

    def _path(self, source: Source) -> str:
        named = source.target if isinstance(source.target, str | os.PathLike) else self._notebook
        if named is None:
            from fairing_core.preprocess.current import current_notebook

            named = current_notebook()
        text = os.fspath(named)
        if not text:
            raise errors.EmptyEntry("the notebook's name is empty; name the .ipynb file to run")
        return os.path.normpath(os.path.join(os.getcwd(), text))

    def _cells(self, path: str) -> _Cells:
        """The cells that travel, converted."""
        document, numbers = filters.filtered(ipynb.load(path), path, self._filters)
        notebook = ipynb.parse(document, path, numbers)
        converted = [(cell.number, magics.convert(cell.source)) for cell in _chosen(notebook)]
        title = os.path.basename(path)
        _check(title, converted)
        _tell_of_dropped(title, converted)
        return converted

    def _imported(
        self, root: str, names: Mapping[str, str], files: Iterable[ContextFile]
    ) -> Iterator[ContextFile]:
        modules = closure([root], programs={}, names=names, without={travel.CORE})
        there = {str(item.content) for item in files}
        for module in modules.values():
            if module.path not in there:
                place = self._prefix + inputs.as_posix(module.below)
                yield inputs.file(module.path, place, reason=module.reason)


def _chosen(notebook: ipynb.Notebook) -> list[ipynb.Cell]:
    cells = [cell for cell in notebook.cells if cell.is_code and not cell.tags & {*SKIPPED}]
    included = [cell for cell in cells if INCLUDED in cell.tags]
    return included or cells


def _running(path: str, cells: _Cells) -> _Cells:
    """Those of `cells` that do something."""
    running = [
        (number, cell)
        for number, cell in cells
        if not all(isinstance(statement, ast.Pass) for statement in _tree(cell.source).body)
    ]
    if not running:
        raise errors.EmptyEntry(
            f"no cell of {path} is left to run; look at its tags ({', '.join(SKIPPED)}, "
            f"{INCLUDED}) and at notebook_preprocessor"
        )
    return running


def _imports(title: str, cells: _Cells) -> dict[str, str]:
    """The dotted names of modules that cells may import, and which cell does."""
    found: dict[str, str] = {}
    for number, cell in cells:
        for text in (cell.source, *(text for _, text in cell.fragments)):
            for name in sorted(names_in(_tree(text))):
                found.setdefault(name, f"{title}, cell {number}")
    return found


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the user's code: Python shows them when it runs
        return ast.parse(text)


# --- what is wrong with cells ---------------------------------------------------------------------


def _check(title: str, cells: _Cells) -> None:
    """Raises InvalidCell, with all that is wrong."""
    faults = [
        (number, line, text) for number, cell in cells for line, text in sorted(_faults(cell))
    ]
    if not faults:
        return
    number, line, _ = faults[0]
    told = [
        f"{title}, cell {number}, line {line}: {text}" for number, line, text in faults[:_SHOWN]
    ]
    if len(faults) > _SHOWN:
        told.append(f"and {len(faults) - _SHOWN} more")
    raise errors.InvalidCell(
        "\n".join([*told, f"Mend the cell, or tag it {SKIPPED[0]}, and it stays here"]),
        cell=number,
        line=line,
    )


def _faults(cell: magics.Converted) -> Iterator[tuple[int, str]]:
    yield from cell.refused
    if not cell.refused:
        yield from _syntax(cell.source, 0)
        for line, text in cell.fragments:
            yield from _syntax(text, line - 1)


def _syntax(text: str, below: int) -> Iterator[tuple[int, str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as exc:
        line = exc.lineno or 1
        lines = text.split("\n")
        shown = f": {lines[line - 1].strip()}" if line <= len(lines) else ""
        yield line + below, f"{type(exc).__name__}: {exc.msg}{shown}"
    except (ValueError, RecursionError, MemoryError) as exc:  # a NUL, half a character, depth
        yield below + 1, f"no Python: {exc}"


def _tell_of_dropped(title: str, cells: _Cells) -> None:
    dropped: dict[str, list[int]] = {}
    for number, cell in cells:
        for _, what in cell.dropped:
            numbers = dropped.setdefault(what, [])
            numbers += [] if number in numbers else [number]
    for what, numbers in dropped.items():
        told = ", ".join(map(str, numbers))
        plural = "s" if len(numbers) > 1 else ""
        logger.info("%s: %s is left out (cell%s %s)", title, what, plural, told)


# --- what cells install ---------------------------------------------------------------------------


def _with_requirements(
    files: Iterable[ContextFile], title: str, folder: Path, cells: _Cells
) -> list[ContextFile]:
    """`files`, and what cells install at the end of a requirements.txt, which builders heed."""
    lines: list[str] = []
    indexes: set[str] = set()
    numbers: list[int] = []
    for number, cell in cells:
        for line, install in cell.installs:
            wanted = _lines(install, folder, f"{title}, cell {number}, line {line}", number, line)
            if wanted:
                lines += [f"# {title}, cell {number}", *wanted]
                indexes.add(install.index)
                numbers += [] if number in numbers else [number]
    if not lines:
        return list(files)
    rest = [file for file in files if file.destination != _REQUIREMENTS]
    own = next((file for file in files if file.destination == _REQUIREMENTS), None)
    if len(indexes) > 1 or (own is not None and indexes != {""}):
        raise errors.InvalidCell(
            f"{title} installs from more than one index ({', '.join(sorted(indexes - {''}))}), and "
            "a requirements.txt has one for all; write one, with --extra-index-url (input_files)",
            cell=numbers[0],
            line=1,
        )
    head = [f"--index-url {index}" for index in indexes if index]
    before = b"" if own is None else _content(own).rstrip() + b"\n"
    content = before + "\n".join([*head, *lines, ""]).encode()
    told = ", ".join(map(str, numbers))
    what = f"pip install in cell{'s' if len(numbers) > 1 else ''} {told}"
    reason = what if own is None else f"{own.reason}, and {what}"
    return [*rest, ContextFile(_REQUIREMENTS, content, size=len(content), reason=reason)]


def _lines(
    install: installs.Install, folder: Path, where: str, number: int, line: int
) -> list[str]:
    try:
        read = [text for name in install.files for text in installs.read(name, folder)]
    except installs.NotPlain as exc:
        raise errors.InvalidCell(f"{where}: {exc}", cell=number, line=line) from exc
    return [*install.lines, *read]


def _content(file: ContextFile) -> bytes:
    return file.content if isinstance(file.content, bytes) else file.content.read_bytes()
