"""What of a notebook travels: filters, which are written as nbconvert's preprocessors are.

A filter is a class, or an object, with one of

    def preprocess_cell(self, cell, resources, index): ...  # gives (cell, resources)
    def preprocess(self, nb, resources): ...  # gives (nb, resources)

Notebooks and cells are nbformat's where that is installed, else dicts whose keys are attributes,
too: ``cell.source``, ``cell.metadata.tags``. They have no outputs.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

from fairing_core import errors

_INCLUDED = re.compile(r"fairing:include-cell")
_NUMBER = "fairing_cell"  # in a cell's metadata, while filters are at work


@runtime_checkable
class CellFilter(Protocol):
    """Looks at one cell after another."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """The cell as it is to travel, and `resources`; `index` counts from 0."""
        ...


@runtime_checkable
class NotebookFilter(Protocol):
    """Looks at the whole notebook."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """The notebook as it is to travel, and `resources`."""
        ...


Filter = CellFilter | NotebookFilter


class FilterMagicCommands:
    """Leaves every cell in; what is a magic in it is converted, as it always is.

    Example:
        >>> from fairing_core import FilterMagicCommands
        >>> class WithoutPlots(FilterMagicCommands):
        ...     def preprocess_cell(self, cell, resources, index):
        ...         cell.source = cell.source.replace("plt.show()", "")
        ...         return cell, resources
    """

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """The cell as it is."""
        return cell, resources


class FilterIncludeCell:
    """Leaves in what has a line with ``fairing:include-cell``, and no other cell with code."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """The notebook without the other cells."""
        nb.cells = [cell for cell in nb.cells if _is_included(cell)]
        return nb, resources


def _is_included(cell: Any) -> bool:
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    return cell.cell_type != "code" or _INCLUDED.search(source) is not None


def as_filters(said: object) -> tuple[Filter, ...]:
    """The filters that `notebook_preprocessor` names: a class, an object, or some of them.

    Raises:
        InputError: it is none.
    """
    several = said if isinstance(said, list | tuple) else [said]
    made: list[Any] = [one() if isinstance(one, type) else one for one in several if one]
    for one in made:
        if not isinstance(one, CellFilter | NotebookFilter):
            raise errors.InputError(
                f"notebook_preprocessor={one!r} is no filter: give a class with "
                "preprocess_cell(self, cell, resources, index), or preprocess(self, nb, resources)"
            )
    return tuple(made)


def filtered(
    document: Mapping[str, Any], path: str, filters: Iterable[Filter]
) -> tuple[Mapping[str, Any], Sequence[int]]:
    """The notebook that `filters` leave of `document`, and the numbers that its cells had.

    A cell that a filter adds gets a number after the last.

    Raises:
        InputError: a filter fails.
    """
    filters = [one for one in filters if type(one) is not FilterMagicCommands]
    count = len(document["cells"])
    if not filters:
        return document, range(1, count + 1)
    notebook = _as_notebook(_numbered(document))
    folder, name = os.path.split(path)
    resources: Any = _Resources(
        metadata=_Node(name=os.path.splitext(name)[0], path=folder), output_extension=".py"
    )
    for one in filters:
        try:
            notebook, resources = _applied(one, notebook, resources)
        except Exception as exc:
            what = f"{type(exc).__name__}: {exc}"
            raise errors.InputError(
                f"notebook_preprocessor {type(one).__name__} failed on {path}: {what}"
            ) from exc
    numbers = [_number(cell) for cell in notebook["cells"]]
    added = iter(range(count + 1, count + len(numbers) + 1))
    return notebook, [number or next(added) for number in numbers]


def _applied(one: Filter, notebook: Any, resources: Any) -> tuple[Any, Any]:
    if isinstance(one, NotebookFilter):
        return one.preprocess(notebook, resources)
    for index, cell in enumerate(notebook.cells):
        notebook.cells[index], resources = one.preprocess_cell(cell, resources, index)
    return notebook, resources


def _numbered(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose code cells have the outputs that nbformat wants, and all their numbers."""
    made = copy.deepcopy(dict(document))
    for number, cell in enumerate(made["cells"], 1):
        if not isinstance(cell, dict):
            continue
        if isinstance(cell.get("source"), list):
            cell["source"] = "".join(map(str, cell["source"]))
        metadata = cell.setdefault("metadata", {})
        if isinstance(metadata, dict):
            metadata[_NUMBER] = number
        if cell.get("cell_type") == "code":
            cell.setdefault("outputs", [])
            cell.setdefault("execution_count", None)
    return made


def _number(cell: Any) -> int:
    metadata = cell.get("metadata") if isinstance(cell, dict) else None
    number = metadata.get(_NUMBER) if isinstance(metadata, dict) else None
    return number if isinstance(number, int) else 0


class _Node(dict[str, Any]):
    """A dict whose keys are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


class _Resources(_Node):
    """nbconvert's resources: what nobody has said is ""."""

    def __missing__(self, name: str) -> str:
        return ""


def _as_notebook(document: dict[str, Any]) -> Any:
    try:
        import nbformat  # an author of filters has it, and its validation, mostly
    except ImportError:
        return _as_node(document)
    return cast(Any, nbformat).from_dict(document)


def _as_node(value: Any) -> Any:
    if isinstance(value, dict):
        return _Node({key: _as_node(item) for key, item in value.items()})
    return [_as_node(item) for item in value] if isinstance(value, list) else value
