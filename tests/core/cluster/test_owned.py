from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from fairing_core.cluster import owned
from fairing_core.cluster.client import Cluster
from fairing_core.types import OwnedSecret, PodPatch
from tests.core.cluster.api import Api

KEYS = OwnedSecret("keys", {"KEY": b"hidden"})
PULL = OwnedSecret("pull", {".dockerconfigjson": b"{}"}, type="kubernetes.io/dockerconfigjson")


def test_every_reference_gets_the_name_that_it_has_in_the_cluster() -> None:
    other = {"name": "SAME", "value": "keys"}
    spec: dict[str, Any] = {
        "serviceAccountName": "keys",
        "imagePullSecrets": [{"name": "pull"}, {"name": "theirs"}],
        "volumes": [
            {"name": "keys", "secret": {"secretName": "keys", "items": [{"key": "keys"}]}},
            {"name": "all", "projected": {"sources": [{"secret": {"name": "keys"}}]}},
            {"name": "theirs", "secret": {"secretName": "theirs"}},
        ],
        "containers": [
            {
                "name": "keys",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "keys"}}},
                    other,
                ],
                "envFrom": [{"secretRef": {"name": "keys"}}, {"configMapRef": {"name": "keys"}}],
            }
        ],
        "initContainers": [{"envFrom": [{"secretRef": {"name": "keys"}}]}],
    }
    settled = owned.settled(spec, "run-1", [KEYS, PULL])
    assert settled["serviceAccountName"] == "keys"
    assert settled["imagePullSecrets"] == [{"name": "run-1-pull"}, {"name": "theirs"}]
    first, second, third = settled["volumes"]
    assert first == {
        "name": "keys",
        "secret": {"secretName": "run-1-keys", "items": [{"key": "keys"}]},
    }
    assert second["projected"]["sources"] == [{"secret": {"name": "run-1-keys"}}]
    assert third == spec["volumes"][2]
    (main,) = settled["containers"]
    assert main["name"] == "keys"
    reference = {"name": "run-1-keys", "key": "keys"}
    assert main["env"] == [{"name": "A", "valueFrom": {"secretKeyRef": reference}}, other]
    assert main["envFrom"] == [
        {"secretRef": {"name": "run-1-keys"}},
        {"configMapRef": {"name": "keys"}},
    ]
    assert settled["initContainers"] == [{"envFrom": [{"secretRef": {"name": "run-1-keys"}}]}]


def test_of_two_with_one_name_the_later_is_made(tmp_path: Path) -> None:
    api = Api(tmp_path)
    job: dict[str, Any] = {"metadata": {"name": "run-1", "namespace": "test", "uid": "u"}}
    owned.create(Cluster(config_file=api.config), job, [PULL, OwnedSecret("pull", {"K": b"2"})])
    api.close()
    (made,) = api.objects.values()
    assert made["data"] == {"K": base64.b64encode(b"2").decode()}


def test_without_secrets_a_spec_is_as_it_was() -> None:
    assert owned.settled({"a": [{"secretRef": {"name": "x"}}]}, "run-1", []) == {
        "a": [{"secretRef": {"name": "x"}}]
    }


def test_of_two_with_one_name_the_later_counts() -> None:
    later = OwnedSecret("keys", {"KEY": b"other"})
    found = owned.secrets_of([PodPatch(secrets=(KEYS, PULL)), PodPatch(secrets=(later,))])
    assert [one.data for one in found] == [{"KEY": b"other"}, {".dockerconfigjson": b"{}"}]


def test_a_secret_is_the_job_s_and_goes_with_it(api: Api, there: Cluster) -> None:
    job = {"metadata": {"name": "run-1", "namespace": "test", "uid": "u-1"}}
    made = owned._manifest(PULL, job)
    assert made["metadata"]["name"] == "run-1-pull"
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "run-1", "u-1")
    assert owner["blockOwnerDeletion"] is False  # which would want another right
    assert made["type"] == "kubernetes.io/dockerconfigjson"
    assert base64.b64decode(made["data"][".dockerconfigjson"]) == b"{}"
    owned.create(there, job, [KEYS, PULL])
    posts = [path for method, path in api.asked if method == "POST"]
    assert posts == ["/api/v1/namespaces/test/secrets"] * 2


def test_no_repr_shows_what_is_secret() -> None:
    assert "hidden" not in repr(PodPatch(secrets=(KEYS,)))
