"""What the cells of a notebook install, as a requirements.txt, which builders and backends heed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fairing_core import errors
from fairing_core.preprocess.notebooks import installs
from fairing_core.preprocess.notebooks.cells import Cells
from fairing_core.types import PREFIX, ContextFile

_REQUIREMENTS = PREFIX + "requirements.txt"


def with_requirements(
    files: Iterable[ContextFile], title: str, folder: Path, cells: Cells
) -> list[ContextFile]:
    """`files`, and what `cells` install, at the end of the requirements.txt among them or as one.

    `title` and `folder` are the notebook's.

    Raises:
        InvalidCell: a file of requirements can't be read, or more than one index is asked.
    """
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
