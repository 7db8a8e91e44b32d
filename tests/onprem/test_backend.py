"""The backend as it is made: nothing here is asked of anybody."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairing_onprem
from fairing_core import PodPatch, RegistryAccess, TrainJob, errors
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance
from fairing_onprem import OnPremBackend, PlainRegistry
from tests.core.cluster.api import Api

KEYS: dict[str, Any] = {"access_key": "lab-user", "secret_key": "s3cr3t"}


class TestOnPremBackend(BackendConformance):
    backend = "onprem"
    can_run = False


class TestWithEverything(BackendConformance):
    backend = "onprem"
    can_run = False
    options = {  # noqa: RUF012 - as JSON carries it
        "endpoint_url": "http://127.0.0.1:9",
        "bucket": "lab",
        "image_registry": "127.0.0.1:9/ml",
        "namespace": "lab",
        **KEYS,
    }


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.close()


def secret(api: Api, name: str, **entries: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()}
    api.objects[f"/api/v1/namespaces/test/secrets/{name}"] = {"data": data}


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "onprem") is OnPremBackend


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {
        "FAIRING_ONPREM__PLAIN_HTTP": "true",
        "FAIRING_ONPREM__CA": "/certs/lab.pem",
        "FAIRING_ONPREM__CREATE_BUCKET": "no",
        "FAIRING_ONPREM__SECRET_ENTRIES": "user, password",
    }
    assert Settings(environ=environ).of_backend("onprem", OnPremBackend) == {
        "plain_http": True,
        "ca": Path("/certs/lab.pem"),
        "create_bucket": False,
        "secret_entries": ("user", "password"),
    }


def test_its_repr_shows_settings_and_no_secret() -> None:
    shown = repr(OnPremBackend(plain_http=True, endpoint_url="http://minio:9000", **KEYS))
    assert shown == "OnPremBackend(plain_http=True, endpoint_url='http://minio:9000')"


def test_without_settings_it_has_no_store_and_no_registry() -> None:
    backend = OnPremBackend()
    assert backend.storage() is None
    assert backend.registry() is None
    assert backend.registries() == {}
    assert backend.base_image() is None
    assert backend.pod_patches("train", "image") == []


def test_an_endpoint_or_a_bucket_is_a_store() -> None:
    by_endpoint = OnPremBackend(endpoint_url="http://minio:9000").storage()
    by_bucket = OnPremBackend(bucket="lab", prefix="").storage()
    assert by_endpoint is not None
    assert by_bucket is not None
    assert by_endpoint.url("a") == "s3://fairing/fairing/a"
    assert by_bucket.url("a") == "s3://lab/a"
    assert by_bucket.endpoint is None


def test_a_registry_is_reached_as_it_says() -> None:
    backend = OnPremBackend(
        image_registry="registry.lab:5000/ml",
        plain_http=True,
        pull_name="registry:5000",
        pod_name="registry.lab.svc:5000",
    )
    assert isinstance(backend.registry(), PlainRegistry)
    assert backend.registries() == {
        "registry.lab:5000": RegistryAccess(
            plain_http=True, pull_name="registry:5000", pod_name="registry.lab.svc:5000"
        )
    }


def test_pods_run_as_the_account_and_pull_with_the_secret() -> None:
    backend = OnPremBackend(service_account="trainer", pull_secret="lab-pull")
    specs = [patch.spec for patch in backend.pod_patches("train", "elsewhere/image")]
    assert specs == [
        {"serviceAccountName": "trainer"},
        {"imagePullSecrets": [{"name": "lab-pull"}]},
    ]
    assert all(isinstance(one, PodPatch) for one in backend.pod_patches("build", ""))


def test_the_base_image_is_a_setting() -> None:
    assert OnPremBackend(base_image="registry.lab/python:3.12").base_image() is not None


def test_one_key_without_the_other_is_refused() -> None:
    with pytest.raises(errors.SettingsError, match="secret_key is missing"):
        OnPremBackend(bucket="lab", access_key="lab-user")


def test_running_needs_a_cluster() -> None:
    with pytest.raises(errors.NoCluster, match="there is no kubeconfig"):
        TrainJob(len, args=("abc",), backend=OnPremBackend(), docker_registry="r.lab/x").submit()


def test_the_keys_of_the_store_are_read_from_the_cluster_at_last(api: Api) -> None:
    secret(api, "lab-store", AWS_ACCESS_KEY_ID="lab-user", AWS_SECRET_ACCESS_KEY="s3cr3t")
    backend = OnPremBackend(kubeconfig=api.config, bucket="lab", secret="lab-store")
    store = backend.storage()
    assert store is not None
    assert store.keys_from() == "the Secret 'lab-store'"


def test_kubeflows_own_secret_has_other_entries(api: Api) -> None:
    secret(api, "mlpipeline-minio-artifact", accesskey="minio", secretkey="s3cr3t")
    settings: dict[str, Any] = {"bucket": "mlpipeline", "secret": "mlpipeline-minio-artifact"}
    store = OnPremBackend(kubeconfig=api.config, **settings).storage()
    assert store is not None
    assert store.keys_from() == "the Secret 'mlpipeline-minio-artifact'"
    env = [entry for patch in store.pod_access("read") for entry in patch.container["env"]]
    refs = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in env if "valueFrom" in e}
    assert refs == {
        "AWS_ACCESS_KEY_ID": {"name": "mlpipeline-minio-artifact", "key": "accesskey"},
        "AWS_SECRET_ACCESS_KEY": {"name": "mlpipeline-minio-artifact", "key": "secretkey"},
    }


def test_a_secret_that_may_not_be_read_is_told_with_what_else_to_do(api: Api) -> None:
    told = 'secrets "lab-store" is forbidden: User "me" cannot get resource "secrets"'
    api.faults.append((403, {"message": told, "reason": "Forbidden"}))
    store = OnPremBackend(kubeconfig=api.config, bucket="lab", secret="lab-store").storage()
    assert store is not None
    with pytest.raises(errors.StorageDenied) as caught:
        store.keys_from()
    assert "you may not get secrets" in str(caught.value)
    assert "set access_key and secret_key" in str(caught.value)


def test_a_secret_without_the_entries_says_which_setting_names_them(api: Api) -> None:
    secret(api, "lab-store", user="lab-user", password="s3cr3t")
    store = OnPremBackend(kubeconfig=api.config, bucket="lab", secret="lab-store").storage()
    assert store is not None
    with pytest.raises(errors.StorageDenied, match="secret_entries") as caught:
        store.keys_from()
    assert "s3cr3t" not in str(caught.value)


# --- check ----------------------------------------------------------------------------------------


def checks(**settings: Any) -> dict[str, tuple[bool | None, str]]:
    return {one.name: (one.ok, one.detail) for one in OnPremBackend(**settings).check()}


def test_what_is_not_set_is_said_and_no_fault(api: Api) -> None:
    found = checks(kubeconfig=api.config)
    assert found["cluster"][0] is True
    assert found["rights"][0] is True
    assert found["store"] == (
        None,
        "none is set, so only small build contexts reach a cluster: endpoint_url, bucket",
    )
    assert found["registry"][0] is None


def test_the_right_to_make_secrets_is_looked_at_where_some_are_made(api: Api) -> None:
    api.denied.add(("create", "secrets"))
    settings: dict[str, Any] = {"kubeconfig": api.config, "endpoint_url": "http://127.0.0.1:9"}
    told = [one for one in OnPremBackend(**settings).check() if one.name == "rights"]
    assert [one.ok for one in told] == [True, False]
    assert "you may not create secrets in the namespace 'test'" in told[1].detail
    assert "outputs in the store" in told[1].detail
    assert len(OnPremBackend(kubeconfig=api.config).check()) == 4


def test_a_store_without_keys_fails_with_what_to_do(api: Api) -> None:
    ok, detail = checks(kubeconfig=api.config, endpoint_url="http://127.0.0.1:9")["store keys"]
    assert ok is False
    assert "set access_key and secret_key" in detail


def test_this_machines_own_name_is_no_address_for_pods(api: Api) -> None:
    settings = {"kubeconfig": api.config, "endpoint_url": "http://localhost:9", **KEYS}
    ok, detail = checks(**settings)["store for pods"]
    assert ok is False
    assert "pod_endpoint_url=" in detail
    told = checks(**settings, pod_endpoint_url="http://minio.lab:9000")["store for pods"]
    assert told[0] is True
    assert "http://minio.lab:9000" in told[1]


def test_the_secret_for_pods_is_looked_at(api: Api) -> None:
    settings = {
        "kubeconfig": api.config,
        "endpoint_url": "http://127.0.0.1:9",
        "secret": "lab-store",
        **KEYS,
    }
    ok, detail = checks(**settings)["store secret"]
    assert ok is False
    assert "kubectl create secret generic lab-store --from-literal=AWS_ACCESS_KEY_ID=" in detail
    secret(api, "lab-store", user="x", password="s3cr3t")
    ok, detail = checks(**settings)["store secret"]
    assert (ok, "but password, user: secret_entries=" in detail) == (False, True)
    assert checks(**settings, secret_entries=("user", "password"))["store secret"][0] is True


def test_a_pull_secret_is_looked_at(api: Api) -> None:
    settings = {
        "kubeconfig": api.config,
        "image_registry": "127.0.0.1:9/ml",
        "pull_secret": "lab-pull",
        "pull_name": "registry.nodes:5000",
    }
    ok, detail = checks(**settings)["pull secret"]
    assert ok is False
    assert "--docker-server=registry.nodes:5000" in detail
    auths = {"auths": {"elsewhere": {"username": "ada", "password": "s3cr3t"}}}
    secret(api, "lab-pull", **{".dockerconfigjson": json.dumps(auths)})
    ok, detail = checks(**settings)["pull secret"]
    assert ok is False
    assert "has no login for registry.nodes:5000" in detail
    secret(api, "lab-pull", **{".dockerconfigjson": "s3cr3t"})
    ok, detail = checks(**settings)["pull secret"]
    assert ok is False
    assert "is no JSON" in detail
    assert "s3cr3t" not in detail


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_onprem.no_such_name  # noqa: B018 - asking is the test
