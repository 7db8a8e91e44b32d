"""``fairing run``, and all that is done to a run afterwards."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from fairing_core import errors
from fairing_core.cli.entry import load_entry
from fairing_core.cli.options import as_json_option, pairs
from fairing_core.cli.output import run_fields, show_fields, show_rows
from fairing_core.interfaces import RunHandle
from fairing_core.types import RunStatus

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete(_context: object, _parameter: object, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from fairing_core.runs import list_runs

    return [CompletionItem(run.name) for run in list_runs() if run.name.startswith(incomplete)]


_run = click.argument("run", shell_complete=_complete)
_runs = click.argument("runs", nargs=-1, required=True, shell_complete=_complete)


@click.command("run")
@click.argument("entry", metavar="FILE[::FUNCTION]")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]")
@click.option("-b", "--backend", help="Where to run; by default FAIRING_BACKEND, else `local`.")
@click.option(
    "-o", "--option", "backend_options", multiple=True, callback=pairs, metavar="NAME=VALUE",
    help="A setting of the backend (`fairing backends` lists backends).",
)  # fmt: skip
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="PATH",
    help="A file, folder or glob that travels too.",
)  # fmt: skip
@click.option(
    "-e", "--env", "environment", multiple=True, callback=pairs, metavar="NAME=VALUE",
    help="An environment variable of the program.",
)  # fmt: skip
@click.option("--name", help="The run's name; by default made from the file's.")
@click.option("-d", "--detach", is_flag=True, help="Print the run's URI and leave it running.")
@as_json_option
def run_command(
    entry: str,
    arguments: tuple[str, ...],
    backend: str | None,
    backend_options: dict[str, str],
    inputs: tuple[str, ...],
    environment: dict[str, str],
    name: str | None,
    detach: bool,
    as_json: bool,
) -> int:
    """Runs a script, or a function of one, and shows its output.

    A script gets ARGS as its argv. A function gets them as arguments: NAME=VALUE by keyword,
    others by position, each read as JSON where it is JSON (3, true, [1, 2]) and as text where not.

    Ctrl-C detaches: the run goes on, and `fairing logs -f` comes back to it.

    \b
    Examples:
      fairing run train.py -- --epochs 3
      fairing run train.py::train -- epochs=3 rate=0.1
      fairing run train.py -i data/ -i '*.yaml' --backend local --detach

    Exit code: the run's (128 + n when signal n ended it; 130 after Ctrl-C).
    """
    from fairing_core import k8s_utils
    from fairing_core.jobs import TrainJob, inside_run
    from fairing_core.progress import Progress

    if inside_run():
        raise errors.Unsupported(
            "this is inside a run already (FAIRING_RUNTIME is set), where nothing is submitted; "
            "start the program itself, or unset FAIRING_RUNTIME to start a run of its own"
        )
    target, positional, keywords = load_entry(entry, arguments)
    job = TrainJob(
        target,
        input_files=inputs or None,
        backend=backend,
        backend_options=backend_options,
        pod_spec_mutators=[k8s_utils.add_env(environment)] if environment else None,
        args=positional,
        kwargs=keywords,
        name=name,
    )
    progress = Progress()
    handle = job.submit(plugins=[progress.plugin()])
    if detach:
        click.echo(json.dumps({"name": handle.name, "uri": handle.uri}) if as_json else handle.uri)
        return 0
    with _output_to_stderr() if as_json else contextlib.nullcontext():
        status = progress.follow(handle)
    value = _result(handle) if callable(target) and status is RunStatus.SUCCEEDED else None
    if as_json:
        show_fields({**run_fields(handle), "result": value}, as_json=True)
    elif value is not None:
        progress.say(f"returned {value!r}")
    return _exit_code(handle)


@click.command("ps")
@click.option("-b", "--backend", help="Whose runs; by default FAIRING_BACKEND, else `local`.")
@as_json_option
def ps_command(backend: str | None, as_json: bool) -> None:
    """Lists runs, newest first."""
    from fairing_core.runs import list_runs

    rows = []
    for run in list_runs(backend=backend):
        with contextlib.suppress(errors.RunNotFound):  # deleted since it was listed
            rows.append(run_fields(run))
    when = "age" if sys.stdout.isatty() else "started"
    show_rows(rows, ("name", "status", "exit_code", when, "took"), as_json=as_json)


@click.command("status")
@_run
@as_json_option
def status_command(run: str, as_json: bool) -> None:
    """Shows one run: RUN is its name or its URI."""
    show_fields(run_fields(_get(run)), as_json=as_json)


@click.command("logs")
@_run
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last so many lines.")
def logs_command(run: str, follow: bool, tail: int | None) -> None:
    """Prints a run's output."""
    for piece in _get(run).logs(follow, tail=tail):
        click.echo(piece, nl=False)


@click.command("wait")
@_run
@click.option("-t", "--timeout", type=click.FloatRange(0), help="Seconds; by default for ever.")
@as_json_option
def wait_command(run: str, timeout: float | None, as_json: bool) -> int:
    """Waits for a run's end.

    Exit code: the run's, or 124 when the time was over first.
    """
    handle = _get(run)
    status = handle.wait(timeout)
    if as_json:
        show_fields(run_fields(handle), as_json=True)
    else:
        click.echo(status)
    return _exit_code(handle)


@click.command("cancel")
@_runs
def cancel_command(runs: tuple[str, ...]) -> None:
    """Stops runs: SIGTERM, and SIGKILL for what does not heed it."""
    for handle in [_get(run) for run in runs]:
        handle.cancel()
        click.echo(f"{handle.name}\t{handle.status}")


@click.command("rm")
@_runs
@click.option("-f", "--force", is_flag=True, help="Stop those that still run.")
def rm_command(runs: tuple[str, ...], force: bool) -> None:
    """Deletes runs, with their output and results."""
    handles = [_get(run) for run in runs]
    active = [] if force else [run.name for run in handles if not run.status.is_terminal]
    if active:
        raise click.UsageError(
            f"still running: {', '.join(active)}; cancel them first, or delete with --force"
        )
    for handle in handles:
        handle.delete()
        click.echo(handle.name)


def _get(run: str) -> RunHandle:
    from fairing_core.runs import get_run

    return get_run(run)


def _exit_code(handle: RunHandle) -> int:
    if handle.status is RunStatus.SUCCEEDED:
        return 0
    return handle.outcome().exit_code or 1


def _result(handle: RunHandle) -> Any:
    """What the function returned, or a few words where it can't be shown."""
    try:
        return handle.result()
    except errors.ResultUnavailable as error:
        click.echo(f"fairing: {error}", err=True)
        return None


@contextlib.contextmanager
def _output_to_stderr() -> Iterator[None]:
    """The program's output goes to stderr, since stdout is for the JSON alone."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
