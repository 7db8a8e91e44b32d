"""Whether this interpreter can run the code: its version, and the requirements that travel."""

from __future__ import annotations

import contextlib
import posixpath
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairing_core import errors, log
from fairing_core.local.files import open_input
from fairing_core.types import PREFIX, BuildContext, ContextFile, Import

if TYPE_CHECKING:
    from packaging.requirements import Requirement

logger = log.named(__name__)

FILE = PREFIX + "requirements.txt"

_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s+|=|(?<=-r))(.+)")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_LINE_OPTIONS = re.compile(r"\s+--?[A-Za-z].*$")


def check(context: BuildContext) -> None:
    """Looks at the X.Y that the code needs, and at the ``requirements.txt`` beside it.

    Raises:
        MissingRequirements: names each requirement that this interpreter lacks.
    """
    current = f"{sys.version_info.major}.{sys.version_info.minor}"
    if context.python is not None and context.python != current:
        raise errors.MissingRequirements(
            f"the code needs Python {context.python}, and the local backend runs it with the "
            f"current interpreter, {sys.executable}, which is Python {current}; submit with "
            f"Python {context.python}, or name a backend that builds images",
            lacking=(f"python=={context.python}.*",),
        )
    _check_needed(context.needs)
    _warn_of(context.imports)
    files = {file.destination: file for file in context.files}
    if FILE in files:
        _check_packages(files)


def _check_needed(names: Iterable[str]) -> None:
    """What the command itself needs."""
    import importlib.metadata

    lacking = []
    for name in names:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            lacking.append(name)
    if lacking:
        raise errors.MissingRequirements(
            f"the local backend runs the code with {sys.executable}, which lacks "
            f"{', '.join(lacking)}. Install it with: "
            f"{shlex.join([sys.executable, '-m', 'pip', 'install', *lacking])}",
            lacking=tuple(lacking),
        )


def _warn_of(imports: Sequence[Import]) -> None:
    """Of what the code imports, that is nowhere; the code may still find it by itself."""
    if not imports:
        return
    import importlib.util

    for each in imports:
        if each.module not in sys.modules and importlib.util.find_spec(each.module) is None:
            logger.warning("%s imports %s, which %s lacks", each.where, each.module, sys.executable)


def _check_packages(files: Mapping[str, ContextFile]) -> None:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:
        logger.warning("%s is not checked: the package 'packaging' is not installed", FILE)
        return
    lacking: dict[str, str] = {}
    for line in _lines(files, FILE, seen={FILE}):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            logger.info("%s: can't judge %r, it is left unchecked", FILE, line)
            continue
        if found := _fault(requirement):
            requirement.marker = None
            lacking[str(requirement)] = found
    if lacking:
        listed = "\n".join(f"  {name}: {found}" for name, found in lacking.items())
        raise errors.MissingRequirements(
            f"the local backend runs the code with {sys.executable}, which lacks what "
            f"{FILE} names:\n{listed}\nInstall it with: "
            f"{shlex.join([sys.executable, '-m', 'pip', 'install', *lacking])}",
            lacking=tuple(lacking),
        )


def _fault(requirement: Requirement, extra: str = "") -> str | None:
    """What is wrong with `requirement` here, or None."""
    import importlib.metadata

    from packaging.version import InvalidVersion, Version

    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return None
    try:
        distribution = importlib.metadata.distribution(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
    if requirement.url is None:
        try:
            version = Version(distribution.version)
        except (InvalidVersion, TypeError):
            return "installed, in a version that can't be read"
        if not requirement.specifier.contains(version, prereleases=True):
            return f"{version} is installed"
    for wanted in sorted(requirement.extras):
        for inner in _only_for_extras(distribution.requires or ()):
            if found := _fault(inner, wanted):
                return f"its [{wanted}] needs {inner.name}{inner.specifier}: {found}"
    return None


def _only_for_extras(texts: Iterable[str]) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in texts:
        with contextlib.suppress(InvalidRequirement):
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
                yield requirement


def _lines(files: Mapping[str, ContextFile], path: str, *, seen: set[str]) -> Iterator[str]:
    """The requirements of a file and of those it includes, as pip reads them."""
    data = files[path].content
    if isinstance(data, Path):
        with open_input(data) as file:
            data = file.read()
    text = data.decode("utf-8-sig", errors="replace")
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = _COMMENT.sub("", line).strip()
        if include := _INCLUDE.fullmatch(line):
            name = include[1].strip().strip("\"'")
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
            if inner in files and inner not in seen:
                seen.add(inner)
                yield from _lines(files, inner, seen=seen)
            elif inner not in files:
                logger.warning("%s includes %s, which does not travel: unchecked", path, name)
        elif line.startswith("-"):
            logger.info("%s: %r is pip's business, it is left unchecked", path, line)
        elif line:
            yield _LINE_OPTIONS.sub("", line)
