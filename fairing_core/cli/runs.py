"""What is done to a run once it is submitted."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fairing_core import errors
from fairing_core.cli.command import UsageError, argument, as_json, command, pairs, seconds
from fairing_core.cli.output import (
    exit_code,
    run_fields,
    show_diagnosis,
    show_fields,
    show_rows,
    step_rows,
)
from fairing_core.interfaces import RunHandle
from fairing_core.types import Artifact
from fairing_core.values import plain

_run = argument("run", metavar="RUN", help="Its name or its URI.")
_runs = argument("runs", nargs="+", metavar="RUN", help="Their names or URIs.")
_backend = argument("-b", "--backend", help="Whose runs (default: the one that runs go to; a "
                    "URI names its own).")  # fmt: skip
_options = pairs("-o", "--option", dest="backend_options", help="A setting of the backend "
                 "(namespace=lab).")  # fmt: skip


@command(_backend, _options, as_json)
def ps_command(given: Namespace) -> None:
    """Lists runs, newest first."""
    from fairing_core.runs import list_runs

    rows = []
    for run in list_runs(backend=given.backend, backend_options=given.backend_options):
        with contextlib.suppress(errors.RunNotFound):  # deleted since it was listed
            rows.append(run_fields(run))
    when = "age" if sys.stdout.isatty() else "started"
    show_rows(rows, ("name", "status", "exit_code", when, "took"), as_json=given.as_json)


@command(_run, _backend, _options, as_json)
def status_command(given: Namespace) -> None:
    """Shows one run: RUN is its name or its URI."""
    show_fields(run_fields(_get(given, given.run)), as_json=given.as_json)


@command(_run, _backend, _options, as_json)
def describe_command(given: Namespace) -> None:
    """Shows one run, and what happened to it."""
    handle = _get(given, given.run)
    events = [
        {
            "time": datetime.fromtimestamp(event.time, UTC).isoformat(timespec="seconds"),
            "at": datetime.fromtimestamp(event.time).astimezone().strftime("%H:%M:%S"),
            "event": event.name,
            **event.fields,
        }
        for event in handle.events()
    ]
    fields = {**run_fields(handle), "url": handle.url}
    if given.as_json:
        steps = step_rows(handle.timeline())
        show_fields({**fields, "timeline": steps, "events": events}, as_json=True)
        return
    show_fields(fields, as_json=False)
    if events:
        print()
        narrow = ("at", "event", "message")
        columns = narrow if sys.stdout.isatty() else ("time", "event", "object", "message")
        show_rows(events, columns, as_json=False)


@command(
    _run,
    _backend,
    _options,
    argument("-t", "--timeout", type=seconds, metavar="SECONDS", help="How long to wait for the "
             "run's end; by default for ever."),
    argument("--get", nargs="?", const="", metavar="FOLDER", help="Copy them to FOLDER (default: "
             "one here, of the run's name)."),
    as_json,
)  # fmt: skip
def artifacts_command(given: Namespace) -> None:
    """Lists the files that a run left behind, and with --get copies them.

    They are what the run was asked to keep (`fairing run --output PATH`, outputs= in Python), as it
    was when the program ended. A run that goes on is waited for.

    Examples:
      fairing artifacts train-x7k2m9qp
      fairing artifacts train-x7k2m9qp --get models/
    """
    from fairing_core.progress import Progress

    handle = _get(given, given.run)
    handle.report = Progress().step
    found = handle.artifacts(given.timeout)
    if given.get is not None:
        copied(found, Path(given.get or handle.name))
    if not found:
        print(f"{handle.name} left nothing behind that it was asked to keep", file=sys.stderr)
    rows = [
        {"path": one.path, "size": one.size, "digest": one.digest, "content": str(one.content)}
        for one in found
    ]
    show_rows(rows, ("path", "size", "digest"), as_json=given.as_json)


@command(_run, _backend, _options, as_json)
def timeline_command(given: Namespace) -> None:
    """Shows when each step of a run was, and what it took.

    From packaging to the program's end: by this machine's clock up to the submit, then by the
    cluster's, whose times are whole seconds but for pulls and log lines. Steps may overlap.
    """
    steps = _get(given, given.run).timeline()
    rows = step_rows(steps)
    show_rows(rows, ("step", "at", "took", "source"), as_json=given.as_json)


@command(_run, _backend, _options, as_json)
def why_command(given: Namespace) -> None:
    """Says why a run does not go well: one cause, what shows it, and what to do next."""
    handle = _get(given, given.run)
    found = handle.why()
    fields = {"name": handle.name, "status": str(handle.status)}
    if given.as_json:
        told = None if found is None else plain(found)
        show_fields({**fields, "diagnosis": told}, as_json=True)
    elif found is None:
        print(f"{handle.name} {handle.status}: nothing is wrong that can be seen from here")
    else:
        show_diagnosis(f"{handle.name} {handle.status}", found)


@command(
    _run,
    _backend,
    _options,
    argument("-f", "--follow", action="store_true", help="Go on until the run ends."),
    argument("-n", "--tail", type=int, metavar="LINES", help="Only the last so many lines."),
)
def logs_command(given: Namespace) -> None:
    """Prints a run's output."""
    if given.tail is not None and given.tail < 0:
        raise UsageError(f"--tail {given.tail} must be 0 or more lines")
    for piece in _get(given, given.run).logs(given.follow, tail=given.tail):
        sys.stdout.write(piece)
        sys.stdout.flush()


