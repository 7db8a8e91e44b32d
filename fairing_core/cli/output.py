"""Tables in a terminal, tab-separated lines in a pipe, JSON where it is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fairing_core.interfaces import RunHandle
from fairing_core.progress import has_colours
from fairing_core.types import Diagnosis, RunStatus, Step

_STYLES = {
    "running": "cyan",
    "pending": "cyan",
    "succeeded": "green",
    "ok": "green",
    "FAIL": "red",
    "?": "yellow",
    "failed": "red",
    "cancelled": "yellow",
    "blocked": "yellow",
    "not ready": "yellow",
}
_CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36}


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """The rows: all fields in JSON, else the named columns."""
    if as_json:
        print(json.dumps(list(rows), indent=2))
    elif sys.stdout.isatty():
        _show_table(rows, columns)
    else:
        for row in rows:
            print("\t".join(_cell(row.get(column)) for column in columns))


def show_fields(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing: a line a field."""
    if as_json:
        print(json.dumps(fields, indent=2))
        return
    for key, value in fields.items():
        if value is None:
            continue
        if sys.stdout.isatty():
            code = _CODES.get(_STYLES.get(str(value), "")) if has_colours(sys.stdout) else None
            shown = f"\033[{code}m{_cell(value)}\033[0m" if code else _cell(value)
            print(f"{key:<12}{shown}")
        else:
            print(f"{key}\t{_cell(value)}")


def exit_code(handle: RunHandle) -> int:
    """What a command ends with that has seen the run end."""
    if handle.status is RunStatus.SUCCEEDED:
        return 0
    return handle.outcome().exit_code or 1


def show_diagnosis(what: str, found: Diagnosis) -> None:
    """What is wrong with `what`, as text; the cause and the next step stand out in a terminal."""
    text = f"{what}: {found}"
    if has_colours(sys.stdout):
        text = text.replace(found.cause, f"\033[31m{found.cause}\033[0m", 1)
        before, _, step = text.rpartition("\nnext: ")
        text = f"{before}\n\033[1mnext:\033[0m {step}" if before else text
    print(text)


def show_report(text: str) -> None:
    """A plan's report, on stderr; what stands in the way is red in a terminal."""
    colours = {"ok": 32, "FAIL": 31, "?": 33}
    for line in text.splitlines():
        mark = line.split(maxsplit=1)[0] if line.strip() else ""
        if has_colours(sys.stderr) and line.startswith("  ") and mark in colours:
            line = line.replace(mark, f"\033[{colours[mark]}m{mark}\033[0m", 1)
        print(line, file=sys.stderr)


def run_fields(handle: RunHandle) -> dict[str, Any]:
    """What is shown of a run."""
    seen = handle.snapshot()
    status, started, ended = seen.status, seen.started, seen.ended
    return {
        "name": handle.name,
        "status": str(status),
        "exit_code": seen.exit_code,
        "reason": seen.reason,
        "started": started.isoformat(timespec="seconds") if started else None,
        "ended": ended.isoformat(timespec="seconds") if ended else None,
        "age": None if started is None else _short(_since(started)),
        "took": _took(started, ended, status),
        "uri": handle.uri,
    }


def step_rows(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """What is shown of a run's steps; `at` counts from the first one."""
    first = min((step.began for step in steps), default=0.0)
    return [
        {
            "step": step.name,
            "at": f"+{step.began - first:.2f}s",
            "took": "..." if step.seconds is None else f"{step.seconds:.2f}s",
            "began": datetime.fromtimestamp(step.began, UTC).isoformat(timespec="milliseconds"),
            "seconds": step.seconds,
            "source": step.source,
        }
        for step in steps
    ]


def _took(started: datetime | None, ended: datetime | None, status: RunStatus) -> str | None:
    if started is None or (ended is None and status.is_terminal):
        return None
    seconds = (ended - started).total_seconds() if ended else _since(started)
    return f"{seconds:.1f}s" if seconds < 60 else _short(seconds)


def _since(moment: datetime) -> float:
    """Seconds; none where a cluster's clock is ahead of this one."""
    return max(0.0, (datetime.now(UTC) - moment).total_seconds())


def _short(seconds: float) -> str:
    """As kubectl tells ages: ``42s``, ``3m05s``, ``2h10m``, ``6d``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.upper().replace("_", " "), overflow="fold")
    for row in rows:
        cells = [_cell(row.get(column)) for column in columns]
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in cells))
    # Said, for older versions of rich take an empty NO_COLOR for one that is set.
    Console(no_color=not has_colours(sys.stdout)).print(table)


def _cell(value: Any) -> str:
    return "" if value is None else str(value)
