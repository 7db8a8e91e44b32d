"""What the bench asks of the machine: Linux, root, Go, Debian's packages, unmounting."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import binaries
from tests.bench.bench import Bench, BenchError
from tests.bench.part import Part


def lacks(bench: Bench, part: Part) -> str | None:
    """Why `part` can't be had on this machine, and how to get it; None if it can."""
    if sys.platform != "linux":
        return "it needs Linux; use a Debian 12 machine, real or virtual"
    if part.root and os.geteuid() != 0:
        return "it needs root; run as root on a machine of your own"
    unbuilt = binaries.missing(bench, part.binaries)
    if unbuilt and not shutil.which("go"):
        names = ", ".join(binary.name for binary in unbuilt)
        return f"it needs Go 1.26 or newer to build {names}; install it, see go.dev/doc/install"
    absent = _absent(bench, [part])
    if absent and (os.geteuid() != 0 or not shutil.which("apt-get")):
        return f"it needs Debian's {', '.join(absent)}; as root: apt-get install {' '.join(absent)}"
    return None


def install(bench: Bench, parts: Sequence[Part]) -> None:
    """Installs the Debian packages that are missing."""
    absent = _absent(bench, parts)
    if not absent:
        return
    bench.say(f"apt-get install {' '.join(absent)}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *absent]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode:
            last = "\n".join(done.stdout.splitlines()[-15:])
            raise BenchError(f"apt-get {' '.join(arguments)} failed:\n{last}")


def mounts(below: Path) -> list[Path]:
    """The mount points in a folder, the deepest first."""
    with Path("/proc/self/mountinfo").open() as table:
        points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    return sorted((Path(p) for p in points if Path(p).is_relative_to(below)), reverse=True)


def unmount(below: Path) -> None:
    """Unmounts all in a folder, so that removing it removes nothing that is mounted there."""
    for point in mounts(below):
        subprocess.run(["umount", "--lazy", str(point)], check=True, timeout=30)


def cgroups(name: str) -> list[Path]:
    """The control groups of that name and those in them, the deepest first."""
    top = Path("/sys/fs/cgroup")
    roots = [path for pattern in (name, f"*/{name}") for path in top.glob(pattern)]
    # os.walk passes over what goes meanwhile; Path.rglob raises.
    found = {Path(folder) for root in roots for folder, _, _ in os.walk(root)}
    return sorted({*roots, *found}, reverse=True)


def end_in_cgroups(name: str) -> None:
    """Ends all that runs in control groups of that name, which have to be ours alone."""
    for group in cgroups(name):
        with contextlib.suppress(OSError):  # it may be gone by now
            for pid in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)


def remove_cgroups(name: str) -> None:
    """Removes control groups of that name, and ends what a crash left running in them."""
    for group in cgroups(name):
        for _ in range(50):  # the kernel lets go of the last process a moment after its end
            end_in_cgroups(name)
            try:
                group.rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise BenchError(f"{group} still has processes: {(group / 'cgroup.procs').read_text()}")


SHARED = ("/run/containerd/s", "/run/containerd", "/run/docker/plugins", "/run/docker")
"""Folders of every containerd and dockerd on a machine: no flag gives them another place."""


def remove_shared() -> None:
    """Removes from `SHARED` what nobody uses any more: sockets of ended shims, empty folders."""
    for path in Path(SHARED[0]).glob("*"):
        if not _listens(path):
            path.unlink(missing_ok=True)
    for folder in SHARED:
        with contextlib.suppress(OSError):  # somebody uses it
            Path(folder).rmdir()


def _listens(path: Path) -> bool:
    # Not by /proc/net/unix, which shows one network namespace only.
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            pass  # it is there, and busy
    return True


def _absent(bench: Bench, parts: Sequence[Part]) -> list[str]:
    wanted = {package for part in parts for package in part.debian}
    unbuilt = [each for part in parts for each in binaries.missing(bench, part.binaries)]
    wanted |= {package for binary in unbuilt for package in binary.debian}
    if not wanted:
        return []
    if not shutil.which("dpkg-query"):
        return sorted(wanted)
    form = "${db:Status-Status} ${Package}\n"
    told = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}", *sorted(wanted)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # 1 when it knows nothing of one of them
    ).stdout
    there = {line.split()[1] for line in told.splitlines() if line.startswith("installed ")}
    return sorted(wanted - there)
