"""How a command is declared: a function, its arguments, and its docstring as its help.

By argparse, since a command's start is felt at every edit, and it takes a fifth of other ways.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from fairing_core import errors

REST = "rest"
"""The argument of a command that takes all words after ``--`` as they are."""


class UsageError(Exception):
    """The words of the command line don't go together; ends with exit code 2."""


class Argument(NamedTuple):
    """What `argparse.ArgumentParser.add_argument` is told."""

    names: tuple[str, ...]
    options: dict[str, Any]


def argument(*names: str, **options: Any) -> Argument:
    """One argument, as `argparse.ArgumentParser.add_argument` takes it."""
    return Argument(names, options)


class Command(NamedTuple):
    """A command: `run` gets what was given and answers the exit code, None for 0."""

    run: Callable[[argparse.Namespace], int | None]
    arguments: tuple[Argument, ...]
    has_rest: bool

    def summary(self) -> str:
        """The first line of its help."""
        return (self.run.__doc__ or "").partition("\n")[0]

    def parser(self, name: str) -> Parser:
        """What reads its words."""
        description = _dedented(self.run.__doc__ or "")
        parser = Parser(prog=f"fairing {name}", description=description)
        for one in self.arguments:
            parser.add_argument(*one.names, **one.options)
        return parser

    def given(self, parser: Parser, words: Sequence[str]) -> argparse.Namespace:
        """What the words say; ends the process where they say nothing, or ask for help."""
        rest: Sequence[str] = ()
        if self.has_rest and "--" in words:
            at = list(words).index("--")
            words, rest = words[:at], words[at + 1 :]
        found = parser.read(words)
        if self.has_rest:
            setattr(found, REST, (*getattr(found, REST), *rest))
        return found


def command(
    *arguments: Argument,
) -> Callable[[Callable[[argparse.Namespace], int | None]], Command]:
    """Makes a command of a function."""
    has_rest = any(one.names == (REST,) for one in arguments)

    def declared(run: Callable[[argparse.Namespace], int | None]) -> Command:
        return Command(run, arguments, has_rest)

    return declared


class Parser(argparse.ArgumentParser):
    """Takes options before, between and after other words, by their whole names."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_unasked, allow_abbrev=False, **options)

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """What the words say."""
        found, unknown = self.parse_known_intermixed_args(list(words))
        if unknown:
            word = unknown[0].partition("=")[0]
            if word in ("-v", "-vv", "--verbose"):
                program, _, name = self.prog.partition(" ")
                self.error(f"{word} comes before the command: {program} {word} {name}")
            known = [name for action in self._actions for name in action.option_strings]
            hint = errors.near(word, known) if word.startswith("-") else ""
            has_rest = any(action.dest == REST for action in self._actions)
            own = " (the program's own options come after '--')" if has_rest else ""
            self.error(f"there is no {unknown[0]!r} here{own}{hint}")
        return found

    def format_help(self) -> str:
        """The help, as wide as the terminal is."""
        self.formatter_class = argparse.RawDescriptionHelpFormatter
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2, and names the way to the help."""
        self.exit(2, f"{self.format_usage()}{self.prog}: {message} (see {self.prog} --help)\n")


def _unasked(prog: str) -> argparse.HelpFormatter:
    """What argparse checks each argument with: it need not import shutil for the width."""
    return argparse.RawDescriptionHelpFormatter(prog, width=80)


class Pairs(argparse.Action):
    """``NAME=VALUE`` words as a mapping; given again, the later value of a name wins."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Adds one."""
        name, equals, rest = values.partition("=")
        if not name or not equals:
            raise argparse.ArgumentError(self, f"{values!r} is no NAME=VALUE")
        setattr(namespace, self.dest, {**getattr(namespace, self.dest), name: rest})


def pairs(*names: str, **options: Any) -> Argument:
    """An option of ``NAME=VALUE`` words, given any number of times."""
    return argument(*names, action=Pairs, default={}, metavar="NAME=VALUE", **options)


def seconds(text: str) -> float:
    """What an option that is a time says; for argparse, which tells of a ValueError."""
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text} must be 0 or more seconds")
    return number


as_json = argument("--json", dest="as_json", action="store_true", help="Print JSON.")


def _dedented(text: str) -> str:
    """A docstring without the margin of its function."""
    first, _, more = text.partition("\n")
    lines = [line.removeprefix("    ") for line in more.splitlines()]
    return "\n".join([first, *lines]).rstrip()
