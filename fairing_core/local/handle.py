"""One local run, seen from any process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from fairing_core import errors, log
from fairing_core.interfaces import RunHandle
from fairing_core.local import files, locks, logs, outputs, places, records, supervisor
from fairing_core.types import Artifact, Outcome, RunStatus, Step
from fairing_core.values import replace

logger = log.named(__name__)

_MARGIN = 5.0  # seconds that a supervisor, or a killed program, gets to be gone
_TAIL = 20  # lines of the log that an outcome shows
_TAIL_BYTES = 1 << 16


class LocalRun(RunHandle):
    """A run in `directory`, which is named after it.

    `uid` tells it from another run of its name, after it was deleted; `backend` is the one that its
    URI names.
    """

    _poll: ClassVar[float] = 0.2

    def __init__(self, directory: Path, uid: str, /, *, backend: str = "local") -> None:
        self._directory = directory
        self._uid = uid
        self._backend = backend

    @property
    def name(self) -> str:
        """The run's name, its folder's."""
        return self._directory.name

    @property
    def uid(self) -> str:
        """What no other run has, whatever its name."""
        return self._uid

    @property
    def uri(self) -> str:
        """``fairing://local/default/job/NAME?uid=UID``."""
        return f"fairing://{self._backend}/default/job/{self.name}?uid={self._uid}"

    @property
    def created(self) -> datetime:
        """When it was submitted (UTC)."""
        return self._run().created

    @property
    def started(self) -> datetime | None:
        """When the program started (UTC), once it has."""
        return self._state().started

    @property
    def ended(self) -> datetime | None:
        """When the program ended (UTC), once it has and its supervisor saw it."""
        return self._state().ended

    @property
    def status(self) -> RunStatus:
        """Where the run is now; looking changes nothing."""
        return self._state().status

    def logs(self, follow: bool = False, *, tail: int | None = None) -> Iterator[str]:
        """The program's standard output and standard error, in the order they were written."""
        if tail is not None and tail < 0:
            raise ValueError(f"tail must be 0 or more lines, not {tail}")
        self._run()
        return logs.read(
            self._directory / "log", tail=tail, over=self._is_over if follow else lambda: True
        )

    def outcome(self) -> Outcome:
        """How the run ended.

        Raises:
            RunError: it has not ended.
        """
        state = self._state()
        if not state.status.is_terminal:
            raise errors.RunError(f"{self.name} is still {state.status}; wait for it", uri=self.uri)
        try:
            record = (self._directory / "result.json").read_bytes()
        except FileNotFoundError:
            record = None
        lines = logs.read(self._directory / "log", tail=_TAIL, limit=_TAIL_BYTES, over=lambda: True)
        return Outcome(state.exit_code, reason=state.reason, record=record, tail="".join(lines))

    def note(self, steps: Sequence[Step]) -> None:
        """Writes it beside the run's description."""
        told = [[step.name, step.began, step.seconds] for step in steps]
        with contextlib.suppress(OSError):
            (self._directory / "steps.json").write_text(json.dumps(told), encoding="utf-8")

    def timeline(self) -> list[Step]:
        """What was measured while the run was made, then the program's own time."""
        state = self._state()
        noted: list[Any] = []
        with contextlib.suppress(OSError, ValueError):
            noted = json.loads((self._directory / "steps.json").read_bytes())
        steps = [Step(name, began, seconds) for name, began, seconds in noted]
        if state.started is not None:
            took = (state.ended - state.started).total_seconds() if state.ended else None
            steps.append(Step("run", state.started.timestamp(), took))
        return steps

    def artifacts(self, timeout: float | None = None) -> list[Artifact]:
        """The files that the run was asked to leave behind, where they are, once it has ended."""
        self.wait(timeout)
        run = self._run()
        home = self._directory / "app" / (places.inside(run.workdir) or ".")
        found, left_out = outputs.found(run.outputs, home)
        for path, fault in left_out.items():
            logger.warning("%s: the output %r is left out: %s", self.name, path, fault)
        return found

    def cancel(self) -> None:
        """Stops the run, and comes back once it has ended: SIGTERM, SIGKILL after the grace time.

        Raises:
            WaitTimeout: some process of it would not end.
            StateError: the run is another machine's or container's; it must be cancelled there.
        """
        grace = self._run().grace
        deadline = time.monotonic() + grace + _MARGIN
        asked = False
        while not (state := self._state()).status.is_terminal:
            if state.place != supervisor.place():
                raise errors.StateError(
                    f"{self.name} was started on another machine, or in another container; "
                    "cancel it there"
                )
            late = time.monotonic() > deadline
            # A pid is only signalled while the lock says that it is still that process's.
            if not locks.is_held(self._directory / "lock"):
                self._end_orphan(state, grace)
            elif late and state.supervisor is None:
                break
            elif state.supervisor is not None and (late or not asked):
                asked = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(state.supervisor, signal.SIGKILL if late else signal.SIGTERM)
            time.sleep(0.01)
            if time.monotonic() > deadline + grace + 2 * _MARGIN:
                break
        else:
            return
        raise errors.WaitTimeout(
            f"{self.name} is still {state.status}: the process that submits it hangs, or one of "
            f"its processes has left its group; look for it (supervisor {state.supervisor}, "
            f"program {state.program})",
            uri=self.uri,
            status=state.status,
        )

    def delete(self) -> None:
        """Removes the run, its code, logs and records, stopping it first."""
        try:
            self.cancel()
        except errors.RunNotFound:
            return
        except errors.StateError:
            # A record that can't be read must not keep the run for ever.
            if any(locks.is_held(self._directory / name) for name in ("lock", "program.lock")):
                raise
        try:
            files.remove(self._directory)
        except OSError as exc:
            raise files.trouble(exc, self._directory.parent) from exc

    def _end_orphan(self, state: records.State, grace: float) -> None:
        """Ends a program whose supervisor was killed."""
        program, lock = state.program, self._directory / "program.lock"
        if program is None or not locks.is_held(lock):
            return
        with contextlib.suppress(OSError):
            (self._directory / "cancelled").touch()  # tells this end from a failure
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _MARGIN)):
            if locks.is_held(lock):
                with contextlib.suppress(OSError):
                    os.killpg(program, number)
                _until(lambda: not locks.is_held(lock), seconds)
        if _leads(program, state.born):
            with contextlib.suppress(OSError):
                os.killpg(program, signal.SIGKILL)  # those of its group that have closed the lock

    def _is_over(self) -> bool:
        try:
            return self.status.is_terminal
        except errors.RunNotFound:
            return True

    def _state(self) -> records.State:
        """The state as recorded, or what became of a run whose supervisor was killed."""
        state = self._recorded()
        if state.status.is_terminal or locks.is_held(self._directory / "lock"):
            return state
        state = self._recorded()  # it may have ended between the two looks
        if state.status.is_terminal or locks.is_held(self._directory / "program.lock"):
            return state
        if (self._directory / "cancelled").exists():
            status, how = RunStatus.CANCELLED, "cancelled after its supervisor was killed"
        elif state.program is None:
            status, how = RunStatus.FAILED, "the submitting process was killed before it started"
        else:
            status, how = RunStatus.FAILED, "the supervisor was killed"
        self._run()  # not there: it was deleted meanwhile
        return replace(state, status=status, reason=f"{how}; exit code unknown")

    def _recorded(self) -> records.State:
        try:
            state = records.read_state(self._directory)
        except FileNotFoundError as exc:
            raise self._missing("state.json") from exc
        self._compare(state.uid)
        return state

    def _run(self) -> records.Run:
        try:
            run = records.read_run(self._directory)
        except FileNotFoundError as exc:
            raise self._missing("run.json") from exc
        self._compare(run.uid)
        return run

    def _compare(self, uid: str) -> None:
        if uid != self._uid:
            raise errors.RunNotFound(
                f"the run {self.name!r} with the uid {self._uid} was deleted, and another one has "
                f"its name: {self.uri.partition('?')[0]}?uid={uid}",
                uri=self.uri,
            )

    def _missing(self, record: str) -> errors.FairingError:
        if self._directory.exists():
            return errors.StateError(
                f"{self._directory / record} is missing; delete the run, "
                f"or its folder {self._directory} if that fails, too"
            )
        return errors.RunNotFound(
            f"there is no run {self.name!r} in {self._directory.parent}: it was deleted, or has "
            "expired; 'fairing ps' lists those there are",
            uri=self.uri,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LocalRun):
            return NotImplemented
        return (self._directory, self.uri) == (other._directory, other.uri)

    def __hash__(self) -> int:
        return hash((self._directory, self.uri))


def _leads(pid: int, born: str) -> bool:
    """Whether the group of that number is still what the process born then has led.

    While a group has members, no new process gets its number. So it is another's only if another
    process has the pid.
    """
    if now := supervisor.born(pid):
        return now == born  # dead, and not yet reaped
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.01)
