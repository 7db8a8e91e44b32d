"""A run, its list and its URI, as told to a fake API server; a real cluster's are beside this."""

from __future__ import annotations

import json
import pickle
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.cli.output import run_fields
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.runs import ClusterRuns
from fairing_core.types import RunStatus
from tests.core.cluster.api import NOW, Api, condition, stamp

RECORD = {"schema": 1, "returned": [1, 2]}


def ended(code: int = 0, record: object = None) -> dict[str, Any]:
    end = {"exitCode": code, "startedAt": NOW, "finishedAt": NOW, "reason": "Completed"}
    return {"terminated": {**end, "message": json.dumps(record) if record else ""}}


@pytest.fixture
def runs(there: Cluster) -> ClusterRuns:
    return ClusterRuns(there)


def test_a_result_comes_home_in_the_pods_status(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train", "Complete")
    api.pod(job, "train-abcde", ended(record=RECORD))
    assert runs.get("train").result() == [1, 2]


def returning(api: Api, *conditions: str) -> None:
    env = [{"name": "FAIRING_RESULT", "value": "/dev/termination-log"}]
    template = {"spec": {"containers": [{"name": "fairing-job", "env": env}]}}
    api.job("train", *conditions, template=template)


def test_a_result_whose_pod_is_gone_is_not_none(api: Api, runs: ClusterRuns) -> None:
    # Ended pods go with their node, and clusters make themselves smaller.
    returning(api, "Complete")
    with pytest.raises(errors.ResultUnavailable, match="its pod is gone"):
        runs.get("train").result()
    api.job("script", "Complete")
    assert runs.get("script").result() is None


@pytest.mark.parametrize("follow", [False, True])
def test_a_log_whose_pod_is_gone_is_a_gap(api: Api, runs: ClusterRuns, follow: bool) -> None:
    api.job("train", "Complete")
    (line,) = runs.get("train").logs(follow)
    assert line.startswith("[fairing: lines may be missing here: its pods were deleted")


@pytest.mark.parametrize("follow", [False, True])
def test_a_run_that_never_started_has_an_empty_log(
    api: Api, runs: ClusterRuns, follow: bool
) -> None:
    job = api.job("train", suspend=True)
    job["metadata"]["annotations"] = {"fairing-cancelled": NOW}
    assert list(runs.get("train").logs(follow)) == []


def test_an_exception_comes_home_with_its_traceback(api: Api, runs: ClusterRuns) -> None:
    raised = {"type": "KeyError", "module": "builtins", "message": "'x'", "traceback": "in fail"}
    job = api.job("train", "Failed")
    api.pod(job, "train-abcde", ended(1, {"schema": 1, "raised": raised}))
    api.logs["train-abcde"] = [(stamp(0), b"before\n")]
    failure = runs.get("train").exception()
    assert failure is not None
    assert (failure.type, failure.returncode) == ("KeyError", 1)
    assert runs.get("train").outcome().tail == "before\n"


def test_a_run_that_goes_on_has_no_outcome(api: Api, runs: ClusterRuns) -> None:
    api.job("train")
    with pytest.raises(errors.RunError, match="still pending"):
        runs.get("train").outcome()


def test_a_uri_finds_it_and_its_pickle_does(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train")
    run = runs.get("train")
    uid = job["metadata"]["uid"]
    assert run.uri == f"fairing://kubernetes/test/job/train?uid={uid}"
    assert runs.get(run.uri) == run == pickle.loads(pickle.dumps(run))
    assert hash(runs.get(run.uri)) == hash(run)
    assert run.url is None


@pytest.mark.parametrize(
    "uri",
    ["fairing://local/test/job/train", "fairing://kubernetes/test/tfjob/train",
     "fairing://kubernetes/train", "none", "fairing://kubernetes/test/job/train?uid=other"],
)  # fmt: skip
def test_another_uri_is_not_found(api: Api, runs: ClusterRuns, uri: str) -> None:
    api.job("train")
    with pytest.raises(errors.RunNotFound) as caught:
        runs.get(uri)
    assert caught.value.uri == uri


def test_what_is_shown_of_a_run_whose_cluster_is_ahead_of_this_clock(
    api: Api, runs: ClusterRuns
) -> None:
    ahead = (datetime.now(UTC) + timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    job = api.job("train")
    api.pod(job, "train-abcde", {"running": {"startedAt": ahead}})
    shown = run_fields(runs.get("train"))
    assert (shown["age"], shown["took"]) == ("0s", "0.0s")


def test_a_job_that_is_no_run_is_not_found_and_so_not_deleted(api: Api, runs: ClusterRuns) -> None:
    api.job("nightly")["metadata"]["labels"] = {"app": "backup"}
    with pytest.raises(errors.RunNotFound, match=r"the Job 'nightly' .* is no run of Fairing's"):
        runs.get("nightly")


def test_a_list_asks_twice_whatever_its_length(api: Api, runs: ClusterRuns) -> None:
    for number in range(30):
        job = api.job(f"run-{number}", "Complete")
        pod = api.pod(job, f"run-{number}-abcde", ended())
        pod["metadata"]["labels"] = {**pod["metadata"]["labels"], **job["metadata"]["labels"]}
    api.asked.clear()
    seen = [run.snapshot() for run in runs.list()]
    assert len(api.asked) == 2
    assert {(one.status, one.exit_code) for one in seen} == {(RunStatus.SUCCEEDED, 0)}


def test_a_listed_run_is_looked_at_anew_the_next_time(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train")
    (run,) = runs.list()
    job["status"] = {"conditions": [condition("Complete")]}
    assert run.snapshot().status is RunStatus.PENDING
    assert run.snapshot().status is RunStatus.SUCCEEDED
    assert run.status is RunStatus.SUCCEEDED


def test_the_newest_is_first_and_what_is_not_ours_is_left_out(api: Api, runs: ClusterRuns) -> None:
    for name, moment in (("old", "2026-01-01T00:00:00Z"), ("new", NOW), ("other", NOW)):
        api.job(name)["metadata"]["creationTimestamp"] = moment
    api.objects["/apis/batch/v1/namespaces/test/jobs/other"]["metadata"]["labels"] = {}
    assert [run.name for run in runs.list()] == ["new", "old"]


def test_cancel_marks_the_job_and_gives_it_no_more_time(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train", suspend=True)
    run = runs.get("train")
    run.cancel()
    assert job["spec"]["activeDeadlineSeconds"] == 1
    assert run.status is RunStatus.CANCELLED
    run.cancel()
    assert [method for method, _ in api.asked].count("PATCH") == 1


def test_a_deleted_run_is_gone_for_its_handle_and_its_list(api: Api, runs: ClusterRuns) -> None:
    api.job("train")
    run = runs.get("train")
    run.delete()
    assert list(runs.list()) == []
    for look in (lambda: run.status, run.snapshot, lambda: runs.get(run.uri)):
        with pytest.raises(errors.RunNotFound):
            look()
    assert "deleted" in repr(run)


def test_events_are_in_order_and_whose(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train")
    for number, moment in (("1", "2026-11-24T05:00:00Z"), ("2", NOW)):
        thing = {"uid": job["metadata"]["uid"], "kind": "Job", "name": "train"}
        api.objects[f"/api/v1/namespaces/test/events/{number}"] = {
            "metadata": {}, "reason": f"R{number}", "lastTimestamp": moment, "message": "m",
            "involvedObject": thing,
        }  # fmt: skip
    events = runs.get("train").events()
    assert [(event.name, event.fields["object"]) for event in events] == [
        ("R2", "job/train"),
        ("R1", "job/train"),
    ]


def test_an_event_without_a_time_of_its_own_was_when_it_was_noted(
    api: Api, runs: ClusterRuns
) -> None:
    # The API server asks for none of them, and some controllers give none.
    job = api.job("train")
    thing = {"uid": job["metadata"]["uid"], "kind": "Job", "name": "train"}
    api.objects["/api/v1/namespaces/test/events/1"] = {
        "metadata": {"creationTimestamp": NOW}, "reason": "R", "involvedObject": thing,
        "firstTimestamp": None, "lastTimestamp": None, "eventTime": None,
    }  # fmt: skip
    run = runs.get("train")
    assert [event.time for event in run.events()] == [datetime.fromisoformat(NOW).timestamp()]
    assert run.why() is None


def test_what_is_cleaned_up_keeps_its_end_in_that_handle(api: Api, runs: ClusterRuns) -> None:
    job = api.job("train", "Complete")
    api.pod(job, "train-abcde", ended(record=RECORD))
    run = runs.get("train")
    run.clean_up()
    assert run.result() == [1, 2]
    assert list(runs.list()) == []
    run.delete()
    with pytest.raises(errors.RunNotFound):
        _ = run.status


# --- what it leaves behind ------------------------------------------------------------------------

KEPT = [(stamp(1), b"\x1e[fairing: the program has ended with exit code 0; ...]\n")]


def keeping(api: Api, *conditions: str, outputs: Any = ("a",), **spec: Any) -> dict[str, Any]:
    """A Job whose pods are kept for `outputs`."""
    env = [{"name": "FAIRING_KEEP", "value": "600"},
           {"name": "FAIRING_OUTPUTS", "value": json.dumps(outputs)}]  # fmt: skip
    template = {"spec": {"containers": [{"name": "fairing-job", "env": env}]}}
    return api.job("train", *conditions, template=template, **spec)


def brought_home(folder: Path, job: dict[str, Any], pod: str, *, error: str = "") -> None:
    """A pod's outputs, as they are once they were fetched."""
    place = folder / job["metadata"]["uid"] / pod
    (place / "files").mkdir(parents=True)
    (place / "files" / "a").write_text(pod)
    index: list[dict[str, Any]] = [{"path": "a", "size": len(pod), "sha256": "0"}]
    if error:
        index.append({"path": "b/*.txt", "size": 0, "sha256": "", "error": error})
    (place / "index.json").write_text(json.dumps(index))


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    return tmp_path / "artifacts"


def test_an_earlier_attempts_outputs_are_not_taken_for_the_last_ones(
    api: Api, runs: ClusterRuns, artifacts: Path
) -> None:
    job = keeping(api, "Complete", backoffLimit=1)
    for name, code in (("train-aaaaa", 1), ("train-bbbbb", 0)):
        api.pod(job, name, ended(code))
        api.logs[name] = KEPT
    brought_home(artifacts, job, "train-aaaaa")
    with pytest.raises(errors.ResultUnavailable, match=r"\(train-bbbbb\) was kept for that"):
        runs.get("train").artifacts()
    brought_home(artifacts, job, "train-bbbbb")
    assert [one.content.read_text() for one in runs.get("train").artifacts()] == ["train-bbbbb"]


def test_of_several_pods_those_whose_outputs_are_lost_are_named(
    api: Api, runs: ClusterRuns, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = keeping(api, "Complete", completions=2)
    for name in ("train-aaaaa", "train-bbbbb"):
        api.pod(job, name, ended())
        api.logs[name] = KEPT
    brought_home(artifacts, job, "train-aaaaa")
    assert [one.path for one in runs.get("train").artifacts()] == ["aaaaa/a"]
    assert "(train-bbbbb) was kept for that" in caplog.text


def test_outputs_that_were_not_there_are_named(
    api: Api, runs: ClusterRuns, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = keeping(api, "Complete", outputs=["a", "b/*.txt"])
    api.pod(job, "train-aaaaa", ended())
    api.logs["train-aaaaa"] = [(stamp(0), b"x\n")]
    assert runs.get("train").artifacts() == []
    assert "nothing of what train was to leave behind is home: a, b/*.txt" in caplog.text
    caplog.clear()
    brought_home(artifacts, job, "train-aaaaa", error="there is no such file")
    assert [one.path for one in runs.get("train").artifacts()] == ["a"]
    assert caplog.messages == ["train: the output 'b/*.txt' is left out: there is no such file"]


def test_a_run_without_outputs_is_not_said_to_lack_some(
    api: Api, runs: ClusterRuns, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = keeping(api, "Complete", outputs=())
    api.pod(job, "train-aaaaa", ended(record=RECORD))
    assert runs.get("train").artifacts() == []
    assert caplog.messages == []


def test_who_cancels_a_run_that_is_kept_does_not_begin_to_fetch(
    api: Api, runs: ClusterRuns, artifacts: Path
) -> None:
    job = keeping(api)
    pod = api.pod(job, "train-aaaaa", {"running": {"startedAt": NOW}})
    pod["metadata"]["annotations"] = {"fairing-keeper": '["keeper"]'}
    api.logs["train-aaaaa"] = KEPT

    def end() -> None:
        job["status"] = {"conditions": [condition("Failed")]}

    threading.Timer(0.5, end).start()
    run = runs.get("train")
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert [path for _, path in api.asked if "/exec" in path or "/log" in path] == []
