"""Which modules of others the code can't do without, so that an image without them is noticed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fairing_core.preprocess.imports import certain
from fairing_core.types import ContextFile, Import

# Gone with Python 3.12 and 3.13. An older image has them, and setuptools brings distutils back.
_GONE = (  # noqa: SIM905 - as a literal it would fill half a page
    "aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap "
    "msilib nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib"
).split()
_STANDARD = sys.stdlib_module_names.union(_GONE)


def imports(
    files: Sequence[ContextFile],
    prefix: str,
    *,
    entry: str | None = None,
    names: Mapping[str, str] | None = None,
) -> tuple[Import, ...]:
    """The modules that have to be in the image already, by their name.

    Args:
        files: what travels.
        prefix: the folder in the image that modules are imported from.
        entry: the destination of the program, if a file is run.
        names: modules that are imported for certain, by dotted name, and what does.
    """
    places = {file.destination: file for file in files}
    found: dict[str, str] = {}
    waiting: list[tuple[str, str]] = [(name, where) for name, where in (names or {}).items()]

    def read(place: str) -> None:
        content = places[place].content
        if isinstance(content, Path):
            waiting.extend((name, place.removeprefix(prefix)) for name in certain(str(content)))

    if entry is not None:
        read(entry)
    while waiting:
        name, where = waiting.pop(0)
        top = name.partition(".")[0]
        if top in found or top == "__main__" or top in _STANDARD:
            continue
        found[top] = where
        for place in (f"{prefix}{top}.py", f"{prefix}{top}/__init__.py"):
            if place in places:
                read(place)
    if found:
        for name in _travelling(files) & found.keys():
            del found[name]
    return tuple(Import(name, found[name]) for name in sorted(found))


def _travelling(files: Iterable[ContextFile]) -> set[str]:
    """Every name that a file or folder among them may be imported by."""
    found = set[str]()
    for file in files:
        *folders, name = file.destination.split("/")
        found.update(folders)
        found.add(name.partition(".")[0])
    return found