@command(
    _run,
    _backend,
    _options,
    argument("-t", "--timeout", type=seconds, metavar="SECONDS", help="By default for ever."),
    as_json,
)
def wait_command(given: Namespace) -> int:
    """Waits for a run's end.

    Exit code: the run's, or 124 when the time was over first.
    """
    handle = _get(given, given.run)
    status = handle.wait(given.timeout)
    if given.as_json:
        show_fields(run_fields(handle), as_json=True)
    else:
        print(status)
    return exit_code(handle)


@command(_runs, _backend, _options)
def cancel_command(given: Namespace) -> None:
    """Stops runs: SIGTERM, and SIGKILL for what does not heed it."""
    for handle in [_get(given, run) for run in given.runs]:
        handle.cancel()
        print(f"{handle.name}\t{handle.status}")


@command(
    _runs,
    _backend,
    _options,
    argument("-f", "--force", action="store_true", help="Stop those that still run."),
)
def rm_command(given: Namespace) -> None:
    """Deletes runs, with their output and results."""
    handles = [_get(given, run) for run in given.runs]
    active = [] if given.force else [run.name for run in handles if not run.status.is_terminal]
    if active:
        raise UsageError(
            f"still running: {', '.join(active)}; cancel them first, or delete with --force"
        )
    for handle in handles:
        handle.delete()
        print(handle.name)


def copied(artifacts: Sequence[Artifact], folder: Path) -> None:
    """Puts the files into a folder, each whole or not at all; none is replaced by another one.

    Raises:
        InputError: a file is there already, and is another one.
        StateError: it can't be written.
    """
    import filecmp
    import shutil

    fresh = []
    for one in artifacts:
        place = folder / one.path
        if not place.exists():
            fresh.append((one, place))
        elif not filecmp.cmp(one.content, place, shallow=False):
            raise errors.InputError(
                f"{place} is there already, and is another file; name another folder: --get FOLDER"
            )
    try:
        for one, place in fresh:
            place.parent.mkdir(parents=True, exist_ok=True)
            unfinished = place.with_name(f"{place.name}.part")
            shutil.copyfile(one.content, unfinished)
            unfinished.replace(place)
    except OSError as exc:
        raise errors.StateError(f"{exc.filename} can't be written: {exc.strerror}") from exc


def _get(given: Namespace, run: str) -> RunHandle:
    from fairing_core.runs import get_run

    return get_run(run, backend=given.backend, backend_options=given.backend_options)
