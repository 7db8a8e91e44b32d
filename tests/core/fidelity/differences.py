"""What is known not to be equal, and why: the one list, which docs/fidelity.md shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tests.core.fidelity.scenarios import Kind, Scenario, Seen

Column = Literal["local", "docker", "pod"]
COLUMNS: tuple[Column, ...] = ("local", "docker", "pod")


@dataclass(frozen=True)
class Difference:
    """A row, or ``ROW: CASE``, that is not as in process; each column and kind has to differ."""

    rows: tuple[str, ...]
    columns: tuple[Column, ...]
    there: str
    """What is so there, and why: for users."""
    kinds: tuple[Kind, ...] = ("script", "function", "notebook")
    is_steady: bool = True
    """Whether it is seen each time."""


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        ("environment: `FAIRING_*`",),
        ("local", "pod"),
        "`FAIRING_RUNTIME=1` says that it is a run. `docker run` sets nothing, so a program that "
        "asks for it has to be given it: `docker run -e FAIRING_RUNTIME=1`.",
    ),
    Difference(
        ("environment: the submitter's own",),
        ("docker", "pod"),
        "A container has the image's variables, those that were given, and in a pod those that "
        "Kubernetes sets for services. `local` hands the submitter's on.",
    ),
    Difference(
        ("streams: standard output is buffered",),
        ("local", "pod"),
        "`PYTHONUNBUFFERED=1` is set, unless given otherwise: else a log would come late, and its "
        "end would be lost with a program that is killed.",
    ),
    Difference(
        ("streams: the two, apart",),
        ("local", "pod"),
        "A run has one log, with both streams in it. `docker logs` has them apart.",
        ("script",),
    ),
    Difference(
        ("streams: order between the two, written at once",),
        ("docker", "pod"),
        "Each stream is in order. What goes to the other one at the same time may come before or "
        "after, or between two parts of a line of more than 16 KiB: engine and node read two "
        "pipes. A moment apart, the order is kept.",
        ("script",),
        is_steady=False,
    ),
    Difference(
        ("exit status: not process 1",),
        ("docker",),
        "The program is the container's first process. In a pod it runs under one "
        "([what a run leaves behind](clusters.md#what-a-run-leaves-behind)).",
    ),
    Difference(
        (
            "exit status: SIGKILL to itself",
            "exit status: SIGSEGV to itself",
        ),
        ("docker",),
        "Linux spares a container's first process the signals that it sends itself, so the "
        "program goes on. With `docker run --init` it is not the first one.",
    ),
    Difference(
        ("exit status: `os.abort`",),
        ("docker",),
        "139, not 134: `abort` of a first process is spared its SIGABRT, and ends by SIGSEGV.",
    ),
    Difference(
        ("exit status: SIGTERM to itself", "exit status: asked to end (SIGTERM)"),
        ("docker",),
        "Likewise: it goes on after its own SIGTERM, and after that of `docker stop`, which kills "
        "it after the grace period: 137, not 143. A function ends: its shim has a handler.",
        ("script", "notebook"),
    ),
    Difference(
        ("exit status: SIGTERM to itself, started by another program",),
        ("docker", "pod"),
        "As above. In a pod it is so for programs that are not given to Python directly "
        '(`command=["env", "python"]`, a shell script), unless the run has outputs.',
        ("script",),
    ),
)


def compared(column: Column, scenario: Scenario, reference: Seen, found: Seen) -> list[str]:
    """What differs and is not listed, and what is listed and does not differ."""
    here, there = scenario.told(reference), scenario.told(found)
    faults = []
    for row, told in here.items():
        known = listed(column, scenario.kind, row)
        if told != there[row] and known is None:
            faults.append(f"{scenario.name}: {row}: {_shown(told)}, but {_shown(there[row])}")
        elif told == there[row] and known is not None and known.is_steady:
            faults.append(f"{scenario.name}: {row}: equal, though a difference is listed")
    return faults


def listed(column: Column, kind: Kind, row: str) -> Difference | None:
    """The difference that is known of a row there."""
    for one in DIFFERENCES:
        if column in one.columns and kind in one.kinds and row in one.rows:
            return one
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 600 else f"{text[:300]} [...] {text[-300:]}"
