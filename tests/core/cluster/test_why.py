"""What objects of a cluster say of a run's cause, also where a bench can't provoke it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from fairing_core.cluster.why import diagnose, of_refusal
from fairing_core.types import Diagnosis, Outcome

TIME = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:09Z"


def job(*, failed: str = "", **spec: Any) -> Mapping[str, Any]:
    conditions = [{"type": "Failed", "status": "True", "reason": failed, "message": "m"}]
    return {
        "metadata": {"name": "train", "uid": "j", "labels": {}, "annotations": {}},
        "spec": spec,
        "status": {"conditions": conditions if failed else []},
    }


def pod(
    state: Mapping[str, Any] | None = None,
    *conditions: tuple[str, str, str],
    phase: str = "Pending",
    **status: Any,
) -> Mapping[str, Any]:
    told = [{"type": k, "status": s, "message": m, "reason": m} for k, s, m in conditions]
    return {
        "metadata": {"name": "train-x", "uid": "p", "creationTimestamp": TIME},
        "spec": {"containers": [{"name": "main", "image": "r.example/x:1"}], "nodeName": "one"},
        "status": {
            "phase": phase,
            "conditions": told,
            "containerStatuses": [{"name": "main", "state": state}] if state else [],
            **status,
        },
    }


def event(reason: str, message: str = "m", *, of: str = "p", at: str = LATER) -> Mapping[str, Any]:
    thing = {"uid": of, "kind": "Pod", "name": "train-x"}
    return {"reason": reason, "message": message, "involvedObject": thing, "lastTimestamp": at}


def found(
    the_job: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]] = (),
    events: Sequence[Mapping[str, Any]] = (),
    outcome: Outcome | None = None,
) -> Diagnosis:
    diagnosis = diagnose(the_job, pods, events, outcome)
    assert diagnosis is not None
    return diagnosis


ENDED = {"terminated": {"exitCode": 137, "reason": "Error"}}


@pytest.mark.parametrize(
    ("message", "kind", "said"),
    [
        ('admission webhook "w.example" denied the request: no', "admission", "'w.example'"),
        ('serviceaccount "robot" not found', "service-account", "'robot'"),
        ('Error creating: pods "x-" is forbidden: failed quota: lab: must specify cpu', "quota",
         "'lab'"),
        ("something new", "not-admitted", "something new"),
    ],
)  # fmt: skip
def test_a_refusal_names_who_refused(message: str, kind: str, said: str) -> None:
    diagnosis = of_refusal(message)
    assert diagnosis.kind == kind
    assert said in diagnosis.cause


def test_a_refusal_counts_until_a_pod_is_made() -> None:
    refused = [event("FailedCreate", "exceeded quota: lab, requested", of="j", at=LATER)]
    assert found(job(), (), refused).kind == "quota"
    assert diagnose(job(), [pod()], refused, None) is None
    gone = {**pod(phase="Failed"), "metadata": {"name": "a", "creationTimestamp": LATER + "1"}}
    assert diagnose(job(), [gone], refused, None) is None


def test_a_taint_is_named() -> None:
    message = "0/2 nodes are available: 2 node(s) had untolerated taint {gpu: only}."
    taint = found(job(), [pod(None, ("PodScheduled", "False", message))])
    assert taint.kind == "unschedulable"
    assert "{gpu: only}" in taint.cause


def test_a_queue_that_holds_a_run_is_named() -> None:
    held = job(suspend=True)
    held["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "team"
    assert "'team'" in found(held).cause


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("PreemptionByScheduler", "preempted"),
        ("DeletionByTaintManager", "node-lost"),
        ("EvictionByEvictionAPI", "evicted"),
    ],
)
def test_a_pod_that_was_disrupted(reason: str, kind: str) -> None:
    ended = pod(ENDED, ("DisruptionTarget", "True", reason), phase="Failed")
    assert found(job(failed="BackoffLimitExceeded"), [ended], (), Outcome(137)).kind == kind


def test_pods_that_are_gone_leave_their_events() -> None:
    failed = job(failed="BackoffLimitExceeded")
    assert found(failed, (), [event("TaintManagerEviction")], Outcome(None)).kind == "node-lost"
    assert found(failed, (), [event("Killing")], Outcome(None)).kind == "pod-deleted"


def test_a_node_is_lost_only_while_it_is_silent() -> None:
    running = {"running": {"startedAt": TIME}}
    silent = pod(running, ("Ready", "False", ""), ("ContainersReady", "True", ""), phase="Running")
    well = pod(running, ("Ready", "True", ""), ("ContainersReady", "True", ""), phase="Running")
    said = [event("NodeNotReady")]
    assert found(job(), [silent], said).kind == "node-lost"
    assert diagnose(job(), [well], said, None) is None
    assert diagnose(job(), [silent], (), None) is None


def test_what_a_node_got_over_is_no_cause() -> None:
    creating = pod({"waiting": {"reason": "ContainerCreating"}})
    failed = event("FailedMount", 'MountVolume.SetUp failed for volume "x" : timed out')
    assert found(job(), [creating], [failed]).kind == "volume-not-mounted"
    assert diagnose(job(), [creating], [failed, event("Pulling")], None) is None
    assert found(job(), [creating], [event("FailedCreatePodSandBox")]).kind == "sandbox"


def test_one_pod_of_many_that_waits_is_the_cause() -> None:
    running = pod({"running": {"startedAt": TIME}}, phase="Running")
    waits = pod({"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}})
    assert found(job(), [running, waits]).kind == "image-not-found"


def test_an_init_container_that_can_not_start_is_the_cause() -> None:
    waits = {"name": "first", "state": {"waiting": {"reason": "ErrImagePull", "message": "?"}}}
    waiting = pod({"waiting": {"reason": "PodInitializing"}}, initContainerStatuses=[waits])
    assert found(job(), [waiting]).kind == "image"


def test_a_node_without_memory_and_a_run_without_a_limit() -> None:
    ended = pod({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, phase="Failed")
    diagnosis = found(job(failed="BackoffLimitExceeded"), [ended], (), Outcome(137))
    assert diagnosis.kind == "out-of-memory"
    assert "no limit of its own" in diagnosis.cause
