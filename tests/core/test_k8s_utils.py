from typing import Any

import pytest

from fairing_core import errors, k8s_utils


def test_memory_is_decimal_gigabytes_shown_as_the_original_did() -> None:
    patch = k8s_utils.get_resource_mutator(cpu=1.5, memory=2, gpu=1, gpu_vendor="amd")
    limits = patch.container["resources"]["limits"]
    assert limits == {"cpu": "1.5", "memory": "1.86Gi", "amd.com/gpu": "1"}


def test_what_is_not_asked_for_is_not_limited() -> None:
    assert k8s_utils.get_resource_mutator().container == {"resources": {"limits": {}}}


@pytest.mark.parametrize("asked", [{"cpu": 0}, {"memory": -1}, {"gpu": -2}, {"memory": True}])
def test_a_resource_that_is_not_above_zero_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(errors.InputError, match=f"{next(iter(asked))}=.*above zero"):
        k8s_utils.get_resource_mutator(**asked)


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("pvc", {"persistentVolumeClaim": {"claimName": "data"}}),
        ("secret", {"secret": {"secretName": "data"}}),
        ("config_map", {"configMap": {"name": "data"}}),
    ],
)
def test_each_kind_of_volume_is_mounted(kind: Any, source: dict[str, Any]) -> None:
    patch = k8s_utils.volume_mounts(kind, "data", "/mnt/data", sub_path="x")
    name = "fairing-volume-data"
    assert patch.spec == {"volumes": [{"name": name, **source}]}
    mount = {"name": name, "mountPath": "/mnt/data", "subPath": "x"}
    assert patch.container == {"volumeMounts": [mount]}


def test_another_kind_of_volume_is_refused_with_the_near_one() -> None:
    with pytest.raises(errors.InputError, match="mean 'config_map'"):
        k8s_utils.volume_mounts("configmap", "data", "/mnt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "env", [{"A": "x\0y"}, {"A": "x" * 131_072}, {"A=B": "c"}, {"": "c"}, {"A": 3}]
)
def test_a_variable_that_no_process_can_have_is_refused(env: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        k8s_utils.add_env(env)


def test_a_mutator_edits_a_plain_pod_spec_as_the_original_did() -> None:
    pod: dict[str, Any] = {"containers": [{"name": "model"}]}
    k8s_utils.mounting_pvc("data")(None, pod, "default")
    k8s_utils.get_node_selector({"pool": "gpu"})(None, pod, "default")
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert pod["containers"][0]["volumeMounts"] == [
        {"name": "fairing-volume-data", "mountPath": "/mnt"}
    ]


def test_a_mutator_edits_a_pod_spec_of_the_kubernetes_client() -> None:
    from kubernetes import client

    pod = client.V1PodSpec(containers=[client.V1Container(name="model", image="x")])
    for mutator in (k8s_utils.add_env({"A": "1"}), k8s_utils.get_resource_mutator(cpu=1, memory=2)):
        mutator(None, pod, "default")
        mutator(None, pod, "default")
    api: Any = client.ApiClient()
    assert api.sanitize_for_serialization(pod) == {
        "containers": [
            {
                "name": "model",
                "image": "x",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "1", "memory": "1.86Gi"}},
            }
        ]
    }
