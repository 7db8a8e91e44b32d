"""Converts one cell: what is IPython's in it becomes Python, line for line.

IPython decides what is a magic by Python's own tokens: a ``%`` or ``!`` in a string, a comment or
an open bracket is none. So does this module. `rules` says what becomes of each.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fairing_core.preprocess.notebooks import installs, rules
from fairing_core.values import field, frozen

_ESCAPES = "%!?,;/"
_OPERATORS = ("!=", "%=", "/=", "//")
_BLANK = " \t\f"
_HELP = re.compile(r"%{0,2}(?!\d)[\w*]+(\.(?!\d)[\w*]+|\[-?[0-9]+\])*(\?\??)$")
_AROUND = ("time", "capture", "prun")
_BARE = ("ls", "ll", "pwd", "cd")
_EVALUATED = ("time", "prun")


@frozen
class Converted:
    """A cell as Python.

    `source` has as many lines as the cell; `shown` are those that the user wrote otherwise, by
    number. `around` are the cell magics that it runs under, the outermost first, each with its
    line. `fragments` are statements that magics run, by line. `installs` is what it installs,
    `dropped` the magics that are left out, `refused` what is wrong, all by line.
    """

    source: str
    shown: Mapping[int, str] = field(default_factory=dict, kw_only=True)
    around: tuple[tuple[str, str], ...] = field(default=(), kw_only=True)
    fragments: tuple[tuple[int, str], ...] = field(default=(), kw_only=True)
    installs: tuple[tuple[int, installs.Install], ...] = field(default=(), kw_only=True)
    dropped: tuple[tuple[int, str], ...] = field(default=(), kw_only=True)
    refused: tuple[tuple[int, str], ...] = field(default=(), kw_only=True)


def convert(source: str) -> Converted:
    """The cell `source` as Python; its lines keep their numbers."""
    cell = _Cell(source)
    return cell.converted()


class _Statement(NamedTuple):
    """A logical line: its last line, where a magic is assigned in it, and whether it asks for help.

    Lines count from 0.
    """

    end: int
    magic: tuple[int, int] | None
    is_help: bool


class _Cell:
    """A cell while it is converted."""

    def __init__(self, source: str) -> None:
        # As IPython: a cell may be indented as a whole.
        whole = source if source.endswith("\n") else f"{source}\n"
        self._lines = textwrap.dedent(whole).removesuffix("\n").split("\n")
        self._shown: dict[int, str] = {}
        self._around: list[tuple[str, str]] = []
        self._fragments: list[tuple[int, str]] = []
        self._installs: list[tuple[int, installs.Install]] = []
        self._dropped: list[tuple[int, str]] = []
        self._refused: list[tuple[int, str]] = []

    def converted(self) -> Converted:
        filled = (at for at, line in enumerate(self._lines) if line.strip(_BLANK))
        first = next(filled, None)
        if first is not None:
            if self._lines[first].startswith("%%") and not re.match(r"%%\w+\?", self._lines[first]):
                self._cell_magic(first)
            else:
                if next(filled, None) is None and _is_automagic(self._lines[first]):
                    self._lines[first] = f"%{self._lines[first]}"
                self._statements(first)
        return Converted(
            "\n".join(self._lines) + "\n",
            shown=self._shown,
            around=tuple(self._around),
            fragments=tuple(self._fragments),
            installs=tuple(self._installs),
            dropped=tuple(self._dropped),
            refused=tuple(self._refused),
        )

    # --- whole cells

    def _cell_magic(self, first: int) -> None:
        name, _, line = self._lines[first][2:].rstrip().partition(" ")
        body = "".join(f"{text}\n" for text in self._lines[first + 1 :])
        rule = rules.rule(f"%%{name}")
        if rule.fate == "refused":
            self._refuse(first, f"%%{name}", rule)
        elif rule.fate == "dropped":
            self._dropped.append((first + 1, f"%%{name}"))
            self._put(first, len(self._lines) - 1, "")
        elif not body:
            self._refused.append((first + 1, f"%%{name} has no cell below it"))
        elif name in _AROUND:
            self._inside(first, name, line, body)
        elif {"--bg", "--proc"} & set(line.split()):
            why = "a job waits for all that it starts; use ! and & for what may end with it"
            self._refused.append((first + 1, f"%%{name} --bg: {why}"))
        else:
            known = "system" if name == "!" else name
            call = f"get_ipython().run_cell_magic({known!r}, {line!r}, {body!r})"
            self._put(first, len(self._lines) - 1, call)

    def _inside(self, first: int, name: str, line: str, body: str) -> None:
        """The cell below ``%%time`` and the like, which is a cell itself."""
        if name == "time" and line and not line.startswith("-"):
            why = "the statement belongs into the lines below it"
            self._refused.append((first + 1, f"%%time {line}: {why}"))
            return
        inner = _Cell(body)
        done = inner.converted()
        self._around += [(name, line), *done.around]
        self._take(done, first + 1)
        self._shown.update({at + first + 1: text for at, text in done.shown.items()})
        self._put(first, first, "")
        self._lines[first + 1 :] = done.source.removesuffix("\n").split("\n")

    # --- statements

    def _statements(self, at: int) -> None:
        while at < len(self._lines):
            text = self._lines[at]
            start = len(text) - len(text.lstrip(_BLANK))
            stripped = text[start:]
            if not stripped.strip() or stripped.startswith("#"):
                at += 1
            elif stripped[0] in _ESCAPES and not stripped.startswith(_OPERATORS):
                at = self._magic_at(at, start) + 1
            else:
                found = _statement(self._lines, at)
                if found.is_help:
                    self._drop(at, found.end, start, "x?")
                elif found.magic is not None:
                    row, column = found.magic
                    found = found._replace(end=self._magic_at(row, column, is_assigned=True))
                at = found.end + 1

    def _magic_at(self, at: int, column: int, *, is_assigned: bool = False) -> int:
        """Converts the magic that begins there; the line that it ends in."""
        end = at
        while self._lines[end].endswith("\\") and end + 1 < len(self._lines):
            end += 1
        if not is_assigned and _asks_for_help(self._lines[at : end + 1]):
            self._drop(at, end, column, "x?")
            return end
        pieces = [self._lines[at][column:], *self._lines[at + 1 : end + 1]]
        content = " ".join([*(one.rstrip()[:-1] for one in pieces[:-1]), pieces[-1].rstrip()])
        made = self._made(at, content, is_assigned=is_assigned)
        self._put(at, end, self._lines[at][:column] + made)
        return end

    def _made(self, at: int, content: str, *, is_assigned: bool) -> str:
        """The Python for a magic or command."""
        if content.startswith("!"):
            is_captured = is_assigned or content.startswith("!!")
            command = content[1:] if is_assigned else content.removeprefix("!").removeprefix("!")
            return self._command(at, command, is_captured=is_captured)
        if content.startswith("?"):
            self._dropped.append((at + 1, "?x"))
            return "pass"
        if not content.startswith("%"):
            why = "IPython's own way to call a function; write the call out"
            self._refused.append((at + 1, f"{content!r} is {why}"))
            return "pass"
        name, _, line = content[1:].partition(" ")
        return self._line_magic(at, name, line, is_assigned=is_assigned)

    def _line_magic(self, at: int, name: str, line: str, *, is_assigned: bool) -> str:
        rule = rules.rule(f"%{name}")
        if name.startswith("%"):
            why = "a cell magic belongs into the first line of its cell"
            self._refused.append((at + 1, f"%{name}: {why}"))
        elif rule.fate == "refused":
            self._refuse(at, f"%{name}", rule)
        elif rule.fate == "dropped" and is_assigned:
            why = "it is left out of jobs, so it has no value to keep; remove the assignment"
            self._refused.append((at + 1, f"%{name}: {why}"))
        elif rule.fate == "dropped":
            self._dropped.append((at + 1, f"%{name}"))
        elif rule.fate == "required" and installs.is_install(f"pip {line}"):
            return self._install(at, f"pip {line}", "None" if is_assigned else "pass")
        else:
            if name in _EVALUATED:
                line = self._evaluated(at, line)
            return f"get_ipython().run_line_magic({name!r}, {line!r})"
        return "pass"

    def _evaluated(self, at: int, line: str) -> str:
        """The statement that a magic runs, converted itself."""
        options = re.match(r"(?:-[rq]+\s+|-[DlsT]\s*\S+\s+)*", line)
        start = options.end() if options else 0
        done = _Cell(line[start:]).converted()
        self._take(done, at)
        text = done.source.strip("\n")
        self._fragments.append((at + 1, text))
        return line[:start] + text

    def _command(self, at: int, command: str, *, is_captured: bool) -> str:
        if installs.is_install(command):
            return self._install(at, command, "[]" if is_captured else "pass")
        return f"get_ipython().{'getoutput' if is_captured else 'system'}({command!r})"

    def _install(self, at: int, command: str, instead: str) -> str:
        try:
            self._installs.append((at + 1, installs.parse(command)))
        except installs.NotPlain as exc:
            why = "or name the packages in a requirements.txt (input_files)"
            self._refused.append(
                (at + 1, f"{command.strip()!r} can't become a requirement: {exc}, {why}")
            )
        return instead

    # --- how

    def _put(self, at: int, end: int, text: str) -> None:
        """Puts `text` in the place of the lines from `at` to `end`."""
        for line in range(at, end + 1):
            self._shown[line + 1] = self._lines[line]
            self._lines[line] = text if line == at else ""

    def _drop(self, at: int, end: int, column: int, what: str) -> None:
        self._dropped.append((at + 1, what))
        self._put(at, end, self._lines[at][:column] + "pass")

    def _refuse(self, at: int, name: str, rule: rules.Rule) -> None:
        self._refused.append((at + 1, f"{name} has no place in a job: {rule.why}"))

    def _take(self, inner: Converted, below: int) -> None:
        """Takes over what was found in a part that begins `below` so many lines."""
        self._fragments += [(at + below, text) for at, text in inner.fragments]
        self._installs += [(at + below, what) for at, what in inner.installs]
        self._dropped += [(at + below, what) for at, what in inner.dropped]
        self._refused += [(at + below, what) for at, what in inner.refused]


def _statement(lines: list[str], at: int) -> _Statement:
    """The logical line that begins at `at`."""
    depth = 0
    has_equals = awaits_magic = False
    magic: tuple[int, int] | None = None
    last: tokenize.TokenInfo | None = None
    end = at
    try:
        for token in _tokens(lines, at):
            text, end = token.string, at + token.start[0] - 1
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                break
            if token.type in (tokenize.INDENT, tokenize.DEDENT) or not text.strip():
                continue
            if awaits_magic:
                is_magic = text == "!" or (text == "%" and _is_named(lines, at, token))
                magic = (end, token.start[1]) if is_magic else None
            awaits_magic = False
            if token.type == tokenize.OP:
                depth += (text in "([{") - (text in ")]}" and depth > 0)
                if text == "=" and not depth and not has_equals:
                    has_equals = True
                    awaits_magic = not token.line.strip().startswith("=")
            last = token
    except (tokenize.TokenError, SyntaxError, ValueError) as exc:  # ValueError: half a character
        if magic is None:
            # What is open until the end of the cell is one statement; other faults are a line's.
            is_open = any(sign in str(exc) for sign in ("EOF", "triple-quoted"))
            return _Statement(len(lines) - 1 if is_open else end, None, False)
    if last is not None and last.string == "?" and _HELP.search(_text(lines, at, last)):
        return _Statement(end, None, True)
    return _Statement(end, magic, False)


def _is_named(lines: list[str], at: int, percent: tokenize.TokenInfo) -> bool:
    after = lines[at + percent.start[0] - 1][percent.end[1] :].lstrip(_BLANK)
    return after[:1].isidentifier()


def _asks_for_help(lines: list[str]) -> bool:
    """Whether a line that begins as a magic is help for one: ``%time?``."""
    last = None
    try:
        for token in _tokens(lines, 0):
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                break
            last = token
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    if last is None or last.string != "?":
        return False
    return _HELP.search(_text(lines, 0, last)) is not None


def _text(lines: list[str], at: int, last: tokenize.TokenInfo) -> str:
    return "\n".join(lines[at : at + last.start[0]])


def _tokens(lines: list[str], at: int) -> Iterator[tokenize.TokenInfo]:
    rest = (f"{lines[number]}\n" for number in range(at, len(lines)))
    return tokenize.generate_tokens(rest.__next__)


def _is_automagic(line: str) -> bool:
    """Whether the only line of a cell is a magic without its sign: ``pip install x``."""
    words = line.split()
    if not words[0].isidentifier() or not rules.is_known(f"%{words[0]}"):
        return False
    if line.strip() in _BARE:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(line)
    except (SyntaxError, ValueError):
        return True
    return False
