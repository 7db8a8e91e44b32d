"""Reads notebooks (``.ipynb``, nbformat 4): their cells, never their outputs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.faults import fault
from fairing_core.preprocess import inputs
from fairing_core.values import field, frozen

_FORMAT = 4
_HEAVY = ("outputs", "attachments")


@frozen
class Cell:
    """One cell: its number (from 1, over all cells), kind (``code``, ``markdown``, ``raw``), text.

    The lines of `source` end in a line feed, whatever they end in in the file.
    """

    number: int
    kind: str
    source: str
    tags: frozenset[str] = field(default=frozenset(), kw_only=True)

    @property
    def is_code(self) -> bool:
        """Whether it has something to run."""
        lines = (line.strip() for line in self.source.splitlines())
        return self.kind == "code" and any(line and not line.startswith("#") for line in lines)


@frozen
class Notebook:
    """A notebook: where it is, its cells, its language and its kernel's name.

    The last two are "" where it doesn't say.
    """

    path: Path
    cells: tuple[Cell, ...]
    language: str = ""
    kernel: str = ""


def read(path: str | os.PathLike[str]) -> Notebook:
    """The notebook at `path`.

    Raises:
        MissingInput: there is no such file.
        UnreadableInput: it can't be read.
        InvalidNotebook: it is no notebook, one of an old format, or one of another language.
        EmptyEntry: none of its cells has code.
    """
    return parse(load(path), path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The notebook's JSON, in whatever language it is, without outputs and attachments.

    Raises:
        MissingInput: there is no such file.
        UnreadableInput: it can't be read.
        InvalidNotebook: it is no notebook, or one of an old format.
    """
    name = _absolute(path)
    try:
        raw = Path(name).read_bytes()
    except FileNotFoundError as exc:
        raise inputs.missing(os.fspath(path), name, what="the notebook") from exc
    except IsADirectoryError as exc:
        raise errors.UnreadableInput(f"{name} is a folder; name the notebook in it") from exc
    except OSError as exc:
        raise fault(name, exc) from exc
    if not raw.strip():
        raise errors.EmptyEntry(f"{name} is empty: save the notebook first")
    try:
        # What is dropped goes as it is read: outputs can be a hundred times the code.
        document = json.loads(raw, object_hook=_light)
    except (ValueError, RecursionError) as exc:
        raise errors.InvalidNotebook(
            f"{name} is no notebook: it is not JSON ({exc}); save it as .ipynb, or run a script "
            "as a .py file"
        ) from exc
    _check_format(document, name)
    return document  # type: ignore[no-any-return]


def parse(
    document: Mapping[str, Any],
    path: str | os.PathLike[str],
    numbers: Sequence[int] | None = None,
) -> Notebook:
    """The notebook that `load` gave, as a value; `numbers` are its cells', by default from 1.

    Raises:
        InvalidNotebook: a cell of it is no cell, or it is in another language than Python.
        EmptyEntry: none of its cells has code.
    """
    name = _absolute(path)
    metadata = _mapping(document.get("metadata"))
    kernel = _mapping(metadata.get("kernelspec"))
    said = (kernel.get("language"), _mapping(metadata.get("language_info")).get("name"))
    languages = [language for language in said if isinstance(language, str) and language]
    for language in languages:
        if not language.lower().startswith(("python", "ipython")):
            raise errors.InvalidNotebook(
                f"{name} is a notebook in {language}, and Fairing converts those in Python only; "
                "run it as it is with the preprocessor 'full_notebook', in an image that has its "
                "kernel"
            )
    all_cells = document["cells"]
    cells = tuple(_cells(all_cells, numbers or range(1, len(all_cells) + 1), name))
    if not any(cell.is_code for cell in cells):
        raise errors.EmptyEntry(
            f"{name} has no cell with code ({len(cells)} cells), so there is nothing to run; "
            "save it first if you have just written it"
        )
    kernel_name = kernel.get("name")
    return Notebook(
        Path(name),
        cells,
        language=languages[0] if languages else "",
        kernel=kernel_name if isinstance(kernel_name, str) else "",
    )


def _light(value: dict[str, Any]) -> dict[str, Any]:
    if "cell_type" in value:
        for key in _HEAVY:
            value.pop(key, None)
    return value


def _check_format(document: Any, name: str) -> None:
    version = document.get("nbformat") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise errors.InvalidNotebook(
            f"{name} is no notebook: it is JSON without an 'nbformat'; name an .ipynb file that "
            "Jupyter has written"
        )
    if version < _FORMAT:
        raise errors.InvalidNotebook(
            f"{name} is a notebook of nbformat {version}, and Fairing reads nbformat {_FORMAT}; "
            f"convert it: jupyter nbconvert --to notebook --nbformat {_FORMAT} --inplace {name}"
        )
    if version > _FORMAT or not isinstance(document.get("cells"), list):
        what = f"of nbformat {version}" if version > _FORMAT else "without cells"
        raise errors.InvalidNotebook(
            f"{name} is a notebook {what}, and Fairing reads nbformat {_FORMAT}; open it in "
            "Jupyter and save it"
        )


def _cells(cells: Sequence[Any], numbers: Sequence[int], name: str) -> Iterator[Cell]:
    for number, cell in zip(numbers, cells, strict=True):
        kind, source = (_mapping(cell).get(key) for key in ("cell_type", "source"))
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(kind, str) or not isinstance(source, str):
            raise errors.InvalidNotebook(
                f"{name}: cell {number} has no cell_type or no source; open the notebook in "
                "Jupyter, delete that cell and save it"
            )
        tags = _mapping(cell.get("metadata")).get("tags")
        yield Cell(
            number,
            kind,
            source.replace("\r\n", "\n").replace("\r", "\n"),
            tags=frozenset(tag for tag in tags if isinstance(tag, str))
            if isinstance(tags, list)
            else frozenset(),
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _absolute(path: str | os.PathLike[str]) -> str:
    return os.path.normpath(os.path.join(os.getcwd(), os.fspath(path)))
