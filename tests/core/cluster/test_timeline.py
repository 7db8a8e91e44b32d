"""When each step of a run was, by what a cluster says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.cluster import timeline
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.handle import JobRun
from fairing_core.types import Step
from tests.core.cluster.api import NOW, Api

MADE = {"creationTimestamp": "2026-11-24T10:00:00Z"}
JOB = {"metadata": MADE, "spec": {}}
ZERO = datetime.fromisoformat(MADE["creationTimestamp"]).timestamp()


def pod(state: dict[str, Any] | None = None, *, scheduled: str = "10:00:04") -> dict[str, Any]:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": f"2026-11-24T{scheduled}Z"}
    ]
    return {
        "metadata": {"name": "x", "uid": "u", "creationTimestamp": "2026-11-24T10:00:02Z"},
        "spec": {"containers": [{"name": "main"}]},
        "status": {
            "conditions": conditions if scheduled else [],
            "containerStatuses": [{"name": "main", "state": state or {}}],
        },
    }


def event(reason: str, at: str, message: str = "") -> dict[str, Any]:
    thing = {"uid": "u", "fieldPath": "spec.containers{main}"}
    return {"reason": reason, "message": message, "firstTimestamp": f"2026-11-24T{at}Z",
            "involvedObject": thing, "metadata": {}}  # fmt: skip


def shown(*arguments: Any) -> dict[str, tuple[float, float | None]]:
    found = timeline.steps(JOB, *arguments)
    return {step.name: (round(step.began - ZERO, 3), step.seconds) for step in found}


def test_a_run_that_is_over_has_every_step() -> None:
    over = {"terminated": {"startedAt": "2026-11-24T10:00:10Z",
                           "finishedAt": "2026-11-24T10:01:10Z"}}  # fmt: skip
    events = [
        event("Pulling", "10:00:05"),
        event("Pulled", "10:00:09", 'Successfully pulled image "i" in 3.5s (4s including waiting)'),
    ]
    first = datetime.fromisoformat("2026-11-24T10:00:10.250+00:00")
    assert shown([pod(over)], events, first) == {
        "admit": (0, 2),
        "schedule": (2, 2),
        "pull": (5.5, 3.5),
        "start": (9, 1),
        "first line": (10, 0.25),
        "run": (10, 60),
    }


def test_what_goes_on_has_no_length_yet() -> None:
    assert shown([], [], None) == {"admit": (0, None)}
    assert shown([pod(scheduled="")], [], None) == {"admit": (0, 2), "schedule": (2, None)}
    pulling = [event("Pulling", "10:00:05")]
    assert shown([pod()], pulling, None)["pull"] == (5, None)
    assert shown([pod()], [], None)["start"] == (4, None)
    assert shown([pod({"running": {"startedAt": "2026-11-24T10:00:10Z"}})], [], None)["run"] == (
        10, None,
    )  # fmt: skip


def test_an_image_that_the_node_has_takes_no_pull() -> None:
    there = [event("Pulled", "10:00:05", 'Container image "i" already present on machine')]
    assert shown([pod()], there, None)["pull"] == (5, 0)


def test_other_containers_pulls_are_not_the_programs() -> None:
    other = event("Pulled", "10:00:05", "in 3s")
    other["involvedObject"]["fieldPath"] = "spec.initContainers{main}"
    assert "pull" not in shown([pod()], [other], None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("in 61ms (61ms including", 0.061), ("in 1m2.5s (", 62.5), ("in 1h0m1s.", 3601), ("", 0)],
)
def test_the_kubelets_durations(text: str, seconds: float) -> None:
    assert timeline._seconds(text) == pytest.approx(seconds)


# --- through a handle -----------------------------------------------------------------------------


def test_what_was_measured_is_kept_with_the_job(api: Api, there: Cluster) -> None:
    run = JobRun(there, api.job("x"))
    run.note([Step("package", 1.0, 0.25), Step("submit", 2.0, 0.5)])
    again = JobRun(there, there.get("/apis/batch/v1/namespaces/test/jobs/x"))
    measured = [step for step in again.timeline() if step.source == "client"]
    assert measured == [Step("package", 1.0, 0.25), Step("submit", 2.0, 0.5)]
    assert "submit 0.5 s" in repr(again)
    assert "submit 0.5 s" in again._repr_html_()


def test_who_may_not_note_still_has_a_run(api: Api, there: Cluster) -> None:
    run = JobRun(there, api.job("x"))
    api.faults = [(403, None)]
    run.note([Step("package", 1.0, 0.25)])
    assert [step.name for step in run.timeline()] == ["admit"]


def test_somebody_elses_annotation_harms_nothing(api: Api, there: Cluster) -> None:
    job = api.job("x")
    for damaged in ("{", '{"a": 1}', "[1]", '[["x", "y", 1]]'):
        job["metadata"]["annotations"] = {"fairing-steps": damaged}
        assert [step.name for step in JobRun(there, job).timeline()] == ["admit"]


def test_the_first_line_is_the_logs(api: Api, there: Cluster) -> None:
    job = api.job("x")
    api.pod(job, "x-1", {"running": {"startedAt": NOW}})["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": NOW}
    ]
    late = datetime.fromisoformat(NOW).isoformat().replace("+00:00", ".500000000Z")
    api.logs["x-1"] = [(late, b"hello\n")]
    found = {step.name: step.seconds for step in JobRun(there, job).timeline()}
    assert found["first line"] == 0.5
    api.refused_logs = "no"
    assert "first line" not in {step.name for step in JobRun(there, job).timeline()}


def test_a_repr_never_raises(api: Api, there: Cluster) -> None:
    run = JobRun(there, api.job("x"))
    api.objects.clear()
    assert "deleted" in repr(run)
    api.faults = [(403, None)] * 9
    with pytest.raises(errors.ClusterError):
        _ = run.status
    assert "unknown: Cluster" in repr(run)
