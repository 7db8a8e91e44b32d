"""What one part of the bench is. `parts.py` is the table of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.bench import Bench
from tests.bench.binaries import Binary


def end_processes(bench: Bench, name: str) -> None:
    """Ends the processes that `name` started, the last one first."""
    bench.processes.end_all(name)


def no_environment(bench: Bench) -> Mapping[str, str]:
    """A part that nobody needs a variable for."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part: where it comes from, how it starts, how its readiness is asked.

    `start`, `ready` and `stop` are called with the bench and the part's own name, so that variants
    share functions. They may run in a thread beside those of other parts.
    """

    name: str
    about: str
    """One line for `status`."""
    start: Callable[[Bench, str], None]
    """Starts it and returns; needs are ready by then. Processes by `bench.processes.start`."""
    ready: Callable[[Bench, str], str | None]
    """None once it answers, else what it is waiting for; asked again and again, so quick."""
    stop: Callable[[Bench, str], None] = end_processes
    """Takes away all that `start` made: also after a crash, and also twice.

    Mounts and files below the state folder need no care: `down` takes them away itself.
    """
    environment: Callable[[Bench], Mapping[str, str]] = no_environment
    """What `env` prints and fixtures read: addresses, credentials, paths."""
    needs: tuple[str, ...] = ()
    binaries: tuple[Binary, ...] = ()
    debian: tuple[str, ...] = ()
    """Debian packages; `up` installs what is missing, as root."""
    root: bool = False
    """Whether it needs root and Linux."""
    patience: float = 60.0
    """Seconds from `start` until it has to be ready."""
