"""The backend as it is made: nothing here is asked of anybody but an API server on loopback."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairing_gcp
from fairing_core import PodPatch, RegistryAccess, TrainJob, errors
from fairing_core.choices import make_backend
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance
from fairing_gcp import (
    ArtifactRegistry,
    GCPBackend,
    GCPJob,
    GCPManagedBackend,
    GCPServing,
    GCSContextSource,
    GCSStore,
    GKEBackend,
    KubeflowGKEBackend,
    add_gcp_credentials_if_exists,
    guess_project_name,
)
from tests.core.cluster.api import Api

LAB: dict[str, Any] = {"project": "lab-1", "location": "europe-west3"}


class TestGCPBackend(BackendConformance):
    backend = "gcp"
    can_run = False


class TestWithEverything(BackendConformance):
    backend = "gcp"
    can_run = False
    options = {  # noqa: RUF012 - as JSON carries it
        **LAB,
        "bucket": "lab",
        "endpoint_url": "http://127.0.0.1:9",
        "credentials_file": "/no/such/key.json",
        "namespace": "lab",
    }


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.close()


def there(api: Api, kind: str, name: str, **content: Any) -> None:
    api.objects[f"/api/v1/namespaces/test/{kind}/{name}"] = {"metadata": {"name": name}, **content}


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "gcp") is GCPBackend


def test_it_offers_its_store_by_scheme() -> None:
    assert Plugins(ambient=False).lookup("storage", "gs") is GCSStore


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {
        "FAIRING_GCP__PROJECT": "lab-1",
        "FAIRING_GCP__CREDENTIALS_FILE": "/keys/lab.json",
        "FAIRING_GCP__CREATE_BUCKET": "yes",
    }
    assert Settings(environ=environ).of_backend("gcp", GCPBackend) == {
        "project": "lab-1",
        "credentials_file": Path("/keys/lab.json"),
        "create_bucket": True,
    }


def test_its_repr_shows_its_settings() -> None:
    shown = repr(GCPBackend(**LAB, bucket="lab", secret="lab-key"))
    assert shown == (
        "GCPBackend(project='lab-1', location='europe-west3', bucket='lab', secret='lab-key')"
    )


def test_a_bucket_is_a_store_and_without_there_is_none() -> None:
    assert GCPBackend().storage() is None
    store = GCPBackend(bucket="gs://lab/", prefix="").storage()
    assert store is not None
    assert store.url("a") == "gs://lab/a"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (LAB, "europe-west3-docker.pkg.dev/lab-1/fairing/train"),
        ({**LAB, "repository": "ml"}, "europe-west3-docker.pkg.dev/lab-1/ml/train"),
        ({"image_registry": "gcr.io/lab-1"}, "gcr.io/lab-1/train"),
        (
            {"context": "gke_lab-2_us-central1-b_train"},
            "us-central1-docker.pkg.dev/lab-2/fairing/train",
        ),
        (
            {"context": "gke_lab-2_us-central1-b_train", **LAB},
            "europe-west3-docker.pkg.dev/lab-1/fairing/train",
        ),
    ],
)
def test_images_go_to_a_repository_of_project_and_location(
    settings: dict[str, Any], place: str
) -> None:
    assert GCPBackend(**settings).registry().repository("train") == place


def test_the_current_context_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(json.dumps({"current-context": "gke_lab-3_asia-east1_train"}))
    place = "asia-east1-docker.pkg.dev/lab-3/fairing/x"
    assert GCPBackend(kubeconfig=file).registry().repository("x") == place
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{file}")
    assert GCPBackend().registry().repository("x") == place
    monkeypatch.setenv("CLOUDSDK_COMPUTE_REGION", "europe-west1")
    assert GCPBackend().registry().host == "europe-west1-docker.pkg.dev"


def test_who_is_nobody_and_nowhere_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(errors.SettingsError, match="FAIRING_GCP__CREDENTIALS_FILE"):
        GCPBackend().registry().repository("x")
    with pytest.raises(errors.SettingsError, match="FAIRING_GCP__CREDENTIALS_FILE"):
        GCPBackend(project="lab-1").registry().repository("x")


def test_a_registry_with_its_own_certificates_is_reached_by_them() -> None:
    backend = GCPBackend(image_registry="proxy.lab:5000/ml", ca=Path("/certs/lab.pem"))
    assert isinstance(backend.registry(), ArtifactRegistry)
    assert backend.registries() == {"proxy.lab:5000": RegistryAccess(ca=Path("/certs/lab.pem"))}
    assert backend.registry().serves("proxy.lab:5000")
    assert backend.registry().credentials("proxy.lab:5000") is None
    assert GCPBackend(**LAB).registries() == {}


# --- who pods are ---------------------------------------------------------------------------------


def specs(backend: GCPBackend, stage: str = "train") -> list[Any]:
    found = backend.pod_patches(stage, "")
    assert all(isinstance(one, PodPatch) for one in found)
    return [one.spec for one in found]


MOUNTED = {"volumes": [{"name": "user-gcp-sa", "secret": {"secretName": "user-gcp-sa"}}]}
EDITOR = {"serviceAccountName": "default-editor"}


@pytest.mark.parametrize("stage", ["build", "train", "serve"])
def test_pods_are_who_the_settings_say_at_every_stage(stage: str) -> None:
    assert specs(GCPBackend(service_account="trainer"), stage) == [
        {"serviceAccountName": "trainer"}
    ]
    (patch,) = GCPBackend(secret="lab-key", secret_entry="key.json").pod_patches(stage, "")
    assert patch.spec["volumes"][0]["secret"] == {"secretName": "lab-key"}
    assert patch.container["env"] == [
        {"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/etc/secrets/key.json"}
    ]
    assert patch.container["volumeMounts"][0]["mountPath"] == "/etc/secrets"


def test_where_nobody_says_the_namespace_is_looked_at(api: Api) -> None:
    assert specs(GCPBackend(kubeconfig=api.config)) == []
    there(api, "serviceaccounts", "default-editor")
    assert specs(GCPBackend(kubeconfig=api.config)) == [EDITOR]
    there(api, "secrets", "user-gcp-sa", data={})
    backend = GCPBackend(kubeconfig=api.config)
    assert specs(backend) == [MOUNTED]
    api.asked.clear()
    assert specs(backend, "build") == [MOUNTED]
    assert api.asked == []  # once is enough


def test_who_may_not_read_secrets_gets_the_service_account(api: Api) -> None:
    there(api, "serviceaccounts", "default-editor")
    told = 'secrets "user-gcp-sa" is forbidden: User "me" cannot get resource "secrets"'
    api.faults.append((403, {"message": told, "reason": "Forbidden"}))
    assert specs(GCPBackend(kubeconfig=api.config)) == [EDITOR]


def test_the_store_gives_pods_the_same_identity_and_an_emulator() -> None:
    settings: dict[str, Any] = {
        "bucket": "lab",
        "endpoint_url": "http://127.0.0.1:9",
        "service_account": "t",
    }
    store = GCPBackend(**settings, pod_endpoint_url="http://gcs.lab:4443").storage()
    assert store is not None
    patches = store.pod_access("read")
    assert [one.spec for one in patches if one.spec] == [{"serviceAccountName": "t"}]
    env = [entry for one in patches for entry in one.container.get("env", ())]
    assert env == [{"name": "STORAGE_EMULATOR_HOST", "value": "http://gcs.lab:4443"}]
    store = GCPBackend(bucket="lab", service_account="t").storage()
    assert store is not None
    assert len(store.pod_access("read")) == 1


# --- the store, as it is made ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://lab/a", "gs://lab", "gs://lab/", "gs:///a", "a", "s3://l/a"]
)
def test_what_is_no_objects_url_is_refused(url: str) -> None:
    with pytest.raises(errors.StorageError, match="such are called gs://lab/fairing/NAME"):
        GCSStore(bucket="lab").stat(url)


@pytest.mark.parametrize("url", ["gcs.lab:4443", "ftp://gcs.lab", "http://gcs.lab/x", "http:/"])
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="is no address of an emulator"):
        GCSStore(bucket="lab", endpoint_url=url)


def test_a_password_in_the_endpoint_is_refused_and_not_shown() -> None:
    for url in ("http://ada:s3cr3t@gcs.lab", "ftp://ada:s3cr3t@gcs.lab"):
        with pytest.raises(errors.SettingsError) as caught:
            GCSStore(bucket="lab", endpoint_url=url)
        assert "s3cr3t" not in str(caught.value)


# --- the original's names -------------------------------------------------------------------------


def test_running_needs_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(errors.NoCluster, match="kubeconfig"):
        TrainJob(len, args=("abc",), backend=GCPBackend(**LAB)).submit()


def test_the_originals_backends_take_what_they_took(tmp_path: Path) -> None:
    source = GCSContextSource("lab-1")
    backend = GKEBackend("lab", source, **LAB)
    assert backend.storage() is source
    assert backend.name == "gcp"
    assert backend.cluster.namespace == "lab"
    assert KubeflowGKEBackend().cluster.namespace == "kubeflow"
    assert KubeflowGKEBackend("lab").cluster.namespace == "lab"
    names = list(inspect.signature(GCSContextSource).parameters)[:3]
    assert names == ["gcp_project", "credentials_file", "namespace"]
    assert source.url("a") == "gs://lab-1/fairing_builds/a"
    with pytest.raises(errors.StorageDenied, match="no Google credentials"):
        GCSContextSource().url("a")


def test_a_project_is_guessed_from_a_key_without_asking(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "x",
                "client_secret": "s3cr3t",
                "refresh_token": "s3cr3t",
            }
        )
    )
    with pytest.raises(errors.SettingsError, match="GOOGLE_CLOUD_PROJECT"):
        guess_project_name(file)
    with pytest.raises(errors.SettingsError, match="there are no Google credentials"):
        guess_project_name()


class Manager:
    def __init__(self, has: bool) -> None:
        self.has = has

    def secret_exists(self, name: str, namespace: str) -> bool:
        return self.has and (name, namespace) == ("user-gcp-sa", "lab")


@pytest.mark.parametrize("has", [True, False])
def test_the_originals_mutator_edits_a_pod(has: bool) -> None:
    from kubernetes import client

    pod: Any = client.V1PodSpec(containers=[client.V1Container(name="main", image="x")])
    add_gcp_credentials_if_exists(Manager(has), pod, "lab")
    if has:
        assert pod.volumes[0].secret.secret_name == "user-gcp-sa"
        assert pod.containers[0].env[0].value == "/etc/secrets/user-gcp-sa.json"
        assert pod.containers[0].volume_mounts[0].mount_path == "/etc/secrets"
    else:
        assert pod.service_account_name == "default-editor"


def test_it_asks_our_own_cluster_too(api: Api) -> None:
    from kubernetes import client

    cluster = GCPBackend(kubeconfig=api.config).cluster
    pod: Any = client.V1PodSpec(containers=[client.V1Container(name="main", image="x")])
    add_gcp_credentials_if_exists(cluster, pod, "test")
    assert pod.service_account_name == "default-editor"


@pytest.mark.parametrize("made", [GCPJob, GCPServing, GCPManagedBackend])
def test_what_google_shut_down_says_so_and_names_the_way_out(made: Any) -> None:
    with pytest.raises(errors.Unsupported, match=r"31 January 2025.*backend='gcp'.*Vertex AI"):
        made()


def test_the_deployer_gcp_says_so_too() -> None:
    job = TrainJob(
        len,
        args=("abc",),
        backend=GCPBackend(**LAB),
        deployer="gcp",
        deployer_options={"region": "us-central1"},
    )
    with pytest.raises(errors.Unsupported, match="shut it down"):
        job.submit()


# --- what the doctor says -------------------------------------------------------------------------


def checks(api: Api, **settings: Any) -> dict[str, tuple[bool | None, str]]:
    made = make_backend(
        "gcp",
        {"kubeconfig": str(api.config), **settings},
        Settings(environ={}),
        Plugins(ambient=False),
    )
    return {one.name: (one.ok, one.detail) for one in made.check()}


def test_without_a_login_the_rest_of_google_is_not_asked(api: Api) -> None:
    found = checks(api, **LAB, bucket="lab")
    ok, detail = found["identity"]
    assert ok is False
    assert "gcloud auth application-default login" in detail
    assert not {"bucket", "push", "repository"} & set(found)


def test_who_pods_are_is_looked_at(api: Api) -> None:
    assert checks(api)["pods"][0] is None
    there(api, "serviceaccounts", "default-editor")
    api.objects["/api/v1/namespaces/test/serviceaccounts/default-editor"]["metadata"][
        "annotations"
    ] = {"iam.gke.io/gcp-service-account": "trainer@lab-1.iam.gserviceaccount.com"}
    ok, detail = checks(api)["pods"]
    assert ok is True
    assert "trainer@lab-1" in detail
    ok, detail = checks(api, secret="lab-key")["pods"]
    assert ok is False
    assert "kubectl create secret generic lab-key --from-file=user-gcp-sa.json=" in detail
    there(api, "secrets", "lab-key", data={})
    assert checks(api, secret="lab-key")["pods"] == (
        True,
        "they have the key of the Secret 'lab-key'",
    )


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_gcp.no_such_name  # noqa: B018 - asking is the test
