"""The knobs of a pod, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from fairing_core import errors
from fairing_core.cluster.knobs import pod_patch


def test_no_knob_adds_nothing() -> None:
    patch = pod_patch()
    assert (patch.spec, patch.container) == ({}, {})


@pytest.mark.parametrize(
    ("said", "container"),
    [
        ({"cpu": 2, "memory": "4Gi"},
         {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}),
        ({"gpu": 1}, {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}),
        ({"gpu": 2, "gpu_vendor": "amd"},
         {"requests": {"amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}}),
        ({"requests": {"cpu": 0.5}, "limits": {"memory": "1Gi"}},
         {"requests": {"cpu": "0.5"}, "limits": {"memory": "1Gi"}}),
        ({"cpu": 1, "limits": {"cpu": "1500m"}},
         {"requests": {"cpu": "1"}, "limits": {"cpu": "1500m"}}),
    ],
)  # fmt: skip
def test_resources_are_asked_for_and_limits_but_where_said_apart(
    said: dict[str, Any], container: dict[str, Any]
) -> None:
    assert pod_patch(resources=said).container == {"resources": container}


def test_variables_and_secrets_by_reference() -> None:
    patch = pod_patch(env={"A": "1"}, secrets={"TOKEN": "store/key"})
    reference = {"secretKeyRef": {"name": "store", "key": "key"}}
    assert patch.container["env"] == [
        {"name": "A", "value": "1"},
        {"name": "TOKEN", "valueFrom": reference},
    ]


def test_volumes_of_every_kind() -> None:
    patch = pod_patch(
        volumes={
            "/data": {"pvc": "claim"},
            "/data2": {"pvc": "claim", "sub_path": "b", "read_only": True},
            "/secret": {"secret": "s"},
            "/config": {"config_map": "c"},
            "/scratch": {"empty_dir": None},
            "/sized": {"empty_dir": "1Gi"},
            "/dev/shm": {"shm": "2Gi"},
            "/node": {"host_path": "/x"},
        },
        allow_host_path=True,
    )
    sources = [{k: v for k, v in one.items() if k != "name"} for one in patch.spec["volumes"]]
    assert sources == [
        {"persistentVolumeClaim": {"claimName": "claim"}},
        {"secret": {"secretName": "s"}},
        {"configMap": {"name": "c"}},
        {"emptyDir": {}},
        {"emptyDir": {"sizeLimit": "1Gi"}},
        {"emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
        {"hostPath": {"path": "/x"}},
    ]
    mounts = patch.container["volumeMounts"]
    assert mounts[0]["name"] == mounts[1]["name"]
    assert mounts[1] == {**mounts[0], "mountPath": "/data2", "subPath": "b", "readOnly": True}
    assert len({one["name"] for one in patch.spec["volumes"]}) == 7


def test_where_and_as_whom_it_runs() -> None:
    patch = pod_patch(
        node_selector={"pool": "gpu"},
        tolerations=[{"key": "gpu", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        service_account="trainer",
        image_pull_secrets=["pull"],
        priority="high",
        security_context={"readOnlyRootFilesystem": True},
    )
    assert patch.spec == {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "serviceAccountName": "trainer",
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "high",
    }
    assert patch.container == {"securityContext": {"readOnlyRootFilesystem": True}}


@pytest.mark.parametrize("amount", ["2", "0.5", ".5", "500m", "4Gi", "4G", "1e3", "2E", "100k"])
def test_a_quantity_is_written_as_kubernetes_reads_it(amount: str) -> None:
    from kubernetes import utils

    parse: Any = utils.parse_quantity
    limits = pod_patch(resources={"cpu": amount}).container["resources"]["limits"]
    assert parse(limits["cpu"]) > 0


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"resources": {"cpus": 1}}, "did you mean 'cpu'"),
        ({"resources": {"cpu": True}}, "cpu=True is no quantity"),
        ({"resources": {"cpu": -1}}, "cpu=-1 is no quantity"),
        ({"resources": {"memory": "4GB"}}, "memory='4GB' is no quantity"),
        ({"resources": {"limits": {"memory": "much"}}}, "memory='much' is no quantity"),
        ({"resources": {"limits": {"cpu": ""}}}, "cpu='' is no quantity"),
        ({"env": {"A": 3}}, "A is int"),
        ({"env": {"A": "x\0"}}, "NUL"),
        ({"secrets": {"TOKEN": "hunter2"}}, "TOKEN must say where the value is"),
        ({"volumes": {"data": {"pvc": "x"}}}, "must be an absolute path"),
        ({"volumes": {"/data": "x"}}, "must be an absolute path"),
        ({"volumes": {"/data": {"pcv": "x"}}}, "did you mean 'pvc'"),
        ({"volumes": {"/data": {"pvc": "x", "secret": "y"}}}, "needs one of"),
        ({"volumes": {"/data": {"host_path": "/x"}}}, "allow_host_path=True"),
        ({"image_pull_secrets": "pull"}, r"\['pull'\]"),
    ],
)
def test_what_can_not_be_is_refused(said: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InputError, match=text) as caught:
        pod_patch(**said)
    assert "hunter2" not in str(caught.value)
