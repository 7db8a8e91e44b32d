"""The API's answers, as values and errors; tests of a real one are beside this."""

from __future__ import annotations

import json
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.cluster import kubeconfig as module
from fairing_core.cluster.client import Cluster
from tests.core.cluster.api import Api, kubeconfig

JOBS = "/apis/batch/v1/namespaces/test/jobs"


def test_making_one_asks_nobody_and_reads_nothing(tmp_path: Path) -> None:
    assert repr(Cluster(config_file=tmp_path / "none", namespace="a")).startswith("Cluster(")


def test_the_namespace_is_the_argument_then_the_contexts_then_default(api: Api) -> None:
    assert Cluster(config_file=api.config, namespace="mine").namespace == "mine"
    assert Cluster(config_file=api.config).namespace == "test"
    assert Cluster(config_file=api.config, context="bare").namespace == "default"


def test_in_a_pod_the_namespace_and_the_credentials_are_the_pods_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("lab\n")
    monkeypatch.setattr(module, "ACCOUNT", tmp_path)
    monkeypatch.delenv("KUBECONFIG")
    with pytest.raises(errors.NoCluster, match="Service host/port is not set"):
        _ = Cluster().namespace
    assert Cluster(namespace="other").namespace == "other"


def test_a_kubeconfig_that_is_named_wins_over_the_pods_own(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("lab")
    monkeypatch.setattr(module, "ACCOUNT", tmp_path)
    assert Cluster(config_file=api.config).namespace == "test"
    monkeypatch.setenv("KUBECONFIG", str(api.config))
    assert Cluster().namespace == "test"


def test_no_kubeconfig_says_what_to_do(tmp_path: Path) -> None:
    cluster = Cluster(config_file=tmp_path / "none")
    for ask in (cluster.warm, lambda: cluster.get("/version")):
        with pytest.raises(errors.NoCluster, match=r"no kubeconfig at .*none.*backend='local'"):
            ask()


def test_an_unknown_context_names_the_near_one(api: Api) -> None:
    with pytest.raises(errors.NoCluster, match="no context 'hre'; did you mean 'here'"):
        Cluster(config_file=api.config, context="hre").get("/version")


@pytest.mark.parametrize("content", ["", "a: [", "clusters: 3", "{}"])
def test_a_kubeconfig_that_is_none_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(errors.NoCluster, match="leads to no cluster"):
        Cluster(config_file=tmp_path / "config").get("/version")


def test_two_of_them_lead_to_two_servers(api: Api, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Api(tmp_path / "other")
    api.job("here")
    other.job("there")
    one, two = Cluster(config_file=api.config), Cluster(config_file=other.config)
    assert [job["metadata"]["name"] for job in one.listed(JOBS)] == ["here"]
    assert [job["metadata"]["name"] for job in two.listed(JOBS)] == ["there"]
    other.close()


def test_a_configuration_of_the_users_own_is_used_as_it_is(api: Api) -> None:
    from kubernetes.client import Configuration

    configuration = Configuration()
    configuration.host = api.url
    cluster = Cluster(client_configuration=configuration)
    assert cluster.get("/version") == {}
    assert cluster.namespace == "default"


def test_credentials_are_sent_and_in_no_repr(api: Api, there: Cluster) -> None:
    there.get("/version")
    assert "s3cr3t" not in repr(there)
    assert api.headers[-1]["authorization"] == "Bearer s3cr3t"


def test_it_pickles_without_its_connections(api: Api, there: Cluster) -> None:
    there.get("/version")
    again = pickle.loads(pickle.dumps(there))
    assert again == there
    assert again.get("/version") == {}


# --- answers --------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found(there: Cluster) -> None:
    with pytest.raises(errors.ObjectNotFound) as caught:
        there.get(f"{JOBS}/none")
    assert caught.value.status == 404


def test_a_list_of_several_pages_is_whole(api: Api, there: Cluster) -> None:
    pages: list[dict[str, Any]] = [
        {"items": [1], "metadata": {"continue": "more"}},
        {"items": [2], "metadata": {}},
    ]
    api.faults = [(200, page) for page in pages]
    assert str(there.listed(JOBS)) == "[1, 2]"
    assert "continue=more" in api.asked[-1][1]


def test_a_list_that_expired_halfway_is_asked_anew(api: Api, there: Cluster) -> None:
    first = {"items": [1], "metadata": {"continue": "more"}}
    api.faults = [(200, first), (410, None), (200, {"items": [3], "metadata": {}})]
    assert str(there.listed(JOBS)) == "[3]"


def test_a_verb_that_is_not_allowed_is_named(api: Api, there: Cluster) -> None:
    text = 'jobs.batch is forbidden: User "me" cannot list resource "jobs" in API group "batch"'
    api.faults = [(403, {"message": text, "reason": "Forbidden"})]
    with pytest.raises(errors.ClusterDenied) as caught:
        there.listed(JOBS)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.verb, error.resource, error.namespace) == ("list", "jobs", "test")
    assert "you may not list jobs in the namespace 'test'" in str(error)


def test_a_quota_and_a_refused_object_are_said_in_the_clusters_words(
    api: Api, there: Cluster
) -> None:
    api.faults = [(403, {"message": "exceeded quota: small"}), (422, {"message": "is invalid"})]
    for text in ("exceeded quota: small", "is invalid"):
        with pytest.raises(errors.ClusterError, match=f"refused to create jobs .*{text}"):
            there.create(JOBS, {"metadata": {"name": "x"}})


def test_an_answer_that_is_no_status_is_shown(api: Api, there: Cluster) -> None:
    api.raw = (502, b"<html>bad gateway")
    with pytest.raises(errors.ClusterError, match="bad gateway"):
        there.create(JOBS, {"metadata": {"name": "x"}})


def test_wrong_credentials_are_tried_once_more_since_they_may_be_renewed(
    api: Api, there: Cluster
) -> None:
    api.faults = [(401, None)]
    assert there.get("/version") == {}
    api.faults = [(401, None), (401, None)]
    with pytest.raises(errors.ClusterDenied, match="log in again"):
        there.get("/version")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(api: Api, there: Cluster, status: int) -> None:
    api.faults = [(status, None)]
    assert there.get("/version") == {}


def test_what_changes_something_is_not_sent_twice(api: Api, there: Cluster) -> None:
    api.faults = [(500, None)]
    with pytest.raises(errors.ClusterError):
        there.create(JOBS, {"metadata": {"name": "x"}})
    assert [method for method, _ in api.asked] == ["POST"]


def test_a_line_that_is_cut_is_asked_again_where_that_harms_nobody(
    api: Api, there: Cluster
) -> None:
    there.get("/version")
    api.faults = [(0, None)]
    assert there.get("/version") == {}
    api.faults = [(0, None)]
    with pytest.raises(errors.ClusterUnreachable):
        there.create(JOBS, {"metadata": {"name": "x"}})


def test_a_server_that_never_answered_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(json.dumps(kubeconfig("http://127.0.0.1:9")))
    with pytest.raises(errors.ClusterUnreachable, match=r"127\.0\.0\.1:9 doesn't answer"):
        Cluster(config_file=tmp_path / "config").get("/version")


def test_what_is_gone_is_deleted(api: Api, there: Cluster) -> None:
    there.delete(f"{JOBS}/none")


def test_another_object_of_that_name_stays(api: Api, there: Cluster) -> None:
    job = api.job("mine")
    there.delete(f"{JOBS}/mine", uid="another")
    assert there.get(f"{JOBS}/mine") == job
    there.delete(f"{JOBS}/mine", uid=job["metadata"]["uid"])
    assert there.listed(JOBS) == []


def test_warming_meets_no_fault(api: Api, there: Cluster) -> None:
    api.faults = [(500, None)]
    before = set(threading.enumerate())
    there.warm()
    for thread in set(threading.enumerate()) - before:
        if thread.name == "fairing-cluster":
            thread.join(20)
    assert there.get("/version") == {}
