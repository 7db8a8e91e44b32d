"""From what the user names (files, folders, patterns, ``output_map``) to files that travel.

Paths are judged as they are written: `os.path.abspath`, never resolved. A link's content travels
under the link's name.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fairing_core import errors, log
from fairing_core.faults import fault
from fairing_core.preprocess import ignores
from fairing_core.preprocess.walk import expand, files_under
from fairing_core.types import ContextFile

logger = log.named(__name__)

_TWISTED = re.compile(r"/\.{0,2}(?=/|$)")  # an empty part, "." or ".."

PathLike = str | os.PathLike[str]


def as_paths(values: PathLike | Iterable[PathLike] | None) -> tuple[str, ...]:
    """`values` as texts; one path is one input, not its letters.

    Raises:
        InputError: one of them is no path.
    """
    if values is None:
        return ()
    if isinstance(values, str | os.PathLike):
        return (_text(values),)
    return tuple(_text(value) for value in values)


def _text(path: PathLike) -> str:
    try:
        return os.fspath(path)
    except TypeError as exc:
        raise errors.InputError(f"{path!r} is no path; write it as a text or a Path") from exc


def working_directory(root: str | None = None) -> str:
    """Where relative paths start, spelt as `root` is where it lies under it.

    The system gives the directory without links. A `root` that was reached through a link would
    seem to be elsewhere.
    """
    here = os.getcwd()
    if root is not None and relative_to(here, root) is None:
        below = relative_to(here, os.path.realpath(root))
        if below is not None:
            return os.path.normpath(os.path.join(root, below))
    return here


def relative_to(path: str, root: str) -> str | None:
    """`path` (absolute) as seen from `root`, or None where it lies outside."""
    head = root + os.sep
    if path.startswith(head) and not _TWISTED.search(path, len(root)):
        return path[len(head) :]  # as relpath, at a tenth of its time: files come by thousands
    try:
        below = os.path.relpath(path, root)
    except ValueError:  # another drive
        return None
    return None if below == os.pardir or below.startswith(os.pardir + os.sep) else below


def collect(inputs: Iterable[str], *, root: str | None) -> dict[str, str]:
    """Every file that `inputs` name: its absolute path, and the input that named it.

    Of folders and patterns, what an ignore file of the root leaves out is left out.

    Raises:
        MissingInput: an input, or every match of a pattern, is missing, or left out.
        UnreadableInput: a file or folder can't be read, or is neither; an ignore file has a
            pattern that means nothing.
    """
    here = working_directory(root)
    found: dict[str, str] = {}
    base = here if root is None else root
    rules = ignores.of_root(base)
    for text in inputs:
        if not text or "\0" in text:
            raise errors.MissingInput(
                f"input_files has {text!r}, which names no file; give files, folders or patterns"
            )
        path = os.path.normpath(os.path.join(here, text))
        if os.path.lexists(path):
            matches = list(files_under(path))
        elif any(sign in text for sign in "*?["):
            matches = sorted(expand(path))
            if not matches:
                raise errors.MissingInput(
                    f"no file matches {text!r} in {here}{_elsewhere(text, here, root)}; "
                    "correct the pattern or leave it out"
                )
        else:
            raise missing(text, path, what="input_files", elsewhere=_elsewhere(text, here, root))
        for match in _travelling(matches, rules, base, path, text):
            found.setdefault(match, text)
    return found


def _travelling(
    matches: Sequence[str], rules: ignores.Rules, root: str, path: str, text: str
) -> Sequence[str]:
    """Those of `matches` that no ignore file leaves out; `path` is the input `text`."""
    named = relative_to(_plain(path), root)
    if not rules.rules or matches == [path] or named is None:
        return matches
    if named != os.curdir:
        rules = rules.but_for(as_posix(named))
    kept, left = [], dict[str, int]()
    for match in matches:
        below = relative_to(match, root)
        origin = None if below is None else rules.leaving_out(as_posix(below))
        if origin is None:
            kept.append(match)
        else:
            left[origin] = left.get(origin, 0) + 1
    told = ", ".join(f"{count} by {origin}" for origin, count in left.items())
    if matches and not kept:
        raise errors.MissingInput(
            f"every file of {text!r} is left out ({told}); name what shall travel in "
            ".fairingignore, with a ! before it, or name the files themselves"
        )
    if left:
        logger.info("%d files of %r stay here: %s", sum(left.values()), text, told)
    return kept


def _plain(path: str) -> str:
    """The part of a pattern before its first sign."""
    parts = path.split(os.sep)
    plain = itertools.takewhile(lambda part: not any(sign in part for sign in "*?["), parts)
    return path if os.path.lexists(path) else os.sep.join(plain) or os.sep


def place(path: str, *, root: str, prefix: str, named: str) -> str:
    """Where a file under `root` lands in the image.

    Raises:
        OutsideRoot: it lies outside.
    """
    below = relative_to(path, root)
    if below is None:
        raise errors.OutsideRoot(
            f"{path} lies outside {root}, the folder that the code is in, so it has no place of "
            f"its own in the image; name one: output_map={{{named!r}: "
            f"{prefix + os.path.basename(path)!r}}}"
        )
    return prefix + as_posix(below)


def placed(
    found: Mapping[str, str],
    *,
    root: str,
    prefix: str,
    without: Collection[str] = (),
    reason: str = "input_files",
) -> Iterator[ContextFile]:
    """The files that `collect` found, but for those in `without`, each on its way to its place.

    Raises:
        OutsideRoot: one lies outside `root`.
        UnreadableInput: one can't be looked at.
    """
    for path, text in found.items():
        if path not in without:
            where = place(path, root=root, prefix=prefix, named=text)
            yield file(path, where, reason=reason)


def as_posix(path: str) -> str:
    """A path from here as one in the image; the same text whatever this machine's locale is."""
    if os.sep != "/":
        return path.replace(os.sep, "/")
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def mapped(output_map: Mapping[PathLike, PathLike] | None) -> Iterator[ContextFile]:
    """The files of ``{path here: path in the image}``.

    A relative path in the image starts at its root, as it did in Fairing 1.0. One that ends in
    ``/`` is a folder.

    Raises:
        InputError: one of the two is no path.
        InvalidDestination: a path in the image is empty, has a NUL or leaves the image.
        MissingInput: a path here is missing.
        UnreadableInput: a file or folder can't be read, or is neither.
    """
    here = working_directory()
    for source, target in (output_map or {}).items():
        text, wanted = _text(source), _text(target)
        path = os.path.normpath(os.path.join(here, text))
        if not text or "\0" in text or not os.path.lexists(path):
            raise missing(text, path, what="output_map")
        base = destination(wanted)
        files = list(files_under(path))
        if files == [path]:
            if wanted.endswith("/"):
                base = f"{base.rstrip('/')}/{as_posix(os.path.basename(path))}"
            if base == "/":
                raise errors.InvalidDestination(
                    f"output_map puts the file {text!r} at {wanted!r}, which is a folder; "
                    "name a file"
                )
            yield file(path, base, reason="output_map")
            continue
        for item in files:
            below = as_posix(os.path.relpath(item, path))
            yield file(item, f"{base.rstrip('/')}/{below}", reason="output_map")


