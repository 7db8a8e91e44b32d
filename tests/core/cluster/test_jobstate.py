"""What a Job and its pods say of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fairing_core.cluster import jobstate, labels
from fairing_core.types import RunStatus
from tests.core.cluster.api import NOW, condition, pod_of

RUNNING: dict[str, Any] = {"running": {"startedAt": NOW}}
WAITING: dict[str, Any] = {"waiting": {"reason": "ContainerCreating"}}


def job(*conditions: str, cancelled: bool = False, reason: str = "", **spec: Any) -> dict[str, Any]:
    annotations = {labels.CANCELLED: NOW} if cancelled else {}
    meta = {"uid": "u", "name": "j", "creationTimestamp": NOW, "annotations": annotations}
    status = {"conditions": [condition(kind, reason) for kind in conditions]}
    return {"metadata": meta, "spec": {"completions": 1, **spec}, "status": status}


def ended(code: int, message: str = "", reason: str = "") -> dict[str, Any]:
    state = {"exitCode": code, "message": message, "startedAt": NOW, "finishedAt": NOW}
    return {"terminated": {**state, "reason": reason or ("Error" if code else "Completed")}}


def pod(state: dict[str, Any], name: str = "p", **status: Any) -> dict[str, Any]:
    made = pod_of(job(), name, state)
    made["status"].update(status)
    return made


@pytest.mark.parametrize(
    ("of", "pods", "status"),
    [
        (job(), [], RunStatus.PENDING),
        (job(), [pod({})], RunStatus.PENDING),
        (job(), [pod(WAITING)], RunStatus.PENDING),
        (job(suspend=True), [], RunStatus.PENDING),
        (job(), [pod(RUNNING)], RunStatus.RUNNING),
        (job(), [pod(ended(0))], RunStatus.RUNNING),
        (job(), [pod_of(job(), "p", {"waiting": {"reason": "CrashLoopBackOff"}}, 1)],
         RunStatus.RUNNING),
        (job("SuccessCriteriaMet"), [pod(ended(0))], RunStatus.RUNNING),
        (job("Complete"), [pod(ended(0))], RunStatus.SUCCEEDED),
        (job("Complete", cancelled=True), [], RunStatus.SUCCEEDED),
        (job("FailureTarget"), [pod(RUNNING)], RunStatus.RUNNING),
        (job("Failed"), [pod(ended(1))], RunStatus.FAILED),
        (job("Failed", cancelled=True), [pod(ended(143))], RunStatus.CANCELLED),
        (job(cancelled=True), [pod(RUNNING)], RunStatus.RUNNING),
        (job(cancelled=True, suspend=True), [], RunStatus.CANCELLED),
    ],
)  # fmt: skip
def test_the_status_is_what_the_job_says(of: Any, pods: Any, status: RunStatus) -> None:
    assert jobstate.status_of(of, pods) is status


def test_a_condition_that_is_false_is_none() -> None:
    unmet = job("Complete")
    unmet["status"]["conditions"][0]["status"] = "False"
    assert jobstate.status_of(unmet, []) is RunStatus.PENDING


def test_a_record_comes_from_the_pod_and_nothing_else_does() -> None:
    record = '{"schema": 1, "returned": 3}'
    assert jobstate.outcome_of(job("Complete"), [pod(ended(0, record))]).record == record.encode()
    for other in ("", "some words", "[1]", '{"schema": 2}'):
        assert jobstate.outcome_of(job("Complete"), [pod(ended(0, other))]).record is None


def test_the_last_attempt_decides_and_of_replicas_the_one_that_failed() -> None:
    first, second = pod(ended(1), "a"), pod(ended(0), "b")
    assert jobstate.outcome_of(job("Complete"), [second, first]).exit_code == 0
    replicas = job("Failed", completions=2)
    assert jobstate.outcome_of(replicas, [second, first]).exit_code == 1
    tries = [pod(ended(3), "a"), pod(ended(4), "b")]
    assert jobstate.outcome_of(job("Failed"), tries).exit_code == 4


@pytest.mark.parametrize(
    ("of", "pods", "reason"),
    [
        (job("Failed"), [pod(ended(1))], None),
        (job("Failed"), [pod(ended(137, reason="OOMKilled"))], "OOMKilled"),
        (job("Failed"), [pod(ended(128, "no such file", "StartError"))], "no such file"),
        (job("Failed", reason="DeadlineExceeded"), [pod(ended(143))], "DeadlineExceeded"),
        (job("Failed", reason="DeadlineExceeded"), [], "DeadlineExceeded"),
        (job("Failed"), [pod(ended(137), reason="Evicted", message="disk")], "Evicted: disk"),
        (job("Failed"), [pod({}, reason="Evicted", message="memory")], "Evicted: memory"),
        (job("Failed"), [], "its pod was deleted"),
        (job("Complete"), [], "its pods are gone"),
        (job(cancelled=True, suspend=True), [], "cancelled before it started"),
        (
            job("Failed", cancelled=True),
            [pod(ended(143), reason="DeadlineExceeded")],
            "it was cancelled",
        ),
    ],
)
def test_an_end_that_the_exit_code_does_not_explain_has_a_reason(
    of: Any, pods: Any, reason: str | None
) -> None:
    found = jobstate.outcome_of(of, pods).reason
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("of", "pods", "reason"),
    [
        (job(), [], None),
        (job(), [pod(WAITING)], None),
        (job(suspend=True), [], "Suspended"),
        (job(), [pod({"waiting": {"reason": "ErrImagePull", "message": "x"}})], "ErrImagePull: x"),
        (job(), [pod({}, conditions=[{"type": "PodScheduled", "status": "False",
                                      "reason": "Unschedulable", "message": "0/1 nodes"}])],
         "Unschedulable: 0/1 nodes"),
    ],
)  # fmt: skip
def test_what_a_pending_run_waits_for(of: Any, pods: Any, reason: str | None) -> None:
    found = jobstate.waiting_for(of, pods)
    assert found is None if reason is None else str(found).startswith(reason)


def test_times_are_the_programs_own() -> None:
    four = datetime(2026, 11, 24, 4, tzinfo=UTC)
    assert jobstate.started_at([pod(RUNNING)]) == four
    assert jobstate.started_at([pod(WAITING)]) is None
    assert jobstate.ended_at(job("Complete"), [pod(ended(0))]) == four
    assert jobstate.ended_at(job("Complete"), []) == four
    assert jobstate.ended_at(job(), [pod(ended(0))]) is None
