"""A Podman of its own: Debian's, serving Docker's API on its own socket and storage."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import docker, machine
from tests.bench.bench import Bench, BenchError, write
from tests.bench.kubernetes import network
from tests.bench.part import Part, end_processes
from tests.bench.registry import LOOPBACK

PART = "podman"
SOCKET = "podman.sock"
_GROUP = "libpod_parent"
"""The control group of every Podman's containers on a machine: no flag gives it another name."""
# It asks for TLS where it is told nothing, on loopback too.
REGISTRIES = "".join(
    f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in (LOOPBACK, network.NODE)
)


def socket_of(bench: Bench) -> Path:
    """The engine's socket."""
    return bench.folder(PART) / SOCKET


def _settings(folder: Path) -> str:
    """Its containers.conf, in TOML; a JSON string is a TOML string."""
    return f"""[containers]
netns = "host"
pids_limit = 0
# What it gives by itself is more than a machine without CAP_SYS_RESOURCE may.
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
# Where the command that cleans up after a container looks: it is told the storage only.
static_dir = {json.dumps(str(folder / "data" / "libpod"))}
tmp_dir = {json.dumps(str(folder / "tmp"))}
volume_path = {json.dumps(str(folder / "volumes"))}
[network]
network_backend = "cni"
network_config_dir = {json.dumps(str(folder / "networks"))}
"""


def _storage(folder: Path) -> str:
    """Its storage.conf, in TOML likewise."""
    return f"""[storage]
driver = "overlay"
graphroot = {json.dumps(str(folder / "data"))}
runroot = {json.dumps(str(folder / "run"))}
"""


def _environ(folder: Path) -> Mapping[str, str]:
    return {
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),  # none: a user's own is not for us
        "TMPDIR": str(folder),
    }


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    write(folder / "containers.conf", _settings(folder))
    write(folder / "registries.conf", REGISTRIES)
    write(folder / "storage.conf", _storage(folder))
    command = ["podman", "system", "service", "--time=0", f"unix://{folder / SOCKET}"]
    bench.processes.start(name, command, part=name, environ=_environ(folder))


def _stop(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    if (folder / "storage.conf").exists():
        # Containers are nobody's children, so only Podman knows them: it needs no service for that.
        _run(folder, ["podman", "rm", "--all", "--force", "--time=0"])
    end_processes(bench, name)
    for group in machine.cgroups(_GROUP):
        with contextlib.suppress(OSError):  # another Podman's are in it
            group.rmdir()


def _run(folder: Path, command: Sequence[str]) -> None:
    done = subprocess.run(
        command,
        env={**os.environ, **_environ(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def _environment(bench: Bench) -> Mapping[str, str]:
    return {"FAIRING_BENCH_PODMAN": f"unix://{socket_of(bench)}"}


PODMAN = Part(
    name=PART,
    about="Debian's Podman, which serves Docker's API on its own socket and storage",
    start=_start,
    ready=lambda bench, name: docker.asked(socket_of(bench)),
    stop=_stop,
    environment=_environment,
    debian=("podman", "runc"),
    root=True,
)
