"""How a run shows itself to a person: a line, and a page of it for notebooks.

Nothing is raised, and nobody waits for long: what can't be had within seconds is left out.
"""

from __future__ import annotations

import contextlib
import html as markup
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from fairing_core import errors
from fairing_core.types import RunStatus, Step

if TYPE_CHECKING:
    from fairing_core.interfaces import RunHandle

_T = TypeVar("_T")

_PATIENCE = 2.0  # seconds
_LINES = 10  # of the log
_LONGEST = 2000  # characters of them
_WORTH = 0.05  # seconds below which a step is not worth a word in a line
# As a terminal's: seen on light and on dark.
_COLOURS: Mapping[str, str] = {
    RunStatus.SUCCEEDED: "#2e9e44",
    RunStatus.FAILED: "#d9534f",
    RunStatus.CANCELLED: "#c79100",
}


def text(run: RunHandle) -> str:
    """One line: what it is, where it is, and what its steps took."""
    status, steps = _within(_PATIENCE, lambda: _looked_at(run)) or _UNKNOWN
    took = ", ".join(
        f"{step.name} {step.seconds:.1f} s" for step in steps if (step.seconds or 0.0) >= _WORTH
    )
    return f"<{type(run).__name__} {run.name} {status}{took and f' ({took})'} {run.uri}>"


def html(run: RunHandle) -> str:
    """The same with its image, each step, why it does not go well, and the end of its log."""
    found = _within(_PATIENCE, lambda: _page(run)) or {"status": _UNKNOWN[0]}
    rows = {"run": run.name, **found, "uri": run.uri}
    log = rows.pop("log", "")
    cells = "".join(
        f"<tr><th style='text-align:left'>{key}</th><td style='text-align:left'>{_cell(value)}</td>"
        "</tr>"
        for key, value in rows.items()
        if value
    )
    tail = f"<pre>{markup.escape(log)}</pre>" if log else ""
    return f"<table>{cells}</table>{tail}"


def _page(run: RunHandle) -> dict[str, str]:
    status, steps = _looked_at(run)
    found = {"status": status, "image": "", "steps": _shown(steps), "why": "", "log": ""}
    if not isinstance(status, RunStatus):
        return found
    parts: dict[str, Callable[[], str]] = {
        "image": lambda: run.image or "",
        "why": lambda: str(run.why() or ""),
        "log": lambda: "".join(run.logs(tail=_LINES))[-_LONGEST:],
    }
    for name, ask in parts.items():
        with contextlib.suppress(Exception):  # a page lacks it, whatever that was
            found[name] = ask()
    return found


_UNKNOWN: tuple[str, Sequence[Step]] = (f"unknown: no answer within {_PATIENCE:g} s", ())


def _looked_at(run: RunHandle) -> tuple[str, Sequence[Step]]:
    try:
        status: str = run.status
        return status, run.timeline()
    except errors.RunNotFound:
        return "deleted", ()
    except errors.FairingError as error:
        return f"unknown: {type(error).__name__}", ()


def _shown(steps: Sequence[Step]) -> str:
    """Each step, when it began and what it took; of one that goes on, only the former."""
    lines = []
    for step in steps:
        began = datetime.fromtimestamp(step.began, UTC).astimezone().strftime("%H:%M:%S")
        took = "..." if step.seconds is None else f"{step.seconds:.1f} s"
        lines.append(f"{began} {step.name} {took}")
    return "\n".join(lines)


def _cell(value: str) -> str:
    shown = markup.escape(value).replace("\n", "<br>")
    colour = _COLOURS.get(value)
    return f"<b style='color:{colour}'>{shown}</b>" if colour else shown


def _within(seconds: float, ask: Callable[[], _T]) -> _T | None:
    """The answer, where it comes in time; whoever gives it later is not waited for."""
    answers: list[_T] = []

    def run() -> None:
        with contextlib.suppress(Exception):  # as no answer
            answers.append(ask())

    thread = threading.Thread(target=run, name="showing", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
