"""Each failure, provoked on a real cluster, and what `why` says of it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from fairing_core import errors
from fairing_core.cluster.handle import JobRun
from fairing_core.types import Diagnosis, PodPatch, RunStatus
from tests.bench.bench import Bench
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab

SECONDS = 90.0
LONG = "import time; print('up', flush=True); time.sleep(600)"

pytestmark = pytest.mark.real


def diagnosed(run: JobRun, seconds: float = SECONDS) -> Diagnosis:
    """What `why` says, once it says something."""
    deadline = time.monotonic() + seconds
    while (found := run.why()) is None:
        assert time.monotonic() < deadline, f"{run.name} {run.status}: {run.events()}"
        time.sleep(0.2)
    return found


def put(lab: Lab, *objects: Mapping[str, Any]) -> None:
    """Creates them in the namespace."""
    content = {"apiVersion": "v1", "kind": "List", "items": objects}
    lab.bench.kubectl("apply", "-f", "-", stdin=json.dumps(content))


class Case(NamedTuple):
    """A way to fail: the program, the options of its run, and what has to be said."""

    kind: str
    said: str
    code: str = "pass"
    options: Mapping[str, Any] = {}


def command(word: str) -> dict[str, Any]:
    def started_by(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        pod_spec.containers[0].command = [word]

    return {"mutators": [started_by]}


def claim(name: str) -> dict[str, Any]:
    return {"volumes": {"/data": {"pvc": name}}}


PENDING = {
    "cpu": Case("unschedulable", "cpu=900", options={"resources": {"cpu": 900}}),
    "gpu": Case("unschedulable", "nvidia.com/gpu=1", options={"resources": {"gpu": 1}}),
    "selector": Case("unschedulable", "pool=none", options={"node_selector": {"pool": "none"}}),
    "no claim": Case("volume-not-bound", "'nope' is not there", options=claim("nope")),
    "no volume": Case("volume-not-bound", "'waits' has no volume", options=claim("waits")),
    "no secret to mount": Case(
        "volume-not-mounted",
        "no secret 'nope'",
        options={"volumes": {"/keys": {"secret": "nope"}}},
    ),
    "no secret": Case("container-config", "no secret 'nope'", options={"secrets": {"A": "nope/a"}}),
    "no key": Case("container-config", "no key 'b'", options={"secrets": {"A": "there/b"}}),
    "root": Case(
        "container-config", "runs as root", options={"security_context": {"runAsNonRoot": True}}
    ),
    "no such host": Case(
        "image-unreachable", "does not reach", options={"image": "no-such-host.example/x:1"}
    ),
    "bad name": Case("image-name", "no image's name", options={"image": "bad::name"}),
}


@pytest.mark.parametrize("name", PENDING)
def test_what_keeps_a_run_from_starting(name: str, lab: Lab) -> None:
    case = PENDING[name]
    put(
        lab,
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"},
         "stringData": {"a": "1"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "waits"},
         "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "nope",
                  "resources": {"requests": {"storage": "1Mi"}}}},
    )  # fmt: skip
    run = lab.submit(case.code, **case.options)
    found = diagnosed(run)
    assert found.kind == case.kind
    assert case.said in found.cause
    assert found.evidence
    assert found.next
    with pytest.raises(errors.WaitTimeout) as caught:
        run.wait(0)
    assert str(run.why()) in str(caught.value)


ENDED = {
    "memory": Case(
        "out-of-memory", "64Mi", "x = bytearray(300_000_000)", {"resources": {"memory": "64Mi"}}
    ),
    "late": Case("deadline", "2 s", LONG, {"timeout": 2}),
    "evicted": Case(
        "evicted",
        "exceeds the limit",
        "import time; open('/big/x', 'wb').write(bytes(9_000_000)); time.sleep(600)",
        {"volumes": {"/big": {"empty_dir": "1Mi"}}},
    ),
    "no command": Case("command-not-found", "'no-such'", options=command("no-such")),
    "no right to it": Case(
        "command-not-executable", "'/etc/passwd'", options=command("/etc/passwd")
    ),
    "module": Case("import", "No module named 'torch_nope'", "import torch_nope"),
    "file": Case("missing-file", "'data/x.csv'", "open('data/x.csv')"),
    "exit code": Case("exit-code", "exit code 7", "import sys; print('bad'); sys.exit(7)"),
    "signal": Case("exit-code", "SIGSEGV", "import ctypes; ctypes.string_at(0)"),
}


@pytest.mark.parametrize("name", ENDED)
def test_what_ended_a_run(name: str, lab: Lab) -> None:
    case = ENDED[name]
    run = lab.submit(case.code, **case.options)
    assert run.wait(SECONDS) is RunStatus.FAILED
    found = run.why()
    assert found is not None
    assert found.kind == case.kind
    assert case.said in found.cause
    assert found.next
    failure = run.exception()
    assert failure is not None
    assert str(found) in str(failure)


def test_a_program_of_another_machine(lab: Lab) -> None:
    put(
        lab,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prog"},
            "data": {"prog": "no program"},
        },
    )
    volume = {"name": "prog", "configMap": {"name": "prog", "defaultMode": 0o755}}
    mount = {"name": "prog", "mountPath": "/prog"}
    patch = PodPatch({"volumes": [volume]}, {"volumeMounts": [mount]})
    run = lab.submit("", patches=(patch,), **command("/prog/prog"))
    assert run.wait(SECONDS) is RunStatus.FAILED
    assert diagnosed(run).kind == "exec-format"


def test_an_image_that_is_not_there(lab: Lab) -> None:
    run = lab.submit("", image=lab.image.rpartition(":")[0] + "-nope:1")
    assert diagnosed(run).kind == "image-not-found"


def test_an_image_that_needs_credentials(lab: Lab, cluster_basic_registry: Registry) -> None:
    run = lab.submit("", image=f"{cluster_basic_registry.name}/x:1")
    assert diagnosed(run).kind == "image-denied"


def test_a_registry_that_nodes_do_not_trust(lab: Lab) -> None:
    server = json.loads(lab.config.read_text())["clusters"][0]["cluster"]["server"]
    run = lab.submit("", image=f"{server.removeprefix('https://')}/x:1")
    assert diagnosed(run).kind == "image-tls"


def test_an_image_for_another_machine(lab: Lab) -> None:
    repository, _, tag = lab.image.rpartition(":")
    host, _, path = repository.partition("/")
    url = f"http://{host}/v2/{path}/manifests/"
    kinds = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urllib.request.urlopen(urllib.request.Request(url + tag, headers=kinds)) as answer:
        content, kind = answer.read(), answer.headers["Content-Type"]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    media = "application/vnd.oci.image.index.v1+json"
    platform = {"os": "linux", "architecture": "s390x"}
    entry = {"mediaType": kind, "digest": digest, "size": len(content), "platform": platform}
    index = {"schemaVersion": 2, "mediaType": media, "manifests": [entry]}
    put = urllib.request.Request(
        url + "s390x", json.dumps(index).encode(), {"Content-Type": media}, method="PUT"
    )
    with urllib.request.urlopen(put):
        pass
    run = lab.submit("", image=f"{repository}:s390x")
    assert diagnosed(run).kind == "image-architecture"


def refused(lab: Lab, **options: Any) -> str:
    with pytest.raises(errors.ClusterError) as caught:
        lab.submit("", **options)
    assert not list(lab.runs.list())
    return str(caught.value)


def test_a_quota_that_is_used_up(lab: Lab) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    put(lab, {**quota, "spec": {"hard": {"requests.cpu": "1"}}})
    deadline = time.monotonic() + SECONDS
    while not lab.bench.get("resourcequota", "small").get("status", {}).get("hard"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "quota 'small'" in refused(lab, resources={"cpu": 2})


def test_a_quota_that_is_used_up_later_is_a_runs_cause(lab: Lab) -> None:
    run = lab.submit(LONG)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    put(lab, {**quota, "spec": {"hard": {"pods": "0"}}})
    lab.bench.kubectl("patch", "job", run.name, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    assert diagnosed(run).kind == "suspended"
    lab.bench.kubectl("patch", "job", run.name, "--type=merge", "-p", '{"spec":{"suspend":false}}')
    deadline = time.monotonic() + SECONDS
    while (found := run.why()) is None or found.kind != "quota":
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_a_policy_that_refuses(lab: Lab) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    lab.bench.kubectl("label", "namespace", lab.namespace, label)
    assert "Pod Security level 'restricted:latest'" in refused(lab)


@pytest.mark.parametrize("resource", ["jobs", "pods"])
def test_an_admission_policy_that_refuses(resource: str, lab: Lab) -> None:
    name = f"no-{resource}-{lab.namespace}"
    group = "batch" if resource == "jobs" else ""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": lab.namespace}
                },
                "resourceRules": [
                    {
                        "apiGroups": [group],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": [resource],
                    }
                ],
            },
            "validations": [{"expression": "false", "message": "not on Fridays"}],
        },
    }
    binding = {
        **policy,
        "kind": "ValidatingAdmissionPolicyBinding",
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    put(lab, policy, binding)
    try:
        text = ""
        deadline = time.monotonic() + SECONDS
        while not text:  # until the API server knows of it
            assert time.monotonic() < deadline
            try:
                lab.submit("").delete()
            except errors.ClusterError as error:
                text = str(error)
        assert f"the admission policy '{name}'" in text
        assert "not on Fridays" in text
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            lab.bench.kubectl("delete", kind, name)


@pytest.mark.alone
@pytest.mark.timeout(300)
def test_a_node_that_has_gone_away(lab: Lab, bench: Bench) -> None:
    run = lab.submit(LONG)
    next(iter(run.logs(follow=True)))
    assert run.why() is None
    kubelet = pid_of("kubelet")
    os.kill(kubelet, signal.SIGSTOP)
    try:
        assert diagnosed(run, 3 * SECONDS).kind == "node-lost"
    finally:
        os.kill(kubelet, signal.SIGCONT)
        lab.bench.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=90s")
    assert run.status is RunStatus.RUNNING


def pid_of(program: str) -> int:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                    if file.read().strip() == program:
                        return int(entry)
            except FileNotFoundError:
                continue
    raise AssertionError(f"{program} does not run")


def test_nothing_is_said_of_runs_that_go_well(lab: Lab) -> None:
    run = lab.submit("import time; print('up', flush=True); time.sleep(3)", retries=1)
    seen = set()
    while not (status := run.status).is_terminal:
        seen.add(str(status))
        assert run.why() is None
    assert "running" in seen
    assert run.status is RunStatus.SUCCEEDED
    assert run.why() is None
    assert run.exception() is None
