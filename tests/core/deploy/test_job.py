"""The Job that is made of a request, and what becomes of it at a fake API server."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fairing_core import errors, k8s_utils
from fairing_core.cluster.client import Cluster
from fairing_core.deploy.job import JobDeployer
from fairing_core.types import DeployRequest, PodPatch
from tests.core.cluster.api import NOW, Api, stamp

IMAGE = "r.example/app@sha256:" + "0" * 64


def request(**more: Any) -> DeployRequest:
    more.setdefault("name", "train-x")
    return DeployRequest(IMAGE, more.pop("command", ("python", "/app/train.py")), **more)


def job_of(deployer: JobDeployer | None = None, **more: Any) -> dict[str, Any]:
    (job,) = (deployer or JobDeployer()).render(request(**more))
    return copy.deepcopy(dict(job))


def pod_of(deployer: JobDeployer | None = None, **more: Any) -> dict[str, Any]:
    spec: dict[str, Any] = job_of(deployer, **more)["spec"]["template"]["spec"]
    return spec


def main_of(deployer: JobDeployer | None = None, **more: Any) -> dict[str, Any]:
    container: dict[str, Any] = pod_of(deployer, **more)["containers"][0]
    return container


# --- what is rendered -----------------------------------------------------------------------------


def test_the_job_is_whole() -> None:
    labels = {
        "app.kubernetes.io/managed-by": "fairing",
        "fairing-deployer": "job",
        "fairing-id": "train-x",
    }
    assert job_of(args=("--epochs", "3")) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "train-x", "labels": labels, "annotations": {}},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 604_800,
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"sidecar.istio.io/inject": "false"},
                },
                "spec": {
                    "restartPolicy": "Never",
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [
                        {
                            "name": "fairing-job",
                            "image": IMAGE,
                            "command": ["python", "/app/train.py"],
                            "args": ["--epochs", "3"],
                            "workingDir": "/app",
                            "env": [
                                {"name": "FAIRING_RUNTIME", "value": "1"},
                                {"name": "PYTHONUNBUFFERED", "value": "1"},
                            ],
                            "securityContext": {"allowPrivilegeEscalation": False},
                        }
                    ],
                },
            },
        },
    }


DOLLARS = "$(HOME) $$ $é $HOME $"
DOUBLED = "$$(HOME) $$$ $$é $HOME $"


def test_what_kubernetes_would_expand_is_written_so_that_it_does_not() -> None:
    container = main_of(
        JobDeployer(env={"A": DOLLARS}),
        command=("python", "/app/$(x).py"),
        args=("$(A)", DOLLARS),
        patches=(k8s_utils.add_env({"B": DOLLARS}),),
        outputs=("$(x).txt",),
        keeper="/app/keep.py",
    )
    assert container["command"][-1] == "/app/$$(x).py"
    assert container["args"] == ["$$(A)", DOUBLED]
    values = {one["name"]: one["value"] for one in container["env"]}
    assert (values["A"], values["B"]) == (DOUBLED, DOUBLED)
    assert values["FAIRING_OUTPUTS"] == '["$$(x).txt"]'


def test_a_patch_may_refer_to_variables_as_kubernetes_does() -> None:
    env = [{"name": "URL", "value": "http://$(HOST)/"}]
    container = main_of(patches=(PodPatch(container={"env": env}),))
    assert env[0] in container["env"]


@pytest.mark.parametrize(
    "more",
    [
        {"args": ("fine", "\udcff")},
        {"command": ("python", "/app/\udcff.py")},
        {"patches": (k8s_utils.add_env({"A": "\udcff"}),)},
    ],
)
def test_bytes_that_are_no_utf8_are_refused(more: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="no UTF-8"):
        job_of(**more)


def test_rendering_is_pure_and_the_same_each_time() -> None:
    deployer = JobDeployer(labels={"team": "ml"}, env={"A": "1"})
    asked = request(patches=(k8s_utils.add_env({"B": "2"}),))
    before = repr(asked)
    assert json.dumps(deployer.render(asked)) == json.dumps(deployer.render(asked))
    assert repr(asked) == before


def test_a_pod_whose_user_is_known_passes_restricted() -> None:
    pod = pod_of(uid=1000, gid=100)
    assert pod["securityContext"] == {
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 100,
    }
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "runAsUser" not in pod_of(uid=0)["securityContext"]


def test_a_function_is_told_where_its_result_goes_and_how_much() -> None:
    env = {one["name"]: one["value"] for one in main_of(returns=True)["env"]}
    assert env["FAIRING_RESULT"] == "/dev/termination-log"
    assert env["FAIRING_RESULT_LIMIT"] == "4096"


def test_later_words_win_patches_then_the_deployers_own_then_its_options() -> None:
    ours = JobDeployer(pod_spec_mutators=[k8s_utils.add_env({"A": "own", "B": "own"})],
                       env={"B": "option"})  # fmt: skip
    env = main_of(ours, patches=(k8s_utils.add_env({"A": "asked", "C": "asked"}),))["env"]
    values = {one["name"]: one["value"] for one in env}
    assert {key: values[key] for key in "ABC"} == {"A": "own", "B": "option", "C": "asked"}


def test_labels_and_annotations_reach_job_and_pod_and_a_sidecar_may_be_wanted() -> None:
    deployer = JobDeployer(
        labels={"team": "ml"}, annotations={"sidecar.istio.io/inject": "true"}, deployer_type="x"
    )
    patch = PodPatch(labels={"pod": "only"}, annotations={"a": "b"})
    job = job_of(deployer, patches=(patch,))
    assert job["metadata"]["labels"]["team"] == "ml"
    meta = job["spec"]["template"]["metadata"]
    assert {"team": "ml", "pod": "only", "fairing-deployer": "x"}.items() <= meta["labels"].items()
    assert meta["annotations"] == {"sidecar.istio.io/inject": "true", "a": "b"}


def test_runs_retries_timeout_and_ttl() -> None:
    spec = job_of(JobDeployer(runs=3, retries=2, timeout=90, ttl=None))["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (3, 3, 2)
    assert spec["template"]["spec"]["activeDeadlineSeconds"] == 90
    assert "ttlSecondsAfterFinished" not in spec


@pytest.mark.parametrize(
    ("options", "text"),
    [({"runs": 0}, "runs=0"), ({"retries": -1}, "retries=-1"), ({"ttl": 1.5}, "ttl=1.5"),
     ({"timeout": 0}, "timeout=0")],
)  # fmt: skip
def test_numbers_that_can_not_be_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InputError, match=text):
        JobDeployer(**options)


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"name": "x" * 64}, errors.InvalidArgument, "at most 63"),
        ({"command": ()}, errors.EmptyEntry, "train-x has no command"),
        ({"args": ("a\0",)}, errors.InvalidArgument, "argument 2 has a NUL"),
        ({"patches": (PodPatch(container={"env": [{"name": "A", "value": "\0"}]}),)},
         errors.InvalidArgument, "variable 'A'"),
    ],
)  # fmt: skip
def test_what_no_pod_can_be_is_refused(more: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        job_of(**more)


# --- what is submitted ----------------------------------------------------------------------------


def test_it_is_created_in_the_namespace_and_found_by_its_uri(api: Api, there: Cluster) -> None:
    deployer = JobDeployer(there, "lab")
    run = deployer.submit(deployer.render(request()))
    assert run.uri.startswith("fairing://lab/test/job/train-x?uid=")
    assert deployer.job_id == "train-x"
    other = JobDeployer(there, namespace="elsewhere")
    assert other.submit(other.render(request())).namespace == "elsewhere"


def test_mutators_get_the_pod_last_the_deployers_own_first(api: Api, there: Cluster) -> None:
    def named(name: str) -> Any:
        def mutator(kube_manager: object, pod_spec: Any, namespace: str) -> None:
            assert kube_manager is there
            pod_spec.service_account_name = f"{pod_spec.service_account_name}-{name}-{namespace}"

        return mutator

    deployer = JobDeployer(there, pod_spec_mutators=[named("own")], service_account="a")
    deployer.submit(deployer.render(request()), [named("asked")])
    job = api.objects["/apis/batch/v1/namespaces/test/jobs/train-x"]
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "a-own-test-asked-test"


def test_a_mutator_that_raises_leaves_nothing(api: Api, there: Cluster) -> None:
    deployer = JobDeployer(there)
    with pytest.raises(errors.MutatorFailed, match="<lambda> raised ZeroDivisionError"):
        deployer.submit(deployer.render(request()), [lambda *_: 1 / 0])
    assert api.objects == {}


def test_a_pod_that_may_not_be_is_said_and_leaves_nothing(api: Api, there: Cluster) -> None:
    api.pods_refused = 'violates PodSecurity "restricted:latest"'
    deployer = JobDeployer(there)
    with pytest.raises(
        errors.ClusterError, match=r"(?s)makes no pod of train-x .* violates PodSec"
    ):
        deployer.submit(deployer.render(request()))
    assert [path for path in api.objects if "/jobs/" in path] == []


def test_a_name_that_is_taken_is_told_from_other_faults(api: Api, there: Cluster) -> None:
    api.job("train-x")
    deployer = JobDeployer(there)
    with pytest.raises(errors.InvalidArgument, match="'train-x' is the name of another Job"):
        deployer.submit(deployer.render(request()))


def test_a_job_that_is_held_back_is_not_waited_for(api: Api, there: Cluster) -> None:
    deployer = JobDeployer(there)
    (job,) = deployer.render(request())
    api.pods_refused = "not yet"
    held = {**job, "spec": {**job["spec"], "suspend": True}}
    assert deployer.submit([held]).snapshot().reason is not None


def test_output_prints_the_job(
    api: Api, there: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployer = JobDeployer(there, output=True)
    deployer.submit(deployer.render(request()))
    assert json.loads(capsys.readouterr().out)["metadata"]["namespace"] == "test"


# --- as the original's Job ------------------------------------------------------------------------


def test_deploy_runs_a_pod_spec_and_shows_its_output(
    api: Api, there: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployer = JobDeployer(there, job_name="old", cleanup=True, env={"B": "2"})
    end = {"exitCode": 0, "startedAt": NOW, "finishedAt": NOW}
    api.on_job = lambda job: (
        api.pod(job, "old-abcde", {"terminated": end}),
        job.update(status={"conditions": [{"type": "Complete", "status": "True"}]}),
    )
    api.logs["old-abcde"] = [(stamp(0), b"hello\n")]
    assert deployer.deploy({"containers": [{"name": "model", "image": "x"}]}) == "old"
    assert capsys.readouterr().out == "hello\n"
    assert [path for path in api.objects if "/jobs/" in path] == []
    assert deployer.run is not None
    assert deployer.run.status.is_terminal


def test_a_deployed_job_is_deleted_by_its_deployer(api: Api, there: Cluster) -> None:
    deployer = JobDeployer(there, stream_log=False)
    name = deployer.deploy({"containers": [{"name": "model", "image": "x"}]})
    assert name.startswith("fairing-job-")
    job = api.objects[f"/apis/batch/v1/namespaces/test/jobs/{name}"]
    assert job["spec"]["template"]["spec"]["containers"][0]["name"] == "fairing-job"
    deployer.delete()
    assert [path for path in api.objects if "/jobs/" in path] == []


def test_before_anything_is_deployed_there_is_nothing_to_show() -> None:
    deployer = JobDeployer()
    assert deployer.job_id is None
    with pytest.raises(errors.InputError, match="has deployed nothing yet"):
        deployer.get_logs()


def test_a_cluster_of_its_own_is_named_per_deployer(api: Api) -> None:
    deployer = JobDeployer(Cluster(context="other"), config_file=api.config, context="bare")
    assert deployer.submit(deployer.render(request())).namespace == "default"
