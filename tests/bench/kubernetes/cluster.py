"""The cluster's start, readiness and end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench import registry
from tests.bench.bench import Bench, BenchError, write
from tests.bench.certificates import authority
from tests.bench.kubernetes import config, images, leftovers, manifests, network, pki, runtime
from tests.bench.kubernetes.config import Place
from tests.bench.kubernetes.recipes import BINARIES, KUBERNETES
from tests.bench.part import Part

PART = "kubernetes"
ROOT = Path(__file__).parents[3]
_NODE_SIDE = ("kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "provisioner")


def place(bench: Bench) -> Place:
    """Where the cluster's files are."""
    pair = authority(bench)
    return Place(bench.bin, bench.run / "parts" / PART, pair.certificate, pair.key)


def kubectl(bench: Bench, *words: str, stdin: str = "", seconds: float = 30) -> str:
    """What kubectl prints, as the cluster's administrator.

    Raises:
        BenchError: it failed; with what it said.
    """
    command = [str(bench.bin / "kubectl"), f"--kubeconfig={place(bench).kubeconfig('admin')}"]
    try:
        done = subprocess.run(
            [*command, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BenchError(f"`kubectl {' '.join(words)}`: no answer in {seconds:.0f} s") from exc
    if done.returncode:
        raise BenchError(f"`kubectl {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout


def apply(bench: Bench, objects: Sequence[Mapping[str, Any]]) -> None:
    """Creates or updates objects."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects}
    # By the server: large definitions don't fit into kubectl's annotation.
    kubectl(bench, "apply", "--server-side", "--force-conflicts", "-f-", stdin=json.dumps(listed))


def start(bench: Bench, part: str) -> None:
    """Starts each component once what it can't wait for itself is there."""
    here = place(bench)
    bench.folder(part)
    leftovers.note(here.home)
    _certificates(bench, here)
    _files(bench, here)

    def run(name: str, flags: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        command = network.inside(bench, [here.bin / name, *flags])
        bench.processes.start(name, command, part=part, environ=environ)

    run("etcd", config.etcd(here))
    # It finds its shim by PATH.
    paths = {"PATH": bench.path}
    run("containerd", ["--config", str(here.conf / "containerd.toml")], paths)
    run("kube-apiserver", config.api_server(here))
    _until(bench, part, "containerd", lambda: _asks(bench, ["version"]))
    _import_images(bench)
    _until(bench, part, "kube-apiserver", lambda: _api(bench))
    run("kube-controller-manager", config.controller_manager(here))
    run("kube-scheduler", config.scheduler(here))
    run("kubelet", config.kubelet(here), paths)  # finds mount and iptables by PATH
    run("kube-proxy", config.proxy(here), paths)
    module = "tests.bench.kubernetes.provisioner"
    bench.processes.start(
        "provisioner",
        [sys.executable, "-m", module, here.kubeconfig("admin"), here.claims],
        part=part,
        environ={"PYTHONPATH": str(ROOT)},
    )
    apply(bench, manifests.start())


def ready(bench: Bench, part: str) -> str | None:
    """Whether the node is Ready and a Service's name resolves."""
    node = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    try:
        if kubectl(bench, "get", "node", config.NODE_NAME, "-o", node, seconds=5) != "True":
            return "the node is not Ready"
    except BenchError as exc:
        return str(exc)
    asked = ["busybox", "nslookup", "kubernetes.default.svc.cluster.local", network.DNS_SERVICE]
    try:
        done = subprocess.run(asked, capture_output=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return "DNS does not answer"
    return None if done.returncode == 0 else "DNS does not know kubernetes.default"


def stop(bench: Bench, part: str) -> None:
    """Ends all that manages containers, then the containers, then what they stood on."""
    here = place(bench)
    for name in _NODE_SIDE:
        bench.processes.end(name)
    running = bench.processes.find("containerd")
    if running and running.alive:
        _end_containers(bench)
    bench.processes.end_all(part)
    leftovers.remove(here.home)


def restart_api(bench: Bench) -> None:
    """Ends the API server and starts it anew, as an upgrade of a cluster does."""
    bench.processes.end("kube-apiserver")
    command = network.inside(bench, [place(bench).bin / "kube-apiserver"])
    bench.processes.start("kube-apiserver", [*command, *config.api_server(place(bench))], part=PART)
    _until(bench, PART, "kube-apiserver", lambda: _api(bench))


def environment(bench: Bench) -> Mapping[str, str]:
    """How clients reach the cluster."""
    admin = str(place(bench).kubeconfig("admin"))
    return {"KUBECONFIG": admin, "FAIRING_BENCH_KUBECONFIG": admin}


def _certificates(bench: Bench, here: Place) -> None:
    server = pki.subject("kube-apiserver", "bench")
    pki.sign(bench, here.pki, "apiserver", server, config.API_NAMES)
    to_kubelet = pki.subject("kube-apiserver-kubelet-client", "system:masters")
    pki.sign(bench, here.pki, "apiserver-kubelet", to_kubelet, ())
    pki.signing_key(here.pki / "sa.key")
    for name, user, group in (
        ("admin", "admin", "system:masters"),
        ("controller-manager", "system:kube-controller-manager", "bench"),
        ("scheduler", "system:kube-scheduler", "bench"),
        ("proxy", "system:kube-proxy", "bench"),
        ("kubelet", f"system:node:{config.NODE_NAME}", "system:nodes"),
    ):
        pair = pki.sign(bench, here.pki, name, pki.subject(user, group), ())
        entry = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        pki.kubeconfig(bench, here.kubeconfig(name), server=config.API, user=entry)


def _files(bench: Bench, here: Place) -> None:
    write(here.conf / "audit.json", json.dumps(config.audit_policy()))
    write(here.conf / "kubelet.json", json.dumps(config.kubelet_file(here)))
    write(here.conf / "proxy.json", json.dumps(config.proxy_file(here)))
    write(here.conf / "cni" / "10-bench.conflist", json.dumps(runtime.cni(here)))
    write(here.conf / "containerd.toml", runtime.containerd(here))
    write(here.conf / "resolv.conf", "")  # nobody beyond the cluster is asked for a name
    for variant in registry.VARIANTS:
        if variant.inside:
            there = variant.at(bench)
            hosts = here.hosts / there.node_name / "hosts.toml"
            write(hosts, runtime.registry_hosts(there.node_url, there.ca))


def _import_images(bench: Bench) -> None:
    here = place(bench)
    for name, program, file in (
        (images.PAUSE, "pause", here.bin / "pause"),
        (images.DNS, "coredns", here.bin / "coredns"),
        (images.BUSYBOX, "bin/busybox", Path("/bin/busybox")),
    ):
        archive = here.home / "images" / f"{Path(program).name}.tar"
        images.archive(archive, name, {program: file}, [f"/{program}"])
        if failed := _asks(bench, ["images", "import", str(archive)]):
            raise BenchError(f"containerd took no image {name}: {failed}")
        archive.unlink()


def _ctr(bench: Bench, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [bench.bin / "ctr", "--address", place(bench).containerd, "--namespace", "k8s.io"]
    return subprocess.run(
        [*map(str, command), *words], capture_output=True, text=True, timeout=60, check=False
    )


def _asks(bench: Bench, words: Sequence[str]) -> str | None:
    """None when ctr did it, else what it said."""
    done = _ctr(bench, words)
    return None if done.returncode == 0 else done.stderr.strip() or "ctr failed"


def _api(bench: Bench) -> str | None:
    try:
        kubectl(bench, "get", "--raw", "/readyz", seconds=5)
    except BenchError as exc:
        return str(exc)
    return None


def _until(bench: Bench, part: str, what: str, ask: Any) -> None:
    def asked() -> str | None:
        if dead := bench.processes.dead(part):
            raise BenchError(dead)
        answer: str | None = ask()
        return answer

    bench.wait(asked, seconds=60, what=what)


def _end_containers(bench: Bench) -> None:
    """While containerd can still do it: its shims, and so the containers, outlive it."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        for task in _ctr(bench, ["tasks", "list", "--quiet"]).stdout.split():
            _ctr(bench, ["tasks", "delete", "--force", task])


PARTS = (
    Part(
        name="network",
        about="a network namespace without a way out, for all that has to be on a network",
        start=network.start,
        ready=network.ready,
        stop=network.stop,
        debian=("iproute2", "util-linux", "iputils-ping", "procps"),
        root=True,
    ),
    Part(
        name=PART,
        about=f"Kubernetes {KUBERNETES}, one node: RBAC, audit log, Pod Security, DNS, claims",
        start=start,
        ready=ready,
        stop=stop,
        environment=environment,
        needs=("network",),
        binaries=BINARIES,
        debian=("iptables", "busybox-static"),
        root=True,
        patience=90,
    ),
)
