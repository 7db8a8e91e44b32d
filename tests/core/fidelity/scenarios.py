"""What is run, and which rows of the matrix each run tells of."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["script", "function", "notebook"]

ARGUMENTS = (
    *("", " ", "a b", "it's", 'say "hi"', "l\nf", "\t", "ü 日本 🚀", "-", "--", "--flag=x", "-c"),
    *("$HOME", "${HOME}", "$(HOME)", "$(T_PLAIN)", "$$", "$é", "`id`", "\\", "*", "~", "%d", "#"),
)
VARIABLES = {
    "T_PLAIN": "x",
    "T_EMPTY": "",
    "T_TEXT": "ü 日本 🚀",
    "T_LINES": "one\ntwo\r\n",
    "T_QUOTES": "\"a\" 'b' `c` \\",
    "T_DOLLARS": "$(T_PLAIN) $$(T_PLAIN) $HOME ${HOME} $$ $é $",
    "T_SPACES": "  a  ",
}


@dataclass(frozen=True)
class Seen:
    """What one run was seen to do; paths in texts are relative to the project."""

    code: int | None
    log: str
    """Both streams, as they come together."""
    apart: tuple[str, str] | None = None
    """Standard output and standard error, where there are two."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """Of a function: ``{"value": repr}``, or ``{"raised": {"type", "message", "traceback"}}``."""


class Reading(NamedTuple):
    """What a run tells of: rows of the matrix, ``ROW`` or ``ROW: CASE``, and a value of each."""

    rows: tuple[str, ...]
    values: Callable[[Seen], Sequence[Any]]


@dataclass(frozen=True)
class Scenario:
    """One run, and what it tells."""

    name: str
    kind: Kind
    entry: str
    """A script's file, or the name of a function of ``work.py``."""
    reading: Reading
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("python",)
    is_apart: bool = False
    """Whether the two streams are caught apart, where they can be."""
    is_stopped: bool = False
    """Whether it is asked to end once it has begun."""

    def told(self, seen: Seen) -> Mapping[str, Any]:
        """The values by their rows."""
        return dict(zip(self.reading.rows, self.reading.values(seen), strict=True))


_LOOKS = {
    "sources": "source: every byte (byte order mark, CRLF, encoding cookie, no last line end)",
    "text": "source: text in it",
    "__name__": "source: `__name__`",
    "arguments": "arguments: empty, spaces, quotes, line ends, Unicode, dashes, `$(X)`",
    "environment": "environment: what is given (empty, quotes, line ends, Unicode, `$(X)`)",
    "submitter": "environment: the submitter's own",
    "fairing": "environment: `FAIRING_*`",
    "directory": 'working directory: the folder of the code, `open("data/x.csv")`',
    "names": "Unicode: names of files",
    "encoding": "Unicode: encodings of streams, files and names",
    "stdin": "streams: standard input is empty",
    "terminal": "streams: no terminal",
    "buffering": "streams: standard output is buffered",
    "first": "exit status: not process 1",
}


def _look(seen: Seen) -> Mapping[str, Any]:
    assert seen.code == 0, seen.log
    if seen.record:
        value: Mapping[str, Any] = ast.literal_eval(seen.record["value"])
        return value
    told: Mapping[str, Any] = json.loads(seen.log.splitlines()[-1])
    return told


_LOOKED = Reading(tuple(_LOOKS.values()), lambda seen: [_look(seen)[key] for key in _LOOKS])
_SEEN_FROM_CELLS = tuple(key for key in _LOOKS if key not in ("sources", "arguments"))
_LOOKED_FROM_CELLS = Reading(
    tuple(_LOOKS[key] for key in _SEEN_FROM_CELLS),
    lambda seen: [_look(seen)[key] for key in _SEEN_FROM_CELLS],
)
_ENCODINGS = Reading(
    ("Unicode: encodings, where no locale is set",), lambda seen: [_look(seen)["encoding"]]
)
_APART = Reading(("streams: the two, apart",), lambda seen: [seen.apart])


def _whole(row: str) -> Reading:
    return Reading((row,), lambda seen: [(seen.code, seen.log)])


def _each(seen: Seen) -> Sequence[Any]:
    lines = seen.log.splitlines()
    return [[one for one in lines if one.startswith(name)] for name in ("out", "err")], lines


_QUICK = Reading(
    ("streams: order within each", "streams: order between the two, written at once"), _each
)


def _returned(case: str) -> Reading:
    return Reading((f"return value: {case}",), lambda seen: [(seen.code, seen.record)])


