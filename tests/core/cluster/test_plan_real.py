"""Plans on a real cluster: what they say is what then happens."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from fairing_core import Plan, TrainJob, errors, get_run
from fairing_core.cli.entry import load_entry
from fairing_core.cluster.rights import RIGHTS
from fairing_core.types import Check, RunStatus
from tests.bench.registry import Registry
from tests.core.cluster.conftest import Lab, as_somebody
from tests.core.cluster.test_program_real import FAIRING, program
from tests.core.cluster.test_runs_real import everything

pytestmark = pytest.mark.real


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "train.py"
    path.write_text("import sys\nprint('trained', *sys.argv[1:])\n", encoding="utf-8")
    return path


def job(entry: Any, **options: Any) -> TrainJob:
    more = {key: options.pop(key) for key in ("name", "args", "builder", "base_docker_image",
                                              "docker_registry") if key in options}  # fmt: skip
    return TrainJob(entry, backend="kubernetes", deployer_options=options, **more)


def planned(entry: Any, **options: Any) -> Plan:
    return job(entry, **options).submit(dry_run=True)


def failing(plan: Plan) -> dict[str, str]:
    return {check.name: check.detail for check in plan.checks if check.ok is False}


def test_a_plan_holds_the_very_bytes_that_submit_sends(
    script: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    asked: dict[str, Any] = {
        "name": "same", "args": ["--epochs", "3"], "resources": {"cpu": "100m"}, "env": {"A": "1e3"}
    }  # fmt: skip
    before = planned(script, **asked)
    assert not before.is_built
    assert before.is_clear
    assert list(lab.runs.list()) == []
    run = job(script, **asked, output=True).submit()
    sent = json.loads(capsys.readouterr().out)
    run.wait(60)
    run.delete()
    assert list(lab.runs.list()) == []
    after = planned(script, **asked)
    assert after.is_built
    assert json.dumps(after.manifests) == json.dumps([sent])
    assert list(yaml.safe_load_all(after.yaml())) == [sent]
    placeholder = json.dumps(before.manifests)
    assert placeholder.replace(before.image, after.image) == json.dumps([sent])


def test_kubectl_apply_of_the_plan_gives_the_run_that_submit_gives(script: Path, lab: Lab) -> None:
    words = ("plan", script, "-b", "kubernetes", "--build", "--name", "applied", "--", "x", "1e3")
    done = program(script.parent, FAIRING, *words)
    assert "trained" not in done.stdout
    lab.bench.kubectl("apply", "-f", "-", stdin=done.stdout)
    applied = get_run("applied", backend="kubernetes")
    assert applied.wait(60) is RunStatus.SUCCEEDED
    submitted = job(script, name="submitted", args=["x", "1e3"]).submit()
    assert submitted.wait(60) is RunStatus.SUCCEEDED
    assert "".join(applied.logs()) == "".join(submitted.logs()) == "trained x 1e3\n"
    one, other = (
        lab.cluster.get(f"/apis/batch/v1/namespaces/{lab.namespace}/jobs/{name}")["spec"]
        for name in ("applied", "submitted")
    )
    assert _named(one, "applied") == _named(other, "submitted")


def _named(spec: dict[str, Any], name: str) -> Any:
    """A spec without what tells two Jobs of the same kind apart."""
    uid = spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"]
    return json.loads(json.dumps(spec).replace(uid, "UID").replace(name, "NAME"))


@pytest.mark.parametrize("right", RIGHTS, ids=lambda one: f"{one.verb} {one.resource}")
def test_the_right_that_a_plan_misses_is_the_right_that_then_fails(
    script: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: Any
) -> None:
    somebody = as_somebody(lab, tmp_path, **{right.resource.replace("/", "_"): right.verb})
    monkeypatch.setenv("KUBECONFIG", str(somebody.config))
    found = failing(planned(script))
    assert list(found) == ["rights"]
    with pytest.raises(errors.ClusterDenied) as caught:
        everything(somebody)
    fault = caught.value
    assert (fault.verb, fault.resource) == (right.verb, right.resource)
    said = f"you may not {right.verb} {right.resource} in the namespace {lab.namespace!r}"
    assert found["rights"].startswith(said)
    assert said in str(fault)


def test_who_has_the_role_alone_is_told_what_could_not_be_looked_at(
    script: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(as_somebody(lab, tmp_path).config))
    plan = planned(script, volumes={"/d": {"pvc": "data"}}, image_pull_secrets=["login"])
    assert plan.is_clear
    unknown = {check.name: check.detail for check in plan.checks if check.ok is None}
    assert list(unknown) == ["admission", "volume", "pull secret", "nodes"]
    assert all("you may not" in detail for detail in unknown.values())


def refused(entry: Any, plan: Plan, check: str, words: str, /, **options: Any) -> None:
    """The plan fails one check, for the reason for which the submit then fails."""
    found = failing(plan)
    assert list(found) == [check]
    assert words in found[check]
    with pytest.raises(errors.FairingError) as caught:
        job(entry, **options).submit()
    assert words in str(caught.value)


def test_a_quota_is_exceeded_in_the_plan_too(script: Path, lab: Lab) -> None:
    lab.bench.kubectl("create", "quota", "small", "--hard=pods=0")
    refused(script, planned(script), "admission", "quota 'small'")


def test_a_policy_refuses_in_the_plan_too(script: Path, lab: Lab) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    lab.bench.kubectl("label", "namespace", lab.namespace, label)
    refused(script, planned(script), "admission", "Pod Security")


def test_what_the_api_server_does_not_take(script: Path) -> None:
    odd: dict[str, Any] = {"tolerations": [{"operator": "Sometimes"}]}
    plan = planned(script, **odd)
    assert set(failing(plan)) == {"job", "admission"}
    assert "tolerations" in failing(plan)["job"]


def test_a_name_that_is_taken_and_a_namespace_that_is_not_there(script: Path, lab: Lab) -> None:
    lab.submit("pass", name="taken")
    refused(script, planned(script, name="taken"), "job", "the name of another Job", name="taken")
    found = failing(planned(script, namespace="nowhere-at-all"))
    assert "there is no namespace 'nowhere-at-all'" in found["job"]


def test_requests_that_no_node_can_hold(script: Path) -> None:
    found = failing(planned(script, resources={"cpu": 900}))
    assert list(found) == ["nodes"]
    assert "900 asked for" in found["nodes"]


def test_claims_and_their_classes(script: Path, lab: Lab) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "nope",
             "resources": {"requests": {"storage": "1Mi"}}}  # fmt: skip
    lab.bench.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": claim,
                     "metadata": {"name": "waits", "namespace": lab.namespace}})  # fmt: skip
    found = failing(planned(script, volumes={"/d": {"pvc": "waits"}}))
    assert found == {
        "volume": "the volume claim 'waits' has no volume yet: there is no StorageClass 'nope' "
        "('kubectl get storageclasses')"
    }
    assert failing(planned(script, volumes={"/d": {"pvc": "gone"}})) == {
        "volume": "the volume claim 'gone' is not there"
    }


def test_pull_secrets(script: Path, lab: Lab, cluster_registry: Registry) -> None:
    def login(name: str, host: str) -> None:
        lab.bench.kubectl(
            "create", "secret", "docker-registry", name, f"--docker-server={host}",
            "--docker-username=me", "--docker-password=s3cr3t",
        )  # fmt: skip

    login("right", cluster_registry.node_name)
    login("wrong", "registry.example")
    assert planned(script, image_pull_secrets=["right"]).is_clear
    plan = planned(script, image_pull_secrets=["wrong", "none"])
    wrong, none = (one for one in plan.checks if one.ok is False)
    assert "is for registry.example, not for" in wrong.detail
    assert none == Check("pull secret", False, "the pull secret 'none' is not there")
    assert "s3cr3t" not in str(plan)


def test_a_registry_that_takes_no_push(script: Path, cluster_basic_registry: Registry) -> None:
    there = f"{cluster_basic_registry.name}/{cluster_basic_registry.prefix}"
    with script.with_name("pyproject.toml").open("a") as file:
        file.write(
            f"[tool.fairing.registries.'{cluster_basic_registry.name}']\n"
            f"ca = '{cluster_basic_registry.ca}'\n"
        )
    refused(script, planned(script, docker_registry=there), "push", "401", docker_registry=there)


def test_a_base_that_is_not_there_or_not_for_this_platform(script: Path, lab: Lab) -> None:
    gone = f"{lab.image}-gone"
    refused(script, planned(script, base_docker_image=gone), "base image", "-gone",
            base_docker_image=gone)  # fmt: skip
    from fairing_core.build.append import AppendBuilder

    arm = AppendBuilder(platform="linux/arm64")
    refused(script, planned(script, builder=arm), "base image", "linux/arm64", builder=arm)


def test_a_python_that_is_not_the_images(project: Path) -> None:
    from fairing_core.build.append import AppendBuilder

    (project / "fn.py").write_text("def train():\n    return 1\n", encoding="utf-8")
    train, _, _ = load_entry("fn.py::train", ())
    other = AppendBuilder(python="3.9")
    refused(train, planned(train, builder=other), "python", "has 3.9", builder=other)
    assert planned(train).is_clear


def test_a_run_tells_what_each_step_took(script: Path, lab: Lab) -> None:
    began = time.time()
    run = job(script).submit()
    run.wait(60)
    took = time.time() - began
    steps = {step.name: step for step in run.timeline()}
    assert list(steps) == ["package", "build", "push", "submit", "admit", "schedule", "pull",
                           "start", "first line", "run"]  # fmt: skip
    assert all(step.seconds is not None and step.seconds <= took + 1 for step in steps.values())
    assert all(began - 1 <= step.began <= began + took for step in steps.values())
    assert [step.source for step in steps.values()] == ["client"] * 4 + ["cluster"] * 6
    again = get_run(run.uri)
    assert again.timeline() == run.timeline()
    longest = max(steps.values(), key=lambda step: step.seconds or 0.0)
    assert f"{longest.name} {longest.seconds:.1f} s" in repr(again)
    done = program(script.parent, FAIRING, "timeline", run.name, "-b", "kubernetes", "--json")
    assert [row["step"] for row in json.loads(done.stdout)] == list(steps)


def test_a_run_that_waits_tells_since_when(lab: Lab) -> None:
    run = lab.submit("pass", resources={"cpu": 900})
    waiting = run.timeline()[-1]
    assert (waiting.name, waiting.seconds) == ("schedule", None)
