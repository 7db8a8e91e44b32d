"""The ``fairing`` command."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn, cast

from fairing_core import errors, log
from fairing_core.cli.command import Command, Parser, UsageError

_COMMANDS = {
    "run": "submit:run_command",
    "plan": "submit:plan_command",
    "ps": "runs:ps_command",
    "status": "runs:status_command",
    "describe": "runs:describe_command",
    "artifacts": "runs:artifacts_command",
    "timeline": "runs:timeline_command",
    "why": "runs:why_command",
    "logs": "runs:logs_command",
    "wait": "runs:wait_command",
    "cancel": "runs:cancel_command",
    "rm": "runs:rm_command",
    "build": "build:build_command",
    "doctor": "doctor:doctor_command",
    "clean": "clean:clean_command",
    "backends": "backends:backends_command",
    "plugins": "backends:plugins_command",
}
"""Where each command is; in the order that --help shows. Only the one that runs is imported."""

_MANY_OBJECTS = 100_000
_USAGE = "fairing [-v] COMMAND ..."
_EPILOG = """
Examples:
  fairing run train.py -- --epochs 3        a script, with its own arguments
  fairing run train.py::train -- epochs=3   a function, with its keyword arguments
  fairing run train.py --detach             prints the run's URI and leaves it running
  fairing logs -f train-x7k2m9qp            its output, until it ends
  fairing plan train.py > run.yaml          what it would send, and what stands in its way
  fairing ps                                what ran and what runs
  fairing why train-x7k2m9qp                what is wrong with it, and what to do next
  fairing build train.py -t HOST/train      an image of it, pushed; no Docker is needed
  fairing doctor -b onprem                  what keeps runs from that backend, and what to do

Exit code: the run's own for `run` and `wait`; otherwise 0, or the fault's own code, which
`python -m pydoc fairing_core.errors` lists.
"""


def program() -> NoReturn:
    """What the installed command calls: `main`, ended at once where nothing is left to be done."""
    try:
        main()
    except SystemExit as end:
        if threading.active_count() > 1 or not isinstance(end.code, int):
            raise
        # Taking the interpreter down takes some milliseconds, and all it does is free memory.
        atexit._run_exitfuncs()  # noqa: SLF001 - what else os._exit would leave undone
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(end.code)
    raise AssertionError("unreachable")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and ends the process with its exit code."""
    # Looking for cycles takes a tenth of a small build: imports make many objects and no garbage,
    # and at the end all goes at once.
    gc.set_threshold(_MANY_OBJECTS)
    try:
        with _streams():
            code = _code(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        code = 130
    gc.freeze()
    sys.exit(code)


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Streams that whoever started the command has closed (``fairing ps 2>&-``) lead nowhere."""
    closed = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    if not closed:
        yield
        return
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        for name in closed:
            setattr(sys, name, nowhere)
        try:
            yield
        finally:
            for name in closed:
                setattr(sys, name, None)


def _code(words: Sequence[str]) -> int:
    name, rest = _chosen(words)
    command = _load(name)
    parser = command.parser(name)
    try:
        code = command.run(command.given(parser, rest))
        sys.stdout.flush()
    except UsageError as error:
        parser.error(str(error))
    except BrokenPipeError:  # who reads our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except errors.FairingError as error:
        from fairing_core.progress import has_colours

        red, plain = ("\033[31m", "\033[0m") if has_colours(sys.stderr) else ("", "")
        print(f"{red}fairing: {error}{plain}", file=sys.stderr)
        return error.exit_code
    return code or 0


def _chosen(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The command's name and its own words; help, the version and faults end the process."""
    at = next((at for at, word in enumerate(words) if not word.startswith("-")), len(words))
    given = _options(words[:at] or (["--help"] if at == len(words) else []))
    log.before_first(lambda: _configure(given.verbose))
    if given.verbose:  # whatever others have to say, too
        _configure(given.verbose)
    if at == len(words):
        _refuse("name a command")
    if words[at] not in _COMMANDS:
        _refuse(f"there is no command {words[at]!r}{errors.near(words[at], _COMMANDS)}")
    return words[at], words[at + 1 :]


def _configure(verbose: int) -> None:
    import logging

    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="fairing: %(message)s", stream=sys.stderr)


def _refuse(fault: str) -> NoReturn:
    Parser(prog="fairing", usage=_USAGE).error(fault)


def _options(words: Sequence[str]) -> argparse.Namespace:
    if not words:
        return argparse.Namespace(verbose=0)
    parser = Parser(
        prog="fairing",
        usage=_USAGE,
        description="Runs Python functions, scripts and notebooks as jobs, here or on Kubernetes.",
        epilog="\n".join(["Commands:", *_summaries(), _EPILOG]),
    )
    parser.add_argument("--version", action="store_true", help="Show the version.")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="Say more; twice for everything."
    )
    given = parser.read(words)
    if given.version:
        from importlib.metadata import version

        print(f"fairing, version {version('fairing-core')}")
        sys.exit(0)
    return given


def _summaries() -> list[str]:
    return [f"  {name:<10}{_load(name).summary()}" for name in _COMMANDS]


def _load(name: str) -> Command:
    module, _, command = _COMMANDS[name].partition(":")
    found = getattr(importlib.import_module(f"fairing_core.cli.{module}"), command)
    return cast(Command, found)
