"""Processes of the bench: started detached, recorded, ended by their recorded id only.

A record is a pid with its start time, so that a pid that Linux gave to someone else is never taken
for ours. What our processes started in turn is known by a variable that they inherit, which holds
the bench's own id.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "FAIRING_BENCH_ID"
GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A process that we started. `began` is in clock ticks since the machine's boot `boot`."""

    name: str
    part: str
    pid: int
    began: int
    boot: str
    log: str
    order: float

    @property
    def alive(self) -> bool:
        """Whether it still runs; a zombie doesn't."""
        return self.boot == _boot() and _began(self.pid) == self.began


class Processes:
    """The processes of the bench whose state folder is `run`."""

    def __init__(self, run: Path) -> None:
        self._folder = run / "processes"
        self._logs = run / "logs"
        self._id = run / "id"
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        part: str,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Record:
        """Starts `command` in a session of its own unless `name` runs; its output goes to a log.

        `environ` is added to ours. A command may begin with `nsenter` or the like: it has to exec.
        """
        if (there := self.find(name)) and there.alive:
            return there
        self._folder.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self.log(name)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [os.fspath(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {}), MARK: f"{self.id}:{part}"},
                cwd=cwd or self._folder.parent,
                start_new_session=True,
            )
        record = Record(
            name=name,
            part=part,
            pid=process.pid,
            began=_began(process.pid) or -1,
            boot=_boot(),
            log=str(log),
            order=time.time(),
        )
        self._file(name).write_text(json.dumps(asdict(record)))
        _children.append(process)
        return record

    @property
    def id(self) -> str:
        """The id that all processes of this bench carry in `FAIRING_BENCH_ID`."""
        with self._lock:
            if not self._id.exists():
                self._id.parent.mkdir(parents=True, exist_ok=True)
                self._id.write_text(uuid.uuid4().hex)
            return self._id.read_text()

    def log(self, name: str) -> Path:
        """The log file of process `name`."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a process's log, and a panic's first."""
        try:
            text = self.log(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        told = text.splitlines()
        # A Go program says why it panics above many lines on where.
        why = [line for line in told[:-lines] if line.startswith(("panic:", "fatal error:"))][-1:]
        return "\n".join([*why, *told[-lines:]])

    def find(self, name: str) -> Record | None:
        """The record of process `name`."""
        try:
            return Record(**json.loads(self._file(name).read_text()))
        except (FileNotFoundError, ValueError):
            return None

    def of(self, part: str | None = None) -> list[Record]:
        """The records of a part's processes, or of all, in the order they started in."""
        names = [file.stem for file in self._folder.glob("*.json")]
        found = [record for name in names if (record := self.find(name))]
        mine = [record for record in found if part in {None, record.part}]
        return sorted(mine, key=lambda record: record.order)

    def dead(self, part: str) -> str | None:
        """What a person has to know about the first process of `part` that ended by itself."""
        for record in self.of(part):
            if not record.alive:
                tail = self.tail(record.name) or "(nothing)"
                return f"{record.name} (process {record.pid}) ended; its log {record.log}:\n{tail}"
        return None

    def end(self, name: str) -> None:
        """Ends process `name`; nothing if it has ended."""
        record = self.find(name)
        if record is None:
            return
        _end([record.pid] if record.alive else [])
        self._file(name).unlink(missing_ok=True)

    def end_all(self, part: str) -> None:
        """Ends a part's processes, the last one first, and what they left running."""
        for record in reversed(self.of(part)):
            self.end(record.name)
        self.end_strays(part)

    def strays(self, part: str | None = None) -> list[int]:
        """Processes marked as this bench's, or a part's, and what those started: containers."""
        if not self._id.exists():
            return []
        mark = f"{MARK}={self.id}:".encode() + (f"{part}\0".encode() if part else b"")
        parents = {pid: _parent(pid) for pid in _pids()}
        found = {pid for pid in parents if mark in _environ(pid)}
        while more := {pid for pid, up in parents.items() if up in found} - found:
            found |= more
        return sorted(found - {os.getpid()})

    def end_strays(self, part: str | None = None) -> None:
        """Ends what is marked as ours and has no record, or outlived it."""
        _end(self.strays(part), grace=2)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.json"


_children: list[subprocess.Popen[bytes]] = []
"""Those that this very command started: Python warns of one that is dropped and not waited for."""


def _end(pids: Iterable[int], grace: float = GRACE) -> None:
    """SIGTERM, and SIGKILL for those that are still there after the grace."""
    left = {pid: _began(pid) for pid in pids}
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, GRACE)):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + seconds
        while left and time.monotonic() < end:
            left = {pid: began for pid, began in left.items() if began and _began(pid) == began}
            time.sleep(0.02)
    for child in _children:
        child.poll()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the third one on; none for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _began(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in {"Z", "X"} else None


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