def destination(text: str) -> str:
    """`text` as an absolute POSIX path without ``.``, ``..`` and doubled slashes.

    Raises:
        InvalidDestination: it is empty, has a NUL or leaves the image.
    """
    if not text or "\0" in text:
        raise errors.InvalidDestination(
            f"{text!r} is no path in an image; write one such as '/app/data.csv'"
        )
    parts: list[str] = []
    for part in text.split("/"):
        if part == "..":
            if not parts:
                raise errors.InvalidDestination(
                    f"{text!r} leads out of the image; write a path such as '/app/data.csv'"
                )
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def folder(text: str) -> str:
    """`text` as a folder in the image, with the slash at its end."""
    return destination(text).rstrip("/") + "/"


def file(path: str, place: str, *, reason: str) -> ContextFile:
    """The file at `path`, on its way to `place`."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise fault(path, exc) from exc
    mode = 0o755 if status.st_mode & 0o100 else 0o644
    return ContextFile(place, Path(path), mode=mode, size=status.st_size, reason=reason)


def missing(text: str, path: str, *, what: str, elsewhere: str = "") -> errors.MissingInput:
    """The error for a `path` that is not there, with the near name."""
    import difflib  # only for faults

    try:
        siblings = os.listdir(os.path.dirname(path))
    except (OSError, ValueError):  # ValueError: a NUL in it
        siblings = []
    close = difflib.get_close_matches(os.path.basename(path), siblings, n=1, cutoff=0.6)
    hint = f"; did you mean {os.path.join(os.path.dirname(text), close[0])!r}?" if close else ""
    return errors.MissingInput(f"{what}: {text!r} does not exist ({path}){elsewhere}{hint}")


def _elsewhere(text: str, here: str, root: str | None) -> str:
    """What to say of a relative input that is missing here, but is there under the root."""
    if root is None or root == here or os.path.isabs(text):
        return ""
    there = os.path.normpath(os.path.join(root, text))
    if not os.path.lexists(there) and not any(expand(there)):
        return ""
    seen = os.path.relpath(there, here)
    return (
        f"; relative inputs start at the working directory, {here}. "
        f"{there} does exist: write {seen!r}"
    )
