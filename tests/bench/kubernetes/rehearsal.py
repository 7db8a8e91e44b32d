"""A whole life of the bench: up, crash, up, down; prints as JSON what the machine looked like.

It runs in network and mount namespaces of its own, where it stands for a machine, so that it can
be had beside a bench that is up. Its way out is a link that counts packets and ends nowhere.

Run as: unshare --net --mount python -m tests.bench.kubernetes.rehearsal FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.bench import docker, lifecycle, machine, oci, parts, podman
from tests.bench.bench import Bench, BenchError
from tests.bench.kubernetes import leftovers, network
from tests.bench.kubernetes.client import Cluster

PARTS = parts.named()
UPLINK = "uplink0"
OUTSIDE = "198.51.100.1"
"""An address for documents: nobody is there."""
NOBODY = ("10.99.0.77", "10.244.77.77", "10.96.200.200")
"""Addresses of the bench's ranges that nobody has."""
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
    # Those of a bench beside this one come and go.
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    seen["mounts"] = [line for line in mounts if f" {Bench.here().run}/" not in line]
    places = (*leftovers.PLACES, *machine.SHARED, network.OWNER)
    seen["places"] = [each for each in places if Path(each).exists()]
    groups = machine.cgroups(docker.cgroup_of(bench))
    seen["cgroups"] = [str(each) for each in groups]
    seen["processes"] = [str(pid) for pid in bench.processes.strays()]
    seen["containers"] = [path for path in _containers() if f"{bench.run}/" in path]
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
    tries = [f"ping -c1 -W1 {address}" for address in (OUTSIDE, *NOBODY)]
    program = f"({'; '.join([*tries, 'nslookup example.com'])}) >/dev/null 2>&1; echo hello"
    return cluster.run(cluster.pod("hello", "busybox", "sh", "-c", program))


def knock(*addresses: str) -> None:
    """Sends something to each address."""
    for address in addresses:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
            contextlib.suppress(OSError),  # no way there: so be it
        ):
            sender.sendto(b"knock", (address, 9))


@contextlib.contextmanager
def knocking() -> Iterator[None]:
    """Sends to addresses that nobody has, all the while."""
    done = threading.Event()

    def again() -> None:
        while not done.wait(0.01):
            knock(*NOBODY)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def left() -> int:
    """Packets that have left this machine."""
    told = json.loads(_run(["ip", "-json", "-stats", "link", "show", UPLINK]))
    return int(told[0]["stats64"]["tx"]["packets"])


def refused(bench: Bench) -> str:
    """What a second bench says."""
    try:
        lifecycle.up(bench, [part for part in PARTS if part.name == "network"])
    except BenchError as exc:
        return str(exc)
    finally:
        lifecycle.down(bench, PARTS)
    return ""


def run_containers(bench: Bench) -> None:
    """Leaves a container of each engine running; they do not end by SIGTERM."""
    for path in (docker.socket_of(bench), podman.socket_of(bench)):
        _run_a_container(path)


def _run_a_container(path: Path) -> None:
    from docker import DockerClient

    name = "bench.invalid/sleeper"  # without a host, Podman would ask the internet for it
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        oci.add(tar, "busybox", Path("/bin/busybox").read_bytes(), mode=0o755)
    with contextlib.closing(DockerClient(base_url=f"unix://{path}")) as client:
        client.api.import_image_from_data(made.getvalue(), name, "latest")
        command = ["/busybox", "sleep", "600"]
        client.containers.run(name, command, network_mode="host", detach=True)


def rehearse(bench: Bench) -> dict[str, Sight | str | int]:
    """What was seen, what a pod said each time, and how many packets left."""
    knock(OUTSIDE, *NOBODY)
    told: dict[str, Sight | str | int] = {"before": look(bench), "left before": left()}
    lifecycle.up(bench, [part for part in PARTS if part.name == "network"])
    with knocking():
        lifecycle.up(bench, PARTS)
        told["first"] = answer(bench)
    run_containers(bench)
    told["while"] = look(bench)
    crash(bench)
    knock(*NOBODY)
    _run(["ip", "link", "delete", network.VETH])
    knock(*NOBODY)
    told["refused"] = refused(Bench(bench.cache, bench.run.with_name("second")))
    lifecycle.up(bench, PARTS)
    told["second"] = answer(bench)
    run_containers(bench)
    knock(*NOBODY)
    told["left after"] = left()
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
    way_out = f"""
        ip link add {UPLINK} type veth peer name nowhere0
        for each in {UPLINK} nowhere0; do
            sysctl -qw net.ipv6.conf.$each.disable_ipv6=1  # it would look for routers
            ip link set $each up
        done
        ip addr add 192.0.2.2/24 dev {UPLINK}
        ip neigh add 192.0.2.1 dev {UPLINK} lladdr 02:00:00:00:00:01 nud permanent
        ip route add default via 192.0.2.1
    """
    _run(["sh", "-ec", way_out])


def _containers() -> Iterator[str]:
    """Command lines of what looks after Podman's containers: it is nobody's child."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            if (words := path.read_text().split("\0"))[0].endswith("conmon"):
                yield " ".join(words)


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
