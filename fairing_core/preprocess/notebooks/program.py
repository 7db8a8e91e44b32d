"""The program that a notebook becomes: its cells, each with its number, and what runs them."""

from __future__ import annotations

from collections.abc import Iterable

from fairing_core.preprocess.notebooks.magics import Converted

# The title is not in it: a name such as "coding=x.ipynb" would mean something to Python there.
_HEAD = "# A notebook, converted by Fairing: each cell runs by itself, in this namespace.\n"
_RUN = '__import__("fairing_core.runtime.cells", fromlist=["run"]).run(globals(), {title!r}, [\n'


def program(title: str, cells: Iterable[tuple[int, Converted]]) -> bytes:
    """The program of a notebook that is called `title`.

    It binds no name, and has no docstring: ``__main__`` is the notebook's alone.
    """
    text = [_HEAD, _RUN.format(title=title)]
    text += [_cell(number, cell) for number, cell in cells]
    return "".join([*text, "])\n"]).encode()


def _cell(number: int, cell: Converted) -> str:
    parts = [str(number), _literal(cell.source.rstrip("\n") + "\n")]
    if cell.shown or cell.around:
        last = cell.source.rstrip("\n").count("\n") + 1
        parts.append(repr({line: text for line, text in cell.shown.items() if line <= last}))
    if cell.around:
        parts.append(repr(list(cell.around)))
    return f"({', '.join(parts)}),\n"


def _literal(source: str) -> str:
    """`source` as a literal that reads as the cell does, where there is one."""
    for quotes in ("'''", '"""'):
        if quotes not in source:
            return f"r{quotes}{source}{quotes}"
    return repr(source)
