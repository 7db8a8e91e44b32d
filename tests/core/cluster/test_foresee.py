"""What stands in the way of a Job, by what an API server says."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fairing_core import k8s_utils
from fairing_core.cluster import nodes
from fairing_core.cluster.backend import KubernetesBackend
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.rights import KEEPING, RIGHTS
from fairing_core.deploy.job import JobDeployer
from fairing_core.types import Built, Check, DeployRequest
from tests.core.cluster.api import Api
from tests.core.cluster.conftest import ROLE

IMAGE = "registry.example/app@sha256:1"


def node(name: str = "one", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": more.get("labels", {})},
        "spec": {"taints": more.get("taints", [])},
        "status": {
            "allocatable": {"cpu": "8", "memory": "16Gi", **more.get("room", {})},
            "nodeInfo": {"operatingSystem": "linux", "architecture": more.get("arch", "amd64")},
        },
    }


def pod(asks: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"resources": {"requests": asks or {}}}], **spec}}


GPU = {"key": "gpu", "value": "a", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("pod", "node", "reason"),
    [
        (pod(), node(), None),
        (pod({"cpu": "8", "memory": "16Gi"}), node(), None),
        (pod({"cpu": "8001m"}), node(), "cpu=8 there, 8001m asked for"),
        (pod({"memory": "17Gi"}), node(), "memory=16Gi there, 17Gi asked for"),
        (pod({"nvidia.com/gpu": "1"}), node(), "nvidia.com/gpu=0 there, 1 asked for"),
        (pod({"nvidia.com/gpu": "1"}), node(room={"nvidia.com/gpu": "1"}), None),
        (pod(nodeSelector={"pool": "a"}), node(), "no label pool=a"),
        (pod(nodeSelector={"pool": "a"}), node(labels={"pool": "a"}), None),
        (pod(), node(taints=[GPU]), "the taint gpu=a:NoSchedule"),
        (pod(), node(taints=[{**GPU, "effect": "PreferNoSchedule"}]), None),
        (pod(tolerations=[{"operator": "Exists"}]), node(taints=[GPU]), None),
        (pod(tolerations=[{"key": "gpu", "value": "a"}]), node(taints=[GPU]), None),
        (pod(tolerations=[{"key": "gpu", "value": "b"}]), node(taints=[GPU]),
         "the taint gpu=a:NoSchedule"),
        (pod(tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]),
         node(taints=[GPU]), "the taint gpu=a:NoSchedule"),
        (pod(), node(arch="arm64"), "linux/arm64, and the image is for linux/amd64"),
    ],
)  # fmt: skip
def test_a_node_that_can_never_hold_a_pod(pod: Any, node: Any, reason: str | None) -> None:
    assert nodes.unfit(pod, node, "linux/amd64") == reason


def test_a_variant_of_an_architecture_is_the_architectures() -> None:
    assert nodes.unfit(pod(), node(arch="arm64"), "linux/arm64/v8") is None


def test_init_containers_take_what_they_need_before_the_others() -> None:
    spec = pod({"cpu": "1"})["spec"]
    spec["initContainers"] = [{"resources": {"limits": {"cpu": "3"}}}]
    spec["containers"].append({"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}})
    found = nodes.requests(spec)
    assert {key: str(value) for key, value in found.items()} == {"cpu": "3", "memory": "1073741824"}


def foreseen(api: Api, platform: str | None = None, **options: Any) -> dict[str, Check]:
    deployer = JobDeployer(Cluster(config_file=api.config), **options)
    request = DeployRequest(IMAGE, ("true",), name="x")
    _, checks = deployer.foresee(deployer.render(request), (), Built(IMAGE, platform=platform))
    return {check.name: check for check in checks}


def test_nothing_is_left_of_looking(api: Api) -> None:
    assert foreseen(api)["job"].ok
    assert api.objects == {}
    made = [path for verb, path in api.asked if verb == "POST" and "reviews" not in path]
    assert made
    assert all(path.endswith("dryRun=All") for path in made)


def test_every_right_of_the_example_role_is_asked_for_and_no_other() -> None:
    import yaml

    rules = yaml.safe_load(ROLE.read_text())["rules"]
    granted = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {(one.group, one.resource, one.verb) for one in (*RIGHTS, *KEEPING)} == granted


@pytest.mark.parametrize("right", RIGHTS, ids=lambda one: f"{one.verb} {one.resource}")
def test_a_right_that_is_missing_is_named(api: Api, right: Any) -> None:
    api.denied = {(right.verb, right.resource)}
    found = foreseen(api)["rights"]
    assert found.ok is False
    assert found.detail.startswith(f"you may not {right.verb} {right.resource} in the namespace")
    checks = KubernetesBackend(config_file=str(api.config)).check()
    assert [check.ok for check in checks] == [True, False]


def test_an_api_server_that_is_away_is_one_check_that_failed(api: Api) -> None:
    api.close()
    found = foreseen(api)
    assert list(found) == ["cluster"]
    assert found["cluster"].ok is False
    assert "doesn't answer" in found["cluster"].detail


def test_who_may_not_create_pods_or_list_nodes_is_told_what_is_not_known(api: Api) -> None:
    api.denied = {("create", "pods")}
    found = foreseen(api)
    assert found["admission"].ok is None
    assert "you may not create pods" in found["admission"].detail


def test_nodes_that_lack_the_same_are_counted(api: Api) -> None:
    for name in ("a", "b", "c"):
        api.objects[f"/api/v1/nodes/{name}"] = node(name, arch="arm64" if name == "c" else "amd64")
    found = foreseen(api, "linux/amd64", resources={"cpu": 16})["nodes"]
    assert found.ok is False
    assert found.detail == (
        "none can hold it: 2 nodes: cpu=8 there, 16 asked for; "
        "1 node: linux/arm64, and the image is for linux/amd64"
    )
    found = foreseen(api, "linux/arm64")["nodes"]
    assert (found.ok, found.detail) == (True, "c can hold it, when it is free")


def test_a_quantity_that_is_none_is_no_fault_of_the_plan(api: Api) -> None:
    api.objects["/api/v1/nodes/a"] = node("a")
    mutator = k8s_utils.get_resource_mutator(cpu="two")
    found = foreseen(api, pod_spec_mutators=[mutator])["nodes"]
    assert (found.ok, "two" in found.detail) == (None, True)


def secret(content: object, key: str = ".dockerconfigjson") -> dict[str, Any]:
    data = base64.b64encode(json.dumps(content).encode()).decode()
    return {"metadata": {"name": "login"}, "data": {key: data}}


@pytest.mark.parametrize(
    ("there", "ok", "told"),
    [
        (None, False, "the pull secret 'login' is not there"),
        (secret({"auths": {"registry.example": {"auth": "c2VjcmV0"}}}), True, "has a login for"),
        (secret({"auths": {"https://registry.example/v1/": {}}}), True, "has a login for"),
        (secret({"auths": {"other.example": {"auth": "c2VjcmV0"}}}), False, "is for other.example"),
        (secret({"auths": {}}), False, "is for nothing"),
        (secret({"auths": {}}, "password"), False, "is no pull secret"),
    ],
)
def test_a_pull_secret_has_to_be_there_and_for_the_images_registry(
    api: Api, there: Any, ok: bool, told: str
) -> None:
    if there:
        api.objects["/api/v1/namespaces/test/secrets/login"] = there
    found = foreseen(api, image_pull_secrets=["login"])["pull secret"]
    assert found.ok is ok
    assert told in found.detail
    assert "c2VjcmV0" not in str(found)


def claim(phase: str, name: str | None) -> dict[str, Any]:
    spec = {"storageClassName": name} if name else {}
    return {"metadata": {"name": "data"}, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("there", "ok", "told"),
    [
        (None, False, "the volume claim 'data' is not there"),
        (claim("Bound", None), True, "has its volume"),
        (claim("Pending", "fast"), True, "the StorageClass 'fast' makes one"),
        (claim("Pending", "slow"), False, "there is no StorageClass 'slow'"),
        (claim("Pending", None), None, "no StorageClass is named"),
    ],
)
def test_a_volume_claim_has_a_volume_or_a_class_that_makes_one(
    api: Api, there: Any, ok: bool | None, told: str
) -> None:
    api.objects["/apis/storage.k8s.io/v1/storageclasses/fast"] = {"metadata": {"name": "fast"}}
    if there:
        api.objects["/api/v1/namespaces/test/persistentvolumeclaims/data"] = there
    found = foreseen(api, volumes={"/data": {"pvc": "data"}})["volume"]
    assert found.ok is ok
    assert told in found.detail