def _raised(case: str) -> Reading:
    rows = (f"traceback: {case}", f"traceback: {case}, in `RunFailed`")
    return Reading(rows, lambda seen: [(seen.code, seen.log), seen.record])


def _script(name: str, entry: str, reading: Reading, *args: str, **more: Any) -> Scenario:
    return Scenario(f"script {name}", "script", entry, reading, args, **more)


def _function(name: str, entry: str, reading: Reading, *args: Any, **more: Any) -> Scenario:
    return Scenario(f"function {name}", "function", entry, reading, args, **more)


def _notebook(name: str, reading: Reading, how: str, **more: Any) -> Scenario:
    env = {**more.pop("env", {}), "T_HOW": how}
    return Scenario(f"notebook {name}", "notebook", "lab.ipynb", reading, env=env, **more)


_ENDS = {
    "0": "exit status: 0",
    "1": "exit status: 1",
    "3": "exit status: 3",
    "255": "exit status: 255",
    "256": "exit status: 256",
    "text": "exit status: `sys.exit(text)`",
    "_exit": "exit status: `os._exit`",
    "SIGKILL": "exit status: SIGKILL to itself",
    "SIGTERM": "exit status: SIGTERM to itself",
    "SIGSEGV": "exit status: SIGSEGV to itself",
    "SIGABRT": "exit status: `os.abort`",
}
_CHAINED = {
    "cause": "`__cause__`",
    "group": "an exception group",
    "from None": "`from None`",
}
_GIVES = {
    "plain": "what JSON carries, `2**70` too",
    "not a number": "NaN, infinity",
    "None": "None",
    "large": "300,000 characters",
    "pickled": "what travels as a pickle",
}
_BYTES = "streams: standard output, byte for byte (`\\r`, NUL, 1 MB lines, no last line end)"
_TURNS = "streams: order between the two, a moment apart"
_STOPPED = "exit status: asked to end (SIGTERM)"

SCENARIOS = (
    _script("looks", "main.py", _LOOKED, *ARGUMENTS, env=VARIABLES),
    _script("looks, no locale", "main.py", _ENCODINGS, env={"LANG": ""}),
    _script("writes out", "says.py", _whole(_BYTES), "out"),
    _script("writes err", "says.py", _whole("streams: standard error, likewise"), "err"),
    _script("writes by turns", "says.py", _whole(_TURNS), "turns"),
    _script("writes both", "says.py", _APART, "turns", is_apart=True),
    _script("writes quickly", "says.py", _QUICK, "quick"),
    _script("says text", "says.py", _whole("Unicode: text written, where no locale is set"), "text",
            env={"LANG": "", "PYTHONUNBUFFERED": "1"}),
    *(_script(f"ends by {how}", "ends.py", _whole(row), how) for how, row in _ENDS.items()),
    _script("ends by an exception", "ends.py", _whole("traceback: an exception"), "raise"),
    _script("is stopped", "ends.py", _whole(_STOPPED), "wait", is_stopped=True),
    _script("of another program ends", "ends.py", _whole("exit status: SIGTERM to itself, started "
            "by another program"), "SIGTERM", command=("env", "python")),
    *(_script(f"fails: {how}", "fails.py", _whole(f"traceback: {row}"), how)
      for how, row in _CHAINED.items()),
    _function("looks", "look", _LOOKED, 1, None, "ü$(HOME)", env=VARIABLES, kwargs={"k": [2]}),
    *(_function(f"gives {what}", "gives", _returned(row), what) for what, row in _GIVES.items()),
    _function("fails", "fail", _raised("an exception"), "own"),
    *(_function(f"fails: {how}", "fail", _raised(row), how) for how, row in _CHAINED.items()),
    *(_function(f"ends by {how}", "ends", _whole(_ENDS[how]), how)
      for how in ("3", "text", "_exit", "SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT")),
    _function("is stopped", "waits", _whole(_STOPPED), is_stopped=True),
    _notebook("looks", _LOOKED_FROM_CELLS, "look", env=VARIABLES),
    *(_notebook(f"ends by {how}", _whole(_ENDS[how]), how)
      for how in ("3", "text", "SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT")),
    *(_notebook(f"fails: {how}", _whole(f"traceback: {row}"), how)
      for how, row in {"own": "an exception", **_CHAINED}.items()),
    _notebook("is stopped", _whole(_STOPPED), "wait", is_stopped=True),
)  # fmt: skip
