"""The user's own mutators, of the old style, on the models of whichever client is installed."""

from __future__ import annotations

from typing import Any

import pytest

from fairing_core import errors, k8s_utils
from fairing_core.cluster.mutators import mutated, plain_pod_spec

POD: dict[str, Any] = {
    "restartPolicy": "Never",
    "containers": [
        {"name": "fairing-job", "image": "x", "env": [{"name": "A", "value": "1"}],
         "volumeMounts": [{"name": "v", "mountPath": "/v"}],
         "resources": {"limits": {"cpu": "1"}}}
    ],
    "volumes": [{"name": "v", "emptyDir": {}}],
    "securityContext": {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}  # fmt: skip


def run(*mutators: Any, pod: dict[str, Any] = POD, manager: object = None) -> dict[str, Any]:
    return mutated(pod, mutators, kube_manager=manager, namespace="lab")


def test_nothing_is_lost_on_the_way_there_and_back() -> None:
    assert run(lambda *_: None) == POD


def test_attributes_are_set_and_lists_appended_to() -> None:
    from kubernetes import client

    def old_style(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        pod_spec.service_account_name = f"{namespace}-trainer"
        pod_spec.image_pull_secrets.append(client.V1LocalObjectReference(name="pull"))
        pod_spec.node_selector = {"pool": "gpu"}
        for container in pod_spec.containers:
            container.env.append(client.V1EnvVar(name="B", value="2"))
            container.env_from.append(
                client.V1EnvFromSource(secret_ref=client.V1SecretEnvSource(name="s"))
            )

    before = str(POD)
    pod = run(old_style)
    assert str(POD) == before
    assert pod["serviceAccountName"] == "lab-trainer"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"pool": "gpu"}
    (container,) = pod["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert container["envFrom"] == [{"secretRef": {"name": "s"}}]
    assert "args" not in container


def test_a_list_may_be_tested_and_replaced_as_the_originals_mutators_did() -> None:
    from kubernetes import client

    def replace(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        volume = client.V1Volume(name="w", empty_dir=client.V1EmptyDirVolumeSource())
        if pod_spec.volumes:
            pod_spec.volumes.append(volume)
        if not pod_spec.init_containers:
            pod_spec.init_containers = [client.V1Container(name="first", image="y")]

    pod = run(replace)
    assert pod["volumes"] == [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}]
    assert pod["initContainers"] == [{"name": "first", "image": "y"}]


def test_a_quantity_set_as_a_number_in_what_is_there_becomes_a_text() -> None:
    def limit(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        pod_spec.containers[0].resources.limits["nvidia.com/gpu"] = 1

    limits = run(limit)["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "1", "nvidia.com/gpu": "1"}


def test_the_helpers_work_within_a_users_own() -> None:
    from kubernetes import client

    def both(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        k8s_utils.get_resource_mutator(cpu=2, memory=1)(kube_manager, pod_spec, namespace)
        k8s_utils.mounting_pvc("data", "/mnt/data")(kube_manager, pod_spec, namespace)
        pod_spec.image_pull_secrets.append(client.V1LocalObjectReference(name="pull"))

    pod = run(both)
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "0.93Gi"}
    assert pod["volumes"][1]["persistentVolumeClaim"] == {"claimName": "data"}
    assert pod["imagePullSecrets"] == [{"name": "pull"}]


def test_they_get_what_the_original_gave_in_its_order() -> None:
    got: list[Any] = []

    def note(kube_manager: object, pod_spec: Any, namespace: str) -> str:
        got.append((kube_manager, type(pod_spec).__name__, namespace))
        return "ignored"

    run(note, note, manager="manager")
    assert got == [("manager", "V1PodSpec", "lab")] * 2


def test_one_that_raises_is_named() -> None:
    def broken(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        raise KeyError("no such thing")

    with pytest.raises(errors.MutatorFailed, match="broken raised KeyError: 'no such thing'"):
        run(broken)


def test_one_that_the_newer_models_refuse_is_told_what_they_want() -> None:
    from kubernetes import client

    def number(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        resources = client.V1ResourceRequirements(limits={"cpu": 1})  # type: ignore[dict-item]
        pod_spec.containers[0].resources = resources

    if hasattr(client.V1PodSpec, "model_fields"):
        with pytest.raises(errors.MutatorFailed, match=r"limits\.cpu: .*limits=\{'cpu': '1'\}"):
            run(number)
    else:
        assert run(number)["containers"][0]["resources"] == {"limits": {"cpu": "1"}}


def test_an_error_of_ours_stays_itself() -> None:
    def refuse(kube_manager: object, pod_spec: Any, namespace: str) -> None:
        raise errors.InputError("no")

    with pytest.raises(errors.InputError, match="no"):
        run(refuse)


def test_a_pod_spec_is_taken_in_every_form() -> None:
    from kubernetes import client

    container = client.V1Container(name="model", image="x")
    spec = client.V1PodSpec(containers=[container])
    template = client.V1PodTemplateSpec(spec=spec)
    plain = {"containers": [{"name": "model", "image": "x"}]}
    for given in (spec, template, plain, {"spec": plain}, {"template": {"spec": plain}}):
        assert plain_pod_spec(given) == plain
    with pytest.raises(errors.InputError, match="has no containers"):
        plain_pod_spec({"spec": {}})
