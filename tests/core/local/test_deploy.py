"""What a deployer renders, warns of and refuses."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.types import DeployRequest, PodPatch
from tests.core.local.harness import Local


def _request(**more: Any) -> DeployRequest:
    return DeployRequest("file:///x", ("python", "/app/main.py"), **{"name": "train-1", **more})


def test_render_is_plain_data_and_the_same_each_time(local: Local) -> None:
    patch = PodPatch({"volumes": []}, {"env": [{"name": "A", "value": "1"}]})
    before = copy.deepcopy(patch)
    deployer = local.backend.deployer("job")()
    request = _request(args=("1",), patches=(patch,), returns=True)
    (manifest,) = deployer.render(request)
    assert manifest == {
        "kind": "LocalRun",
        "name": "train-1",
        "image": "file:///x",
        "command": ["python", "/app/main.py"],
        "args": ["1"],
        "workdir": "/app",
        "env": {"A": "1"},
        "returns": True,
        "outputs": [],
        "ignored": ["volumes"],
    }
    assert deployer.render(request) == (manifest,)
    assert patch == before
    assert local.leftovers() == []


def test_a_job_name_names_the_run(local: Local) -> None:
    run = local.execute("true", options={"job_name": "nightly"})
    assert run.name == "nightly"
    assert run.uri == f"fairing://local/default/job/nightly?uid={run.uid}"


@pytest.mark.parametrize("name", ["Train", "a_b", "-a", "a.b", "../x", "x" * 64, "ä"])
def test_a_name_that_is_no_dns_label_is_refused(local: Local, name: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        local.backend.deployer("job")(job_name=name).render(_request())
    assert repr(name) in str(caught.value)


def test_a_name_that_is_taken_is_refused(local: Local) -> None:
    first = local.execute("echo", "first", name="nightly")
    with pytest.raises(errors.InvalidArgument, match="fairing rm nightly"):
        local.execute("echo", "second", name="nightly")
    first.wait(30)
    assert list(first.logs()) == ["first\n"]
    assert local.leftovers() == ["nightly"]


def test_a_name_can_be_used_again_after_a_delete(local: Local) -> None:
    local.execute("true", name="nightly").delete()
    assert local.execute("true", name="nightly").wait(30)


def test_no_command_is_refused(local: Local) -> None:
    deployer = local.backend.deployer("job")()
    with pytest.raises(errors.EmptyEntry):
        deployer.render(DeployRequest("file:///x", (), name="train-1"))


def test_an_image_of_another_builder_is_refused(local: Local) -> None:
    deployer = local.backend.deployer("job")()
    with pytest.raises(errors.Unsupported, match=r"python:3\.12"):
        deployer.submit(deployer.render(DeployRequest("python:3.12", ("true",), name="x")))


def test_an_image_that_is_gone_is_a_state_error(local: Local) -> None:
    deployer = local.backend.deployer("job")()
    image = (local.root / ".staging-0").as_uri()
    with pytest.raises(errors.StateError, match="build again"):
        deployer.submit(deployer.render(DeployRequest(image, ("true",), name="x")))


def test_what_is_for_clusters_is_named_once(local: Local, caplog: pytest.LogCaptureFixture) -> None:
    def add_sidecar(kube_manager: object, pod_spec: Any, namespace: str) -> Any:
        return pod_spec

    patches = (
        PodPatch({"nodeSelector": {"gpu": "yes"}}, {"resources": {"limits": {"cpu": "2"}}}),
        PodPatch({"nodeSelector": {"zone": "a"}}, labels={"team": "ml"}),
        PodPatch(
            container={
                "env": [
                    {"name": "PLAIN", "value": "1"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ]
            }
        ),
    )
    with caplog.at_level(logging.WARNING):
        local.execute(
            "true",
            options={"namespace": "ml", "cleanup": True, "runs": 1, "stream_log": False},
            patches=patches,
            mutators=(add_sidecar,),
        )
    (record,) = caplog.records
    assert record.getMessage().endswith(
        ": namespace, cleanup, nodeSelector, resources, labels, env TOKEN (valueFrom), "
        "pod_spec_mutator add_sidecar"
    )


def test_nothing_ignored_is_no_warning(local: Local, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        local.execute("true", options={"job_name": "quiet"})
    assert caplog.records == []
