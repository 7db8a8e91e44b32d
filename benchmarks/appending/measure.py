"""Whole processes: how long they took, and how much memory the largest had."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

# A process starts with its parent's peak, so a small one stands in between.
LAUNCHER = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""
PATIENCE = 300.0
SLOWER = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Variables with which each start of Python compiles all that it imports."""


class Failed(Exception):
    """A program that was to be measured did not do its work."""


def timed(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Seconds from its start to its end.

    Raises:
        Failed: it ended with a fault, or not at all.
    """
    whole = {name: value for name, value in os.environ.items() if name not in SLOWER}
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env={**whole, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Failed(f"{' '.join(command)}: {exc}") from exc
    taken = time.perf_counter() - started
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-6:])
        raise Failed(f"{' '.join(command)}: ended with {done.returncode}:\n{last}")
    return taken


def weighed(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> float:
    """The most memory that it, or one that it started, had at once: MB of resident pages."""
    told = folder / "peak"
    timed([sys.executable, "-I", "-S", "-c", LAUNCHER, str(told), *command], environ)
    return int(told.read_text()) * 1024 / 1e6
