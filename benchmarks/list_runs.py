"""How long a list of a thousand finished runs takes, beside `kubectl get jobs,pods`.

Whole processes, in turns; the ratio is the median of the pairs' ratios. `within` is the time of
`list_runs()` and of all snapshots in a process that has connected already. The runs are objects
without containers: Jobs and pods whose ends an administrator has written into their status.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.appending.measure import SLOWER, timed
from fairing_core import list_runs
from fairing_core.cluster import labels
from fairing_core.cluster.backend import KubernetesBackend
from fairing_core.cluster.client import Cluster
from fairing_core.deploy.job import JobDeployer
from fairing_core.types import DeployRequest
from tests.bench.bench import Bench
from tests.bench.kubernetes import client

ROOT = Path(__file__).parents[1]
FAIRING = str(Path(sys.executable).with_name("fairing"))
STATUS = "/status"


def finished(cluster: Cluster, namespace: str, number: int) -> None:
    """One run that has ended."""
    deployer = JobDeployer(cluster)
    request = DeployRequest("none", ("true",), name=f"run-{number}")
    (rendered,) = deployer.render(request)
    job = {**rendered, "spec": {**rendered["spec"], "suspend": True}}
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    made = cluster.create(jobs, job)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    template = job["spec"]["template"]
    pods = f"/api/v1/namespaces/{namespace}/pods"
    owned = {**template["metadata"]["labels"], labels.JOB_UID: made["metadata"]["uid"]}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"run-{number}-abcde", "labels": owned},
        "spec": {**template["spec"], "schedulerName": "nobody"},
    }
    cluster.create(pods, pod)
    end = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    state = {"name": "fairing-job", "image": "none", "imageID": "", "ready": False,
             "restartCount": 0, "state": {"terminated": end}}  # fmt: skip
    status = {"phase": "Succeeded", "containerStatuses": [state]}
    cluster.patch(f"{pods}/run-{number}-abcde{STATUS}", {"status": status})
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    ended = {"conditions": conditions, "startTime": now, "completionTime": now, "succeeded": 1}
    cluster.patch(f"{jobs}/run-{number}{STATUS}", {"status": ended, "spec": {"suspend": False}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000, help="runs (default: 1000)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs (default: 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    subprocess.run([sys.executable, "-m", "tests.bench", "up", "kubernetes"], cwd=ROOT, check=True)
    bench = Bench.here()
    there = client.Cluster(bench, "list-runs")
    there.kubectl("create", "namespace", there.namespace)
    try:
        row = measured(there, chosen.runs, chosen.pairs)
    finally:
        there.kubectl("delete", "namespace", there.namespace, "--wait=false")
    print(json.dumps(row, indent=2) if chosen.json else _line(row))


def measured(there: client.Cluster, count: int, pairs: int) -> dict[str, Any]:
    """The times of both, in milliseconds."""
    namespace = there.namespace
    cluster = Cluster(config_file=there.admin, namespace=namespace)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: finished(cluster, namespace, number), range(count)))
    environ = {key: value for key, value in os.environ.items() if key not in SLOWER}
    environ |= {"KUBECONFIG": str(there.admin), "FAIRING_KUBERNETES__NAMESPACE": namespace}
    ours = [FAIRING, "ps", "-b", "kubernetes"]
    kubectl = [str(there.bench.bin / "kubectl"), f"--namespace={namespace}"]
    theirs = [*kubectl, "get", "jobs,pods"]
    taken = [(timed(ours, environ), timed(theirs, environ)) for _ in range(pairs + 1)][1:]
    backend = KubernetesBackend(config_file=str(there.admin), namespace=namespace)
    within = []
    for _ in range(pairs + 1):
        started = time.perf_counter()
        ends = [run.snapshot().status for run in list_runs(backend=backend)]
        within.append(time.perf_counter() - started)
        assert len(ends) == count
        assert set(map(str, ends)) == {"succeeded"}, set(ends)
    return {
        "runs": count,
        "ours_ms": _milliseconds([one for one, _ in taken]),
        "kubectl_ms": _milliseconds([other for _, other in taken]),
        "ratio": round(statistics.median(one / other for one, other in taken), 2),
        "within_ms": _milliseconds(within[1:]),
    }


def _milliseconds(seconds: Sequence[float]) -> int:
    return round(1000 * statistics.median(seconds))


def _line(row: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {value}" for name, value in row.items())


if __name__ == "__main__":
    main()
