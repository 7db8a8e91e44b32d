"""A whole life of the cluster: up, crash, up, down; prints as JSON what the machine looked like.

It runs in network and mount namespaces of its own, where it stands for a machine, so that it can
be had beside a bench that is up.

Run as: unshare --net --mount python -m tests.bench.kubernetes.rehearsal FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.bench import docker, lifecycle, machine, oci
from tests.bench.bench import Bench
from tests.bench.kubernetes import leftovers, network
from tests.bench.kubernetes.client import Cluster
from tests.bench.kubernetes.cluster import PARTS as CLUSTER

PARTS = (docker.PART, *CLUSTER)
Sight = dict[str, list[str]]


def look(bench: Bench) -> Sight:
    """What the bench may have touched outside its cache."""
    lines = {
        "routes": ["ip", "route"],
        "rules": ["ip", "rule"],
        "links": ["ip", "-brief", "link"],
        "iptables": ["iptables-save"],
    }
    seen = {
        what: [line.rstrip() for line in _run(command).splitlines() if not line.startswith("#")]
        for what, command in lines.items()
    }
    seen["mounts"] = Path("/proc/self/mounts").read_text().splitlines()
    places = (*leftovers.PLACES, *machine.SHARED, network.OWNER)
    seen["places"] = [each for each in places if Path(each).exists()]
    groups = machine.cgroups(docker.cgroup_of(bench))
    seen["cgroups"] = [str(each) for each in groups]
    seen["processes"] = [str(pid) for pid in bench.processes.strays()]
    seen["files"] = [str(each) for each in (bench.run,) if each.exists()]
    return seen


def crash(bench: Bench) -> None:
    """Ends every process of the bench at once, as a power cut would."""
    for pid in bench.processes.strays():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def answer(bench: Bench) -> str:
    """What a pod logs."""
    cluster = Cluster(bench, "default")
    return cluster.run(cluster.pod("hello", "busybox", "echo", "hello"))


def run_a_container(bench: Bench) -> None:
    """Leaves a container of the Docker engine running; it does not end by SIGTERM."""
    from docker import DockerClient

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        oci.add(tar, "busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    with contextlib.closing(DockerClient(base_url=f"unix://{docker.socket_of(bench)}")) as client:
        client.api.import_image_from_data(made.getvalue(), "sleeper", "1")
        command = ["/busybox", "sleep", "600"]
        client.containers.run("sleeper:1", command, network_mode="host", detach=True)


def rehearse(bench: Bench) -> dict[str, Sight | str]:
    """What was seen, and what a pod said each time."""
    told: dict[str, Sight | str] = {"before": look(bench)}
    lifecycle.up(bench, PARTS)
    told["first"] = answer(bench)
    run_a_container(bench)
    told["while"] = look(bench)
    crash(bench)
    lifecycle.up(bench, PARTS)
    told["second"] = answer(bench)
    run_a_container(bench)
    lifecycle.down(bench, PARTS)
    told["after"] = look(bench)
    return told


def stand_for_a_machine(folder: Path) -> None:
    """Hides what another bench may have in the places that can't be chosen."""
    for name in ("upper", "work"):
        (folder / name).mkdir(parents=True)
    layers = f"lowerdir=/var,upperdir={folder / 'upper'},workdir={folder / 'work'}"
    _run(["mount", "-t", "overlay", "-o", layers, "overlay", "/var"])
    _run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    _run(["rm", "-rf", *leftovers.PLACES])
    _run(["ip", "link", "set", "lo", "up"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.stdout


if __name__ == "__main__":
    home = Path(sys.argv[1])
    stand_for_a_machine(home / "machine")
    own = Bench(Bench.here().cache, home / "run")
    try:
        print(json.dumps(rehearse(own)))
    finally:
        lifecycle.down(own, PARTS)
        machine.unmount(home)
