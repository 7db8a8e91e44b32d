"""From a notebook to its cells as Python: those that travel, converted and without faults."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fairing_core import errors, log
from fairing_core.preprocess.imports import brings_modules, names_in
from fairing_core.preprocess.notebooks import filters, ipynb, magics
from fairing_core.preprocess.notebooks.current import is_notebook

logger = log.named(__name__)

SKIPPED = ("fairing-skip", "skip-execution")
"""Tags of cells that don't travel."""

INCLUDED = "fairing-include"
"""Where a cell has this tag, only those that have it travel."""

Cells = Sequence[tuple[int, magics.Converted]]
"""Converted cells with their numbers."""

_ANSWERED = "IPython"  # by runtime/displays.py, where the image has none
_SHOWN = 10  # faults that one error tells of


def cells_of(path: str, chosen_by: Iterable[filters.Filter]) -> Cells:
    """The cells of the notebook at `path` that travel, converted.

    Raises:
        InvalidNotebook: it is no notebook, or one of an old format or another language.
        InvalidCell: a cell is no Python, or does what no job can; names all such cells.
        EmptyEntry: there is no code in it.
        InputError: it can't be read, or a filter fails.
    """
    saved = ipynb.load(path)
    _tell_of_unsaved(path, saved)
    document, numbers = filters.filtered(saved, path, chosen_by)
    notebook = ipynb.parse(document, path, numbers)
    converted = [(cell.number, magics.convert(cell.source)) for cell in _chosen(notebook)]
    title = os.path.basename(path)
    _check(title, converted)
    _tell_of_dropped(title, converted)
    return converted


def _chosen(notebook: ipynb.Notebook) -> list[ipynb.Cell]:
    cells = [cell for cell in notebook.cells if cell.is_code and not cell.tags & {*SKIPPED}]
    included = [cell for cell in cells if INCLUDED in cell.tags]
    return included or cells


def running(path: str, cells: Cells) -> Cells:
    """Those of `cells` that do something.

    Raises:
        EmptyEntry: none does.
    """
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


def imports_of(title: str, cells: Cells) -> tuple[dict[str, str], dict[str, str]]:
    """The dotted names of modules that cells may import, and the top-level ones that they need.

    Each with the cell that does. Once a cell may have brought modules itself, none is needed.
    """
    possible: dict[str, str] = {}
    needed: dict[str, str] = {}
    is_open = True
    for number, cell in cells:
        where = f"{title}, cell {number}"
        trees = [_tree(text) for text in (cell.source, *(text for _, text in cell.fragments))]
        for tree in trees:
            names, certain = names_in(tree)
            for name in sorted(names):
                possible.setdefault(name, where)
            for name in sorted(certain - {_ANSWERED} if is_open else ()):
                needed.setdefault(name, where)
        is_open = is_open and not any(map(brings_modules, trees))
    return possible, needed


def _tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the user's code: Python shows them when it runs
        return ast.parse(text)


# --- what is wrong with cells ---------------------------------------------------------------------


def _check(title: str, cells: Cells) -> None:
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


def _tell_of_unsaved(path: str, saved: Mapping[str, object]) -> None:
    if is_notebook():
        from fairing_core.preprocess.notebooks.unsaved import unsaved

        if warning := unsaved(path, saved):
            logger.warning("%s", warning)


def _tell_of_dropped(title: str, cells: Cells) -> None:
    dropped: dict[str, list[int]] = {}
    for number, cell in cells:
        for _, what in cell.dropped:
            numbers = dropped.setdefault(what, [])
            numbers += [] if number in numbers else [number]
    for what, numbers in dropped.items():
        told = ", ".join(map(str, numbers))
        plural = "s" if len(numbers) > 1 else ""
        logger.info("%s: %s is left out (cell%s %s)", title, what, plural, told)
