"""Why a program failed, from its exit code, its exception and its last lines."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Sequence
from pathlib import Path

from fairing_core.types import Diagnosis, Outcome

_KILLED = 128  # plus the signal's number, as shells say it (POSIX, 2.8.2)
_LAST = 20  # lines of a log that are shown

_MODULE = re.compile(r"No module named '([^']+)'")
_FILE = re.compile(r"\[Errno 2\] No such file or directory: '([^']+)'")
_READ_ONLY = re.compile(r"\[Errno (?:13|30)\] (?:Permission denied|Read-only file system): '(.+)'")
_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")


def of_program(name: str, outcome: Outcome) -> Diagnosis:
    """What the end of a failed program says.

    Args:
        name: the run's.
        outcome: how it ended.
    """
    lines = tuple(outcome.tail.rstrip().splitlines()[-_LAST:])
    raised = json.loads(outcome.record or b"{}").get("raised")
    if raised:
        said = f"{raised['type']}: {raised['message']}".removeprefix("builtins.")
        traceback = tuple(raised["traceback"].rstrip().splitlines())
        return _of_exception(said, traceback) or Diagnosis("exception", said, evidence=traceback)
    logs = f"fairing logs {name}"
    if outcome.reason is not None:
        return Diagnosis("ended", outcome.reason, evidence=_log(lines), next=logs)
    code = outcome.exit_code
    if code == 1 and (found := _of_exception(_last_words(lines), _log(lines))):
        return found
    if lines and re.fullmatch(r"exec .*: exec format error", lines[-1]):
        return wrong_machine(lines[-1])
    return Diagnosis("exit-code", _ending(code), evidence=_log(lines), next=logs)


def wrong_machine(*evidence: str) -> Diagnosis:
    """The program is for another processor, or no program."""
    return Diagnosis(
        "exec-format",
        "the command is no program for the node's processor (exec format error)",
        evidence=evidence,
        next="take a base image for the nodes' platform (fairing plan shows both), and check that "
        "a script which is run by itself begins with #!",
    )


def _log(lines: Sequence[str]) -> tuple[str, ...]:
    return ("the end of its log:", *lines) if lines else ()


def _ending(code: int | None) -> str:
    if code is None:
        return "it ended, and nobody saw its exit code"
    if code > _KILLED:
        try:
            return f"exit code {code}: signal {signal.Signals(code - _KILLED).name} ended it"
        except ValueError:
            pass
    return f"exit code {code}"


def _last_words(lines: Sequence[str]) -> str:
    """The exception that ended a Python program, if its traceback is the end of its log."""
    for line in reversed(lines):
        if re.match(r"[A-Za-z_][\w.]*(Error|Exception): ", line):
            return line
        if line.startswith(("  File ", "Traceback ")):
            break
    return ""


def _of_exception(said: str, evidence: tuple[str, ...]) -> Diagnosis | None:
    """The exceptions that what travelled, or what the image has, would cure."""
    kind, _, message = said.partition(": ")
    if kind == "ModuleNotFoundError" and (found := _MODULE.match(message)):
        return Diagnosis("import", said, evidence=evidence, next=_module_cure(found[1]))
    if kind in ("ImportError", "OSError") and (found := _LIBRARY.search(message)):
        cure = f"take a base image that has the system's library {found[1]} (base_docker_image=)"
        return Diagnosis("import", said, evidence=evidence, next=cure)
    if kind == "FileNotFoundError" and (found := _FILE.match(message)):
        return Diagnosis("missing-file", said, evidence=evidence, next=_file_cure(found[1]))
    if kind in ("PermissionError", "OSError") and (found := _READ_ONLY.match(message)):
        cure = f"write below /tmp, or mount a volume where {found[1]!r} is (volumes=)"
        return Diagnosis("not-writable", said, evidence=evidence, next=cure)
    return None


def _module_cure(module: str) -> str:
    """The requirement, where this Python knows whose module it is, else both that it may be."""
    from importlib import metadata

    top = module.partition(".")[0]
    place = "in its base image (base_docker_image=), or, for the backend local, in this Python"
    if names := metadata.packages_distributions().get(top):
        return f"put {names[0]}=={metadata.version(names[0])} {place}"
    own = [path for path in (f"{top}.py", top) if Path(path).exists()]
    if own:
        return _let_travel(own[0])
    return f"if {top} is a package, put it {place}; if it is a file of yours, " + _let_travel(
        f"{top}.py"
    )


def _file_cure(path: str) -> str:
    if not path.startswith("/"):
        return f"{_let_travel(path)}; if the program writes it, make its folder first"
    if Path(path).exists():
        return f"let it travel: output_map={{{path!r}: {path!r}}}, or mount a volume (volumes=)"
    return f"name it relative to the program and {_let_travel('PATH')}, or mount a volume"


def _let_travel(path: str) -> str:
    return f"let it travel: input_files=[{path!r}], or fairing run -i {path}"
