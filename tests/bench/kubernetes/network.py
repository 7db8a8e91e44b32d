"""The bench's network namespace: no default route, so not a packet leaves the machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.bench.bench import Bench, BenchError, write

HOST = "10.99.0.1"
"""This machine, as the node and the pods see it."""
NODE = "10.99.0.2"
"""The node; what runs in the namespace listens here."""
LINK = f"{HOST.rpartition('.')[0]}.0/24"
PODS = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
VETH = "fairing0"
_PEER = "fairing1"
OWNER = "/run/fairing-bench-network"
"""The file that says whose bench has the addresses; there are no two at a time."""
_BLACKHOLE_METRIC = 4000  # behind the routes of a bench that is up


def namespace(bench: Bench) -> Path:
    """The file that holds the namespace."""
    return bench.run / "parts" / "network" / "namespace"


def inside(bench: Bench, command: Sequence[str | Path]) -> list[str]:
    """`command` as run in the namespace.

    Not by `ip netns exec`: that mounts another /sys, in which there is no cgroup tree.
    """
    return ["nsenter", f"--net={namespace(bench)}", *map(str, command)]


def start(bench: Bench, part: str) -> None:
    """Black-holes the ranges, then makes the namespace and its link to this machine.

    Raises:
        BenchError: another bench has the addresses.
    """
    file = namespace(bench)
    if other := _other(bench):
        raise BenchError(
            f"the bench in {other} has the addresses, and this one's is {bench.run}; take it down "
            f"first: FAIRING_BENCH_RUN={other} python -m tests.bench down"
        )
    if not file.exists() and _there(VETH):
        if not Path(OWNER).exists():
            raise BenchError(
                f"the link {VETH} is there and nothing says whose; if no other bench is up: "
                f"ip link delete {VETH}"
            )
        _quietly(["ip", "link", "delete", VETH])  # a bench's whose state folder was removed
    write(Path(OWNER), str(bench.run))
    bench.folder(part)
    file.touch()  # from here on `stop` knows that what there is, is ours
    for cidr in (LINK, PODS, SERVICES):
        # First, so that nothing sent to the bench leaves while it comes up or goes down.
        _run(["ip", "route", "replace", "blackhole", cidr, "metric", str(_BLACKHOLE_METRIC)])
    if not _held(file):
        _run(["unshare", f"--net={file}", "true"])
    if not _there(VETH):
        _run(["ip", "link", "add", VETH, "type", "veth", "peer", "name", _PEER, "netns", str(file)])
    _run(["ip", "addr", "replace", f"{HOST}/30", "dev", VETH])
    _run(["ip", "link", "set", VETH, "up"])
    commands = f"""
        ip link set lo up
        ip addr replace {NODE}/30 dev {_PEER}
        ip link set {_PEER} up
        sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
        # A local connect() to a Service needs a route before kube-proxy can redirect it, and there
        # is no default one: a bridge without ports, where an unserved address ends.
        ip link show services0 >/dev/null 2>&1 || ip link add services0 type bridge
        ip link set services0 up
        ip route replace {SERVICES} dev services0 src {NODE}
    """
    _run(inside(bench, ["sh", "-ec", commands]))
    for cidr in (PODS, SERVICES):
        _run(["ip", "route", "replace", cidr, "via", NODE])  # tests reach pods and Services


def ready(bench: Bench, part: str) -> str | None:
    """Whether the node answers."""
    done = subprocess.run(["ping", "-c1", "-W1", NODE], capture_output=True, check=False)
    return None if done.returncode == 0 else f"{NODE} does not answer"


def stop(bench: Bench, part: str) -> None:
    """Takes the namespace away, and the black holes last."""
    file = namespace(bench)
    if not file.exists():
        return  # not ours
    if _held(file):
        _run(["umount", str(file)])
    if _other(bench) is None:
        _quietly(["ip", "link", "delete", VETH])  # its routes and its peer go with it
        for cidr in (PODS, SERVICES, LINK):
            _quietly(["ip", "route", "delete", "blackhole", cidr, "metric", str(_BLACKHOLE_METRIC)])
        Path(OWNER).unlink(missing_ok=True)
    file.unlink()


def _other(bench: Bench) -> str | None:
    """The state folder of another bench that has the addresses, and is there."""
    try:
        owner = Path(OWNER).read_text()
    except FileNotFoundError:
        return None
    there = Path(owner, *namespace(bench).relative_to(bench.run).parts).exists()
    return owner if there and owner != str(bench.run) else None


def _held(file: Path) -> bool:
    return any(f" {file} " in line for line in Path("/proc/mounts").read_text().splitlines())


def _there(link: str) -> bool:
    # Not by /sys, which shows the network namespace that it was mounted in.
    asked = ["ip", "link", "show", "dev", link]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def _quietly(command: list[str]) -> None:
    subprocess.run(command, capture_output=True, check=False)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
