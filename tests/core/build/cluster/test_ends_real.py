"""Clients that end before their builds: what is left goes, at once or in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairing_core.build.cluster.run import sweep
from tests.bench.registry import Registry
from tests.core.build.cluster.conftest import MAIN, ClusterBuilds

ROOT = Path(__file__).parents[4]
PROGRAM = """
import json, os, signal, sys
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.cluster.client import Cluster
from fairing_core.types import BuildRequest, RegistryAccess
from tests.core.build.conftest import context_of
from tests.core.build.harness import inline

class Dying(Cluster):
    def create(self, path, manifest, **query):
        made = super().create(path, manifest, **query)
        if path.endswith(os.environ.get("DIES_AFTER", "never")):
            os.kill(os.getpid(), signal.SIGKILL)
        return made

def report(name, /, **fields):
    if name == "build-log" and "on my way" in str(fields["line"]):
        print("on my way", flush=True)

told = json.loads(sys.argv[1])
step = "import time; print('on my way', flush=True); time.sleep(%s)" % told["sleeps"]
lines = ["FROM " + told["base"], "RUN " + json.dumps(["python3", "-c", step])]
context = context_of(
    inline("/app/main.py"), inline("/Dockerfile", "\\n".join(lines).encode())
)
request = BuildRequest(
    context,
    base_image=told["base"],
    registry=told["target"],
    registries={told["host"]: RegistryAccess(plain_http=True)},
    report=report,
)
cluster = Dying(config_file=told["config"], namespace=told["namespace"])
print(ClusterBuilder(cluster, engine_image=told["image"]).build(request).image)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(builds: ClusterBuilds, cluster_registry: Registry, base: str) -> Start:
    """Starts a program that builds."""

    def start(sleeps: int = 60, **environ: str) -> subprocess.Popen[str]:
        told = {
            "base": base,
            "target": builds.at(cluster_registry),
            "host": cluster_registry.name,
            "config": str(builds.config),
            "namespace": builds.bench.namespace,
            "image": builds.images["kaniko"],
            "sleeps": sleeps,
        }
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(told)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **environ},
        )

    return start


def until_it_builds(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    assert process.stdout.readline() == "on my way\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -2)])
def test_a_signal_deletes_at_once(
    number: signal.Signals, code: int, builds: ClusterBuilds, start: Start
) -> None:
    with start() as process:
        until_it_builds(process)
        process.send_signal(number)
        assert process.wait(20) == code
    assert builds.left(10) == []


@pytest.mark.parametrize("place", ["jobs", "secrets"])
def test_a_job_that_was_never_started_is_swept_later(
    place: str, builds: ClusterBuilds, start: Start, cluster_registry: Registry, base: str
) -> None:
    with start(DIES_AFTER=place) as process:
        assert process.wait(30) == -signal.SIGKILL
    (job,) = builds.objects("jobs")
    assert job["spec"]["suspend"] is True
    secrets = len(builds.objects("secrets"))
    assert secrets == (place == "secrets")
    builds(builds.at(cluster_registry), MAIN, base=base)  # another build leaves one so young
    assert [one["metadata"]["name"] for one in builds.objects("jobs")] == [job["metadata"]["name"]]
    sweep(builds.cluster, builds.bench.namespace, now=datetime.now(UTC) + timedelta(seconds=601))
    assert builds.left() == []


def test_a_build_whose_client_was_killed_expires(builds: ClusterBuilds, start: Start) -> None:
    with start(sleeps=1) as process:
        until_it_builds(process)
        process.kill()
    (job,) = builds.objects("jobs")
    name, spec = job["metadata"]["name"], job["spec"]
    assert spec["ttlSecondsAfterFinished"] == 3600
    assert spec["activeDeadlineSeconds"] < 5000
    builds.bench.kubectl("wait", "--for=condition=complete", f"job/{name}", "--timeout=60s")
    assert builds.there()
    builds.bench.kubectl("patch", "job", name, "-p", '{"spec": {"ttlSecondsAfterFinished": 1}}')
    assert builds.left(40) == []
