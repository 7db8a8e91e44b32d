"""Where a scenario is run: each column gives what was seen of it."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairing_core import TrainJob
from fairing_core.interfaces import Preprocessor, RunHandle
from fairing_core.preprocess.function import FunctionPreprocessor
from fairing_core.preprocess.notebook import NotebookPreprocessor
from fairing_core.preprocess.python import PythonPreprocessor
from fairing_core.types import Source
from tests.core.fidelity.scenarios import Scenario, Seen

SECONDS = 90.0
SUBMITTERS_OWN = "SUBMITTERS_OWN"

# Calls a function as a program of the user's would; of what it raises, its own frame is left out.
_CALLER = """
import json, sys, traceback
import work
name, place = sys.argv[1:]
with open(place, encoding="utf-8") as file:
    args, kwargs = eval(file.read())
def keep(**told):
    with open(place, "w", encoding="utf-8") as file:
        json.dump(told, file)
keep()
try:
    value = getattr(work, name)(*args, **kwargs)
except Exception as exc:
    exc.__traceback__ = exc.__traceback__.tb_next
    text = "".join(traceback.format_exception(exc))
    keep(raised={"type": type(exc).__qualname__, "message": str(exc), "traceback": text})
    sys.excepthook(type(exc), exc, exc.__traceback__)
    sys.exit(1)
keep(value=repr(value))
"""

# Runs cells as a kernel does, each under the name that its user knows it by.
_KERNEL = """
import json, linecache, sys, traceback
with open(sys.argv[1], encoding="utf-8") as file:
    cells = json.load(file)["cells"]
space = {"__name__": "__main__"}
for number, cell in enumerate(cells, 1):
    name, source = f"lab.ipynb, cell {number}", cell["source"]
    linecache.cache[name] = len(source), None, source.splitlines(True), name
    try:
        exec(compile(source, name, "exec"), space)
    except Exception as exc:
        exc.__traceback__ = exc.__traceback__.tb_next
        traceback.print_exception(exc)
        sys.exit(1)
"""


def surroundings() -> dict[str, str]:
    """The environment that programs are submitted from, as a plain image's is."""
    path = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return {**path, "LANG": "C.UTF-8", SUBMITTERS_OWN: "x", "T_PLAIN": "the submitter's"}


@contextmanager
def imported(project: Path) -> Iterator[Any]:
    """The project's module ``work``, as a user's program or notebook has it."""
    sys.path.insert(0, str(project))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        yield importlib.import_module("work")
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(project))
        for name in ("work", "fails", "latin", "probe"):
            sys.modules.pop(name, None)


# --- in process -----------------------------------------------------------------------------------


def in_process(scenario: Scenario, project: Path) -> Seen:
    """The reference: the program as its user runs it, in the project's folder."""
    record = project / ".record"
    is_function = scenario.kind == "function"
    if is_function:
        record.write_text(repr((scenario.args, dict(scenario.kwargs))), encoding="utf-8")
        words = [sys.executable, "-c", _CALLER, scenario.entry, str(record)]
    elif scenario.kind == "notebook":
        words = [sys.executable, "-c", _KERNEL, str(project / scenario.entry)]
    else:
        command = [sys.executable if word == "python" else word for word in scenario.command]
        words = [*command, str(project / scenario.entry), *scenario.args]
    environment = {**surroundings(), **scenario.env, "PYTHONDONTWRITEBYTECODE": "1"}
    started = subprocess.Popen(
        words,
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if scenario.is_apart else subprocess.STDOUT,
    )
    begun = b""
    if scenario.is_stopped:
        assert started.stdout
        begun = started.stdout.readline()
        started.send_signal(signal.SIGTERM)
    out, err = started.communicate(timeout=SECONDS)
    code = started.returncode
    texts = [
        relative(text.decode("utf-8", "replace"), project) for text in (begun + out, err or b"")
    ]
    return Seen(
        code if code >= 0 else 128 - code,
        texts[0],
        (texts[0], texts[1]) if scenario.is_apart else None,
        json.loads(relative(record.read_text("utf-8"), project)) if is_function else {},
    )


def relative(text: str, folder: Path | str) -> str:
    """`text`, with the paths of the project's files relative to it."""
    return text.replace(f"{folder}/", "")


# --- as a run -------------------------------------------------------------------------------------


def packer(scenario: Scenario) -> Preprocessor:
    """What packages it."""
    if scenario.kind == "function":
        return FunctionPreprocessor(input_files=["data"])
    if scenario.kind == "notebook":
        return NotebookPreprocessor(input_files=["data"])
    return PythonPreprocessor(input_files=["data"], command=scenario.command)


def source(scenario: Scenario, project: Path, work: Any) -> Source:
    """What is submitted of it."""
    if scenario.kind == "function":
        target = getattr(work, scenario.entry)
        return Source("function", target, args=scenario.args, kwargs=scenario.kwargs)
    return Source(scenario.kind, project / scenario.entry, args=scenario.args)


def submitted(scenario: Scenario, project: Path, work: Any, **where: Any) -> RunHandle:
    """Its run on a backend."""
    told = source(scenario, project, work)
    assert told.target is not None
    options = {"env": scenario.env, **where.pop("deployer_options", {})}
    return TrainJob(
        told.target,
        args=told.args,
        kwargs=told.kwargs,
        preprocessor=packer(scenario),
        deployer_options=options,
        **where,
    ).submit()


def seen(scenario: Scenario, run: RunHandle, folder: Path | str) -> Seen:
    """What a run did, by its handle alone; `folder` is where its code is."""
    if scenario.is_stopped:
        deadline = time.monotonic() + SECONDS
        while "begins" not in "".join(run.logs()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        run.cancel()
    failed = run.exception(SECONDS)
    record: dict[str, Any] = {}
    if scenario.kind == "function" and failed is None:
        record["value"] = repr(run.result(unpickle=True))
    elif failed is not None and failed.type is not None:
        fields = {"type": failed.type, "message": failed.text}
        traced = relative(failed.traceback or "", folder)
        record["raised"] = {**fields, "traceback": traced}
    log = relative("".join(run.logs()), folder)
    return Seen(run.outcome().exit_code, log, record=record)
