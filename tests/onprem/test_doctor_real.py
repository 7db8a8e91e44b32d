"""`fairing doctor` and what it looks at, on a real cluster, real registries and MinIO."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairing_onprem import OnPremBackend
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store
from tests.bench.registry import Registry
from tests.conftest import ROOT

ROLE = ROOT / "examples" / "cluster" / "role.yaml"
Found = dict[str, tuple[bool | None, str]]


@pytest.fixture
def settings(cluster: Cluster, minio: Store, prefix: str) -> dict[str, Any]:
    """Those of a backend that has everything but a registry."""
    return {
        "kubeconfig": cluster.admin,
        "namespace": cluster.namespace,
        "endpoint_url": minio.url,
        "bucket": prefix,
        "create_bucket": True,
        "access_key": minio.access_key,
        "secret_key": minio.secret_key,
    }


@pytest.fixture
def log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Registry, str], None]:
    def as_user(registry: Registry, user: str) -> None:
        file = tmp_path / "auth.json"
        file.write_text(registry.docker_config(user))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))

    return as_user


def of(registry: Registry) -> dict[str, Any]:
    return {"image_registry": registry.image("ml"), "plain_http": registry.ca is None} | (
        {"ca": registry.ca} if registry.ca else {}
    )


def looked_at(**settings: Any) -> Found:
    return {one.name: (one.ok, one.detail) for one in OnPremBackend(**settings).check()}


def pull_secret(cluster: Cluster, name: str, content: str) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": cluster.namespace},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": content},
        }
    )


@pytest.mark.parametrize(
    "fixture", ["cluster_registry", "cluster_basic_registry", "cluster_token_registry"]
)
@pytest.mark.real
def test_all_is_well(
    fixture: str,
    request: pytest.FixtureRequest,
    settings: dict[str, Any],
    log_in: Callable[[Registry, str], None],
) -> None:
    registry: Registry = request.getfixturevalue(fixture)
    if registry.users:
        log_in(registry, "pusher")
    found = looked_at(**settings | of(registry))
    assert {name: told for name, told in found.items() if told[0] is not True} == {}
    assert list(found) == [
        *("cluster", "rights", "store keys", "store", "store for pods", "store secret"),
        *("push", "pull secret", "pull"),
    ]
    assert ("your own login" in found["pull secret"][1]) is bool(registry.users)


def test_a_login_that_may_only_read_fails_the_push(
    settings: dict[str, Any],
    cluster_token_registry: Registry,
    log_in: Callable[[Registry, str], None],
) -> None:
    log_in(cluster_token_registry, "reader")
    found = looked_at(**settings | of(cluster_token_registry))
    ok, detail = found["push"]
    assert ok is False
    assert "the user 'reader'" in detail
    assert found["pull"][0] is True


def test_nobody_logged_in_fails_push_and_pull(
    settings: dict[str, Any], cluster_basic_registry: Registry
) -> None:
    found = looked_at(**settings | of(cluster_basic_registry))
    assert found["push"][0] is False
    assert "docker login" in found["push"][1]
    assert found["pull"][0] is False
    assert "give nodes a pull secret" in found["pull"][1]


def test_a_pull_secret_is_tried_as_nodes_would(
    settings: dict[str, Any],
    cluster: Cluster,
    cluster_basic_registry: Registry,
    log_in: Callable[[Registry, str], None],
) -> None:
    registry = cluster_basic_registry
    log_in(registry, "pusher")
    settings |= of(registry) | {"pull_secret": "lab-pull"}
    assert (
        "kubectl create secret docker-registry lab-pull" in looked_at(**settings)["pull secret"][1]
    )
    pull_secret(cluster, "lab-pull", registry.docker_config("reader"))
    found = looked_at(**settings)
    assert found["pull secret"][0] is True
    assert found["pull"] == (True, f"the user 'reader' may pull {registry.image('ml')}/fairing-job")
    wrong = base64.b64encode(b"reader:wr0ng").decode()
    pull_secret(cluster, "lab-pull", json.dumps({"auths": {registry.name: {"auth": wrong}}}))
    found = looked_at(**settings)
    assert found["pull"][0] is False
    assert "the user 'reader' may not pull" in found["pull"][1]
    assert "wr0ng" not in str(found)


def test_a_certificate_that_is_not_named_fails_the_push(
    settings: dict[str, Any], cluster_basic_registry: Registry
) -> None:
    ok, detail = looked_at(**settings, image_registry=cluster_basic_registry.image("ml"))["push"]
    assert ok is False
    assert "is not trusted here" in detail


def test_a_store_with_wrong_keys_or_without_its_bucket_fails(
    settings: dict[str, Any], prefix: str
) -> None:
    ok, detail = looked_at(**settings | {"secret_key": "wr0ng-key"})["store"]
    assert ok is False
    assert "an object can't be written" in detail
    assert "wr0ng-key" not in detail
    other = {"bucket": f"{prefix}-none", "create_bucket": False}
    ok, detail = looked_at(**settings | other)["store"]
    assert ok is False
    assert "make it, or say create_bucket=True" in detail


def test_nothing_is_left_in_the_store(settings: dict[str, Any]) -> None:
    assert looked_at(**settings)["store"][0] is True
    store = OnPremBackend(**settings).storage()
    assert store is not None
    assert list(store.list("")) == []


def test_keys_of_a_secret_in_the_cluster_are_used_and_need_a_right(
    settings: dict[str, Any], cluster: Cluster, minio: Store, tmp_path: Path
) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "mlpipeline-minio-artifact", "namespace": cluster.namespace},
            "stringData": {"accesskey": minio.access_key, "secretkey": minio.secret_key},
        },
        *_role(cluster),
    )
    settings |= {"access_key": None, "secret_key": None, "secret": "mlpipeline-minio-artifact"}
    found = looked_at(**settings)
    assert found["store keys"] == (True, "from the Secret 'mlpipeline-minio-artifact'")
    assert found["store"][0] is True
    assert found["store secret"][0] is True

    settings["kubeconfig"] = cluster.kubeconfig("runner", tmp_path / "runner.yaml")
    found = looked_at(**settings)
    assert found["rights"][0] is False  # the last of them: to create secrets
    assert found["store keys"][0] is False
    assert "you may not get secrets" in found["store keys"][1]
    assert found["store secret"][0] is None
    assert minio.secret_key not in str(found)


def test_pods_reach_what_the_store_gives_them(
    cluster: Cluster, minio_pod: Store, prefix: str
) -> None:
    backend = OnPremBackend(
        kubeconfig=cluster.admin,
        namespace=cluster.namespace,
        endpoint_url=minio_pod.url,
        pod_endpoint_url=minio_pod.pod_url,
        bucket=prefix,
        create_bucket=True,
        access_key=minio_pod.access_key,
        secret_key=minio_pod.secret_key,
    )
    store = backend.storage()
    assert store is not None
    digest = f"sha256:{hashlib.sha256(b'held').hexdigest()}"
    url = store.put("a", io.BytesIO(b"held"), size=4, digest=digest).url
    signed = store.signed_url(url, seconds=60)
    assert cluster.run(cluster.pod("gets", "busybox", "wget", "-qO-", str(signed))) == "held"
    store.delete(url)


def test_the_command_shows_it_and_ends_with_1(
    settings: dict[str, Any], cluster_registry: Registry, base_python: Base, tmp_path: Path
) -> None:
    given = {**settings, "image_registry": cluster_registry.image("ml"), "secret_key": "wr0ng-key"}
    given["plain_http"] = True
    options = [word for key, value in given.items() for word in ("-o", f"{key}={value}")]
    program = str(Path(sys.executable).with_name("fairing"))
    command = [program, "doctor", "--backend", "onprem", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    rows = {line.split("\t")[1]: line.split("\t")[0] for line in done.stdout.splitlines()}
    assert rows.pop("store") == "FAIL"
    assert set(rows.values()) == {"ok"}
    assert "wr0ng-key" not in done.stdout + done.stderr


def test_a_cluster_that_is_away_leaves_the_rest_to_be_looked_at(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    found = looked_at(**settings | {"kubeconfig": tmp_path / "none"})
    assert found["cluster"][0] is False
    assert found["store"][0] is True


def _role(cluster: Cluster) -> list[dict[str, Any]]:
    """A service account with the rights of examples/cluster/role.yaml, which reads no Secrets."""
    import yaml

    namespace = cluster.namespace
    role = next(one for one in yaml.safe_load_all(ROLE.read_text()) if one["kind"] == "Role")
    role["metadata"] = {"name": "runner", "namespace": namespace}
    subject = {"kind": "ServiceAccount", "name": "runner", "namespace": namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "runner", "namespace": namespace},
        },
        role,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "runner", "namespace": namespace},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": "runner",
            },
            "subjects": [subject],
        },
    ]
