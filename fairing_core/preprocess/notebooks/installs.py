"""``pip install`` in a notebook, as lines of a requirements file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fairing_core.values import field, frozen

_PIP = re.compile(
    r"\s*(?:(?:\S*/)?pip3?(?:\.\d+)?|(?:\S*/)?python[\d.]*\s+-m\s+pip|uv\s+pip)"
    r"(?:\s+-\S+)*\s+install(?=\s|$)"
)
_PYTHON = re.compile(r"""(["']?)\{sys\.executable\}\1""")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:(?:[<>=!~@;]).*)?")
_COMMENT = re.compile(r"(^|\s)#.*$")
_REDIRECT = re.compile(r"[\d&]?>>?(?!=)(.*)")
_OURS = re.compile(r"(?:kubeflow-)?fairing(?:[-_][\w-]+)?(?:[\[<>=!~@; ].*)?", re.IGNORECASE)
_ALONE = frozenset(  # how pip goes about it, which is the builder's affair
    (
        *("-q", "-qq", "-qqq", "--quiet", "-v", "-vv", "--verbose", "-U", "--upgrade", "--user"),
        *("--no-cache-dir", "--no-input", "-I", "--ignore-installed", "--force-reinstall"),
        *("--disable-pip-version-check", "--no-warn-script-location", "--no-warn-conflicts"),
        *("--break-system-packages", "--no-build-isolation", "--system", "--use-pep517"),
        *("--no-color", "--no-cache", "--no-python-version-warning", "-y", "--yes"),
    )
)
_UNSAID = ("--upgrade-strategy", "--progress-bar", "--root-user-action", "--timeout", "--retries")
_SAID = ("--extra-index-url", "--find-links", "-f", "--trusted-host", "--no-binary")
_INDEX = ("-i", "--index-url")
_FILE = ("-r", "--requirement")
_WITH_VALUE = frozenset((*_UNSAID, *_SAID, *_INDEX, *_FILE, "--only-binary", "--cache-dir"))


class NotPlain(Exception):
    """An install that no requirements file says; the message says why, and what to do."""


@frozen
class Install:
    """What is to be installed: lines of a requirements file, and the index that is asked for them.

    `index` is "" for the usual one; `files` are requirements files, as they are named.
    """

    lines: tuple[str, ...]
    index: str = field(default="", kw_only=True)
    files: tuple[str, ...] = field(default=(), kw_only=True)


def is_install(command: str) -> bool:
    """Whether the shell command begins with an installation by pip."""
    return _PIP.match(_PYTHON.sub("python", command)) is not None


def parse(command: str) -> Install:
    """What `command`, which `is_install`, asks for.

    Raises:
        NotPlain: it asks for something else, too.
    """
    try:
        words = list(_words(_COMMENT.sub("", _PYTHON.sub("python", command))))
    except ValueError as exc:
        raise NotPlain(f"its quotes don't match ({exc})") from exc
    found = [_one(part) for part in _parts(words)]
    indexes = {one.index for one in found}
    if len(indexes) > 1:
        raise NotPlain("it asks more than one index; name the packages in a requirements.txt")
    return Install(
        tuple(line for one in found for line in one.lines),
        index=indexes.pop(),
        files=tuple(name for one in found for name in one.files),
    )


def _words(command: str) -> shlex.shlex:
    """Its words, and each ``;`` that is no part of a quoted one."""
    words = shlex.shlex(command, posix=True, punctuation_chars=";")
    words.commenters = ""
    words.whitespace_split = True
    return words


def _parts(words: Iterable[str]) -> Iterator[list[str]]:
    """The commands of a line, without what becomes of their output."""
    part: list[str] = []
    is_piped = False
    rest = iter(words)
    for word in rest:
        redirect = _REDIRECT.fullmatch(word)
        if word in ("||", "&"):
            raise NotPlain(f"its {word!r} leaves open what is installed")
        if redirect:
            if not redirect[1]:
                next(rest, None)
        elif word in ("&&", ";"):
            yield part
            part, is_piped = [], False
        elif word == "|" or is_piped:
            is_piped = True
        else:
            part.append(word)
    if part:
        yield part


def _one(words: Sequence[str]) -> Install:
    command = shlex.join(word for word in words if word)
    start = _PIP.match(command)
    if start is None:
        raise NotPlain(f"{command!r} beside it is no pip install; give it a line of its own")
    lines: list[str] = []
    files: list[str] = []
    index = ""
    for flag, value in _flags(shlex.split(command[start.end() :])):
        if not flag:
            lines += [] if _OURS.fullmatch(value) else [_requirement(value)]
        elif flag in _FILE:
            files.append(_literal(value))
        elif flag in _INDEX:
            index = _literal(value)
        elif flag == "--pre":
            lines.append(flag)
        elif flag in _WITH_VALUE - set(_UNSAID) - {"--cache-dir"}:
            lines.append(f"{flag} {_literal(value)}")
        elif flag not in _ALONE | _WITH_VALUE and not re.fullmatch("-[qvUIy]+", flag):
            raise NotPlain(f"its option {flag} has no place in a requirements.txt")
    return Install(tuple(lines), index=index, files=tuple(files))


def _flags(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Flags with their values; ("", word) for what is no flag."""
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if not word.startswith("-"):
            yield "", word
        elif word.startswith(("-r", "-i", "-f")) and len(word) > 2:
            yield word[:2], word[2:]
        elif flag in _WITH_VALUE and not equals:
            yield flag, next(rest, "")
        else:
            yield flag, value


def _requirement(word: str) -> str:
    word = _literal(word)
    if "://" in word:
        return word
    if "/" in word or word.startswith((".", "~")) or word.endswith((".whl", ".tar.gz", ".zip")):
        raise NotPlain(
            f"{word!r} is a file or folder here; let it travel (input_files), with a "
            "requirements.txt that names it"
        )
    if not _PLAIN.fullmatch(word):
        raise NotPlain(f"{word!r} is no requirement")
    return word


def _literal(word: str) -> str:
    if re.search(r"[{}$`]", word):
        raise NotPlain(f"{word!r} is known only when it runs; write it out")
    return word


def read(name: str, folder: Path) -> tuple[str, ...]:
    """The lines of the requirements file `name`, which is seen from `folder`.

    Raises:
        NotPlain: it can't be read, or it includes other files.
    """
    path = Path(os.path.normpath(folder / os.path.expanduser(name)))
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise NotPlain(f"{path} can't be read ({exc})") from exc
    lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines()]
    for line in lines:
        if re.match(r"(-r|-c|-e|--requirement|--constraint|--editable|\.|/)", line):
            raise NotPlain(
                f"{path} names another file ({line}); let both travel (input_files) instead"
            )
    return tuple(line for line in lines if line and not line.startswith("#"))
