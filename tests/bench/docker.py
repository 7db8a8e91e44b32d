"""A Docker engine of its own: Debian's dockerd, on its own socket and data root."""

from __future__ import annotations

import hashlib
import http.client
import socket
from collections.abc import Mapping
from pathlib import Path

from tests.bench import machine
from tests.bench.bench import Bench
from tests.bench.kubernetes import network
from tests.bench.part import Part, end_processes

SOCKET = "docker.sock"
DAEMON = (
    # Nothing of the machine's network is touched; containers run with network_mode="host".
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
    "--bridge=none",
    # A container may lack CAP_SYS_RESOURCE, and then a negative score is refused.
    "--oom-score-adjust=0",
    "--storage-driver=overlay2",
    "--shutdown-timeout=3",
    f"--insecure-registry={network.LINK}",  # as it takes loopback's for plain http by itself
)


def socket_of(bench: Bench) -> Path:
    """The engine's socket."""
    return bench.folder("docker") / SOCKET


def cgroup_of(bench: Bench) -> str:
    """The control group of the engine's containers: two benches share none."""
    return f"fairing-bench-docker-{hashlib.sha256(str(bench.run).encode()).hexdigest()[:8]}"


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    (folder / "pid").unlink(missing_ok=True)  # one that a crash left may be someone else's now
    command = [
        "/usr/sbin/dockerd",
        f"--data-root={folder / 'data'}",
        f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}",
        f"--config-file={folder / 'daemon.json'}",  # none: the machine's own is not for us
        f"--host=unix://{socket_of(bench)}",
        f"--cgroup-parent=/{cgroup_of(bench)}",
        *DAEMON,
    ]
    (folder / "daemon.json").write_text("{}")
    bench.processes.start("dockerd", command, part=name)


def asked(path: Path) -> str | None:
    """None when an engine answers at the socket `path`, else what it said."""
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(str(path))
        connection.request("GET", "/_ping")
        status = connection.getresponse().status
    except OSError as exc:
        return f"{path}: {exc}"
    finally:
        connection.close()
    return None if status == 200 else f"/_ping answered {status}"


def _stop(bench: Bench, name: str) -> None:
    machine.end_in_cgroups(cgroup_of(bench))  # containers, else dockerd waits for each of them
    end_processes(bench, name)
    machine.remove_cgroups(cgroup_of(bench))
    machine.remove_shared()


def _environment(bench: Bench) -> Mapping[str, str]:
    return {"FAIRING_BENCH_DOCKER": f"unix://{socket_of(bench)}"}


PART = Part(
    name="docker",
    about="Debian's dockerd, on its own socket and data root",
    start=_start,
    ready=lambda bench, name: asked(socket_of(bench)),
    stop=_stop,
    environment=_environment,
    debian=("docker.io", "busybox-static"),
    root=True,
)
