"""One running bench: its folders, its ports, its processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.locks import locked
from tests.bench.processes import Processes

PORTS = range(21_000, 29_000)
"""Below the range that Linux takes for outgoing connections."""


class BenchError(Exception):
    """The bench can't do it; the message says what failed and what to do next."""


@dataclass(frozen=True)
class Bench:
    """Paths and helpers of one bench. `run` is all that `down` takes away; `cache` stays."""

    cache: Path
    run: Path
    telling: float = 15.0
    """Seconds between two lines about what takes long."""
    began: float = field(default_factory=time.monotonic, compare=False)

    @classmethod
    def here(cls) -> Bench:
        """This user's bench: `FAIRING_BENCH_CACHE`, and `FAIRING_BENCH_RUN` for a second one."""
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        named = os.environ.get("FAIRING_BENCH_CACHE")
        cache = (Path(named) if named else Path(home) / "fairing-bench").absolute()
        run = os.environ.get("FAIRING_BENCH_RUN")
        return cls(cache, Path(run).absolute() if run else cache / "run")

    @property
    def bin(self) -> Path:
        """The folder of binaries, by their names: links into the cache."""
        return self.run / "bin"

    @property
    def path(self) -> str:
        """A `PATH` with the bench's binaries first."""
        return f"{self.bin}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

    @functools.cached_property
    def processes(self) -> Processes:
        """What runs, by name."""
        return Processes(self.run)

    def folder(self, part: str) -> Path:
        """The folder of a part's state; made when missing. Gone after `down`."""
        folder = self.run / "parts" / part
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def port(self, name: str) -> int:
        """A free loopback port for `name`: the same one for as long as this bench is up."""
        with locked(self.run / "ports.lock"):
            book = self.run / "ports.json"
            ports: dict[str, int] = json.loads(book.read_text()) if book.exists() else {}
            if name not in ports:
                taken = set(ports.values())
                ports[name] = next(p for p in PORTS if p not in taken and _free(p))
                write(book, json.dumps(ports, indent=1))
            return ports[name]

    def wait(self, ask: Callable[[], str | None], *, seconds: float, what: str) -> None:
        """Asks every 0.1 s until the answer is None; the last answer is in the error."""
        end = time.monotonic() + seconds
        while (answer := ask()) is not None:
            if time.monotonic() > end:
                raise BenchError(f"{what}: not ready after {seconds:.0f} s: {answer}")
            time.sleep(0.1)

    def tell_while(self, process: subprocess.Popen[bytes], what: str) -> None:
        """Waits for a process's end, and tells every now and then that it is still at it."""
        began = told = time.monotonic()
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.5)
                if time.monotonic() - told > self.telling:
                    told = time.monotonic()
                    self.say(f"{what}, {told - began:.0f} s so far")
        finally:
            if process.poll() is None:  # Ctrl-C
                process.terminate()
                process.wait()

    def say(self, text: str) -> None:
        """Tells a person what goes on, on stderr, with the seconds since this command began."""
        with _saying:
            print(f"{time.monotonic() - self.began:6.1f} s  {text}", file=sys.stderr, flush=True)


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Writes a file in one step, and not at all if it says that already: some are watched."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{threading.get_ident()}")
        fresh.touch(mode)
        fresh.write_text(text)
        fresh.replace(path)
    return path


_saying = threading.Lock()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
