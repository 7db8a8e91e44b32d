"""Commands of a notebook: ``!ls``, ``names = !ls``, ``%%bash``.

Shipped with a converted notebook; see `fairing_core.runtime.shell`. What a command writes goes
where the program's own output goes, at once; only where someone has put another stream in the place
of `sys.stdout` or `sys.stderr` (``%%capture``) is it carried over, once the command has ended.

Standard library only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any


class Lines(list):  # type: ignore[type-arg]
    """A command's output: its lines, and as one text joined by line feeds (`n`) or spaces (`s`)."""

    @property
    def l(self) -> list[str]:  # noqa: E743 - IPython's name
        """The lines."""
        return self

    @property
    def n(self) -> str:
        """The lines, joined by line feeds."""
        return "\n".join(self)

    @property
    def s(self) -> str:
        """The lines, joined by spaces."""
        return " ".join(self)

    def grep(self, pattern: str) -> Lines:
        """The lines that have `pattern` in them, in whatever case."""
        return Lines(line for line in self if re.search(pattern, line, re.IGNORECASE))

    def fields(self, *places: int) -> Lines:
        """Of each line the words at `places`; all of them, as lists, where none is given."""
        split = [line.split() for line in self]
        if not places:
            return Lines(split)
        chosen = ([words[at] for at in places if -len(words) <= at < len(words)] for words in split)
        return Lines(" ".join(words) for words in chosen if words)


def in_shell(command: str) -> list[str]:
    """The words that run `command` in the user's shell, else in bash, else in sh."""
    named = os.environ.get("SHELL") or "bash"
    return [shutil.which(named) or shutil.which("bash") or "/bin/sh", "-c", command]


def output(command: str) -> tuple[int, Lines]:
    """The exit code, and the lines that `command` writes to stdout and stderr."""
    if command.rstrip().endswith("&"):
        raise OSError(f"{command!r} runs in the background, and so has no output to wait for")
    _flush()
    done = subprocess.run(
        in_shell(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, Lines(done.stdout.decode(errors="replace").splitlines())


def run(
    command: Sequence[str], given: bytes | None = None, kept: Iterable[str] = ()
) -> tuple[int, Mapping[str, str]]:
    """The exit code, and what the program wrote to the streams that are `kept` (``out``, ``err``).

    `given` is its input; by default that is ours.
    """
    _flush()
    streams: dict[str, Any] = {"out": sys.stdout, "err": sys.stderr}
    own = {"out": _is_own(sys.stdout, 1), "err": _is_own(sys.stderr, 2)}
    carried = {name: name in kept or not own[name] for name in streams}
    process = subprocess.Popen(
        command,
        stdin=None if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE if carried["out"] else None,
        stderr=subprocess.PIPE if carried["err"] else None,
    )
    out, err = process.communicate(given)
    written = (("out", out), ("err", err))
    texts = {name: (data or b"").decode(errors="replace") for name, data in written}
    for name, text in texts.items():
        if text and name not in kept:
            streams[name].write(text)
    return process.returncode, texts


def _is_own(stream: Any, number: int) -> bool:
    """Whether `stream` still is the process's own, and nobody has put another in its place."""
    try:
        return bool(stream.fileno() == number)
    except (AttributeError, OSError, ValueError):
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
