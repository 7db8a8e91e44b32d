"""One build's Job from its start to its end, on an API server that does as it is told."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.build.cluster import run as run_of
from fairing_core.build.cluster.job import Rendered
from fairing_core.build.cluster.run import BuildRun, ending_by_sigterm, sweep
from fairing_core.cluster.client import Cluster
from fairing_core.types import OwnedSecret, unheard
from tests.core.cluster.api import NOW, Api, Object, condition

DIGEST = f"sha256:{'0' * 64}"
JOBS = "/apis/batch/v1/namespaces/test/jobs"
LABELS = {"app.kubernetes.io/managed-by": "fairing", "fairing-builder": "kaniko"}
Becomes = Callable[[Object], object]


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(run_of, "_POLL", (0.01, 0.02))
    monkeypatch.setattr(run_of, "_HOPELESS", dict.fromkeys(run_of._HOPELESS, 0.0))
    api = Api(tmp_path)
    yield api
    api.close()


def rendered(**spec: Any) -> Rendered:
    template = {"spec": {"containers": [{"name": "build"}], **spec}}
    job = {
        "metadata": {"name": "b-1", "namespace": "test", "labels": LABELS},
        "spec": {"suspend": True, "completions": 1, "template": template},
    }
    return Rendered(job, (OwnedSecret("logins", {"config.json": b"s3cr3t"}),), "namespace=")


def pod(api: Api, job: Object, state: Object, **status: Any) -> Object:
    made = api.pod(job, "b-1-abcde", state)
    made["spec"]["containers"][0]["name"] = "build"
    made["spec"]["restartPolicy"] = "Never"
    made["status"]["containerStatuses"][0]["name"] = "build"
    made["status"].update(status)
    return made


def ending(api: Api, code: int, message: str = "", *lines: str, reason: str = "Error") -> Becomes:
    """What a Job becomes whose engine ends so."""
    end = {"exitCode": code, "message": message, "reason": reason, "startedAt": NOW,
           "finishedAt": NOW}  # fmt: skip

    def become(job: Object) -> None:
        pod(api, job, {"terminated": end}, phase="Failed" if code else "Succeeded")
        told = condition("Failed" if code else "Complete")
        job["status"] = {"conditions": [told]}
        api.logs["b-1-abcde"] = [
            (f"2026-11-24T04:00:00.{at:09}Z", f"{line}\n".encode()) for at, line in enumerate(lines)
        ]

    return become


def waiting(api: Api, reason: str, message: str = "") -> Becomes:
    state = {"waiting": {"reason": reason, "message": message}}
    return lambda job: pod(api, job, state, phase="Pending")


def build(api: Api, become: Becomes, *, seconds: float = 30, heard: Any = unheard) -> str:
    api.on_job = become
    run = BuildRun(Cluster(config_file=api.config), rendered(), heard)
    try:
        return run.digest(feed=None, start_timeout=seconds)
    finally:
        run.close()


def failed(api: Api, become: Becomes, **more: Any) -> errors.BuildError:
    with pytest.raises(errors.BuildError) as caught:
        build(api, become, **more)
    assert f"{JOBS}/b-1" not in api.objects
    return caught.value


def test_a_build_gives_its_digest_and_its_log_and_leaves_no_job(api: Api) -> None:
    heard: list[str] = []
    become = ending(api, 0, f"{DIGEST}\n", "Building", "Pushed", reason="Completed")
    found = build(api, become, heard=lambda name, **fields: heard.append(fields["line"]))
    assert found == DIGEST
    assert heard == ["Building", "Pushed"]
    assert f"{JOBS}/b-1" not in api.objects


def test_secrets_are_there_before_it_starts(api: Api) -> None:
    build(api, ending(api, 0, DIGEST))
    verbs = [(verb, path.rpartition("/")[2]) for verb, path in api.asked if verb != "GET"]
    assert verbs == [("POST", "jobs"), ("POST", "secrets"), ("PATCH", "b-1"), ("DELETE", "b-1")]
    secret = api.objects["/api/v1/namespaces/test/secrets/b-1-logins"]
    assert secret["metadata"]["ownerReferences"][0]["name"] == "b-1"


def test_an_engine_that_tells_no_digest_has_built_nothing(api: Api) -> None:
    error = failed(api, ending(api, 0, "done"))
    assert error.kind == "no-digest"
    assert "'done'" in str(error)


def test_a_failure_is_told_by_the_engine_s_log(api: Api) -> None:
    said = ("Step 1", "error building image: waiting for process to exit: exit status 7")
    error = failed(api, ending(api, 7, "", *said))
    assert error.kind == "run-failed"
    assert "(exit code 7)" in str(error)
    assert error.tail == "".join(f"{line}\n" for line in said)


def test_a_log_that_names_no_error_gives_the_exit_code(api: Api) -> None:
    error = failed(api, ending(api, 3, "", "so be it"))
    assert error.kind == "failed"
    assert "exit code 3, and its log names no error" in str(error)


def test_out_of_memory_is_the_cluster_s_word_and_says_what_to_do(api: Api) -> None:
    error = failed(api, ending(api, 137, "", "Taking snapshot", reason="OOMKilled"))
    assert error.kind == "out-of-memory"
    assert "resources={'memory': ...}" in str(error)


def test_what_no_waiting_cures_ends_at_once(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    error = failed(api, waiting(api, "CreateContainerConfigError", 'secret "nope" not found'))
    assert error.kind == "container-config"
    assert "there is no secret 'nope'" in str(error)


def test_what_may_pass_is_waited_for_and_said(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def become(job: Object) -> None:
        made = pod(api, job, {"waiting": {"reason": "ContainerCreating"}}, phase="Pending")
        told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient cpu."}  # fmt: skip
        made["status"]["conditions"] = [told]

    error = failed(api, become, seconds=1.5)
    assert error.kind == "unschedulable"
    assert "start_timeout" in str(error)
    assert "the build b-1 waits: no node has room" in caplog.text


def test_a_pod_that_says_nothing_is_not_waited_for_for_ever(api: Api) -> None:
    error = failed(api, waiting(api, "ContainerCreating"), seconds=0.3)
    assert error.kind == "not-started"


def test_a_job_that_somebody_deletes_is_told(api: Api) -> None:
    def become(job: Object) -> None:
        pod(api, job, {"waiting": {"reason": "ContainerCreating"}}, phase="Pending")

    api.on_job = become
    run = BuildRun(Cluster(config_file=api.config), rendered(), unheard)
    del api.objects[f"{JOBS}/b-1"]
    with pytest.raises(errors.BuildError, match="somebody deleted its Job") as caught:
        run.digest(feed=None, start_timeout=30)
    assert caught.value.kind == "deleted"
    run.close()


def test_a_job_whose_secrets_are_refused_goes_again(api: Api) -> None:
    def become(job: Object) -> None:
        message = 'secrets is forbidden: User "u" cannot create resource "secrets"'
        api.faults = [(403, {"message": message})]

    api.on_job = become
    with pytest.raises(errors.ClusterDenied, match="create secrets"):
        BuildRun(Cluster(config_file=api.config), rendered(), unheard)
    assert f"{JOBS}/b-1" not in api.objects


def test_who_may_not_delete_is_told_that_it_expires(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    run = BuildRun(Cluster(config_file=api.config), rendered(), unheard)
    api.faults = [(403, None)]
    run.close()
    assert "the build b-1 is left to expire" in caplog.text


def test_only_what_was_never_started_is_swept_and_only_once_it_is_old(api: Api) -> None:
    for name, suspend in (("old", True), ("going", False)):
        api.job(name, suspend=suspend)["metadata"]["labels"] = LABELS
    cluster = Cluster(config_file=api.config)
    made = datetime(2026, 11, 24, 4, tzinfo=UTC)
    sweep(cluster, "test", now=made + timedelta(seconds=599))
    assert f"{JOBS}/old" in api.objects
    sweep(cluster, "test", now=made + timedelta(seconds=601))
    assert f"{JOBS}/old" not in api.objects
    assert f"{JOBS}/going" in api.objects


def test_sigterm_ends_a_build_only_where_nobody_else_minds_it() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with pytest.raises(SystemExit) as caught, ending_by_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with ending_by_sigterm():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
