"""The backend as it is made: nothing here is asked of anybody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fairing_aws
from fairing_aws import (
    AWSBackend,
    ECRRegistry,
    KubeflowAWSBackend,
    S3ContextSource,
    add_ecr_config,
    guess_account_id,
)
from fairing_aws import add_aws_credentials_if_exists as credentials
from fairing_core import RegistryAccess, errors
from fairing_core.choices import Choices, Order, Part
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance
from fairing_core.types import Source

HOST = "012345678901.dkr.ecr.eu-central-1.amazonaws.com"


class TestAWSBackend(BackendConformance):
    backend = "aws"
    can_run = False


class TestWithEverything(BackendConformance):
    backend = "aws"
    can_run = False
    options = {  # noqa: RUF012 - as JSON carries it
        "region": "eu-central-1",
        "image_registry": f"{HOST}/ml",
        "bucket": "lab",
        "bucket_owner": "012345678901",
        "encryption": "aws:kms",
        "kms_key": "alias/lab",
        "service_account": "trainer",
        "secret": "aws-secret",
        "namespace": "lab",
    }


def specs(backend: AWSBackend, stage: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for patch in backend.pod_patches(stage, "image"):
        merged.update(patch.spec)
    return merged


def env(backend: AWSBackend, stage: str) -> dict[str, Any]:
    entries = [
        entry
        for patch in backend.pod_patches(stage, "image")
        for entry in patch.container.get("env", ())
    ]
    return {each["name"]: each.get("value") or each["valueFrom"] for each in entries}


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "aws") is AWSBackend


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {
        "FAIRING_AWS__REGION": "eu-central-1",
        "FAIRING_AWS__BUCKET_OWNER": "012345678901",
        "FAIRING_AWS__CREATE_REPOSITORY": "no",
        "FAIRING_AWS__CA": "/certs/lab.pem",
        "FAIRING_AWS__ENCRYPTION": "aws:kms",
    }
    assert Settings(environ=environ).of_backend("aws", AWSBackend) == {
        "region": "eu-central-1",
        "bucket_owner": "012345678901",
        "create_repository": False,
        "ca": Path("/certs/lab.pem"),
        "encryption": "aws:kms",
    }


def test_its_repr_shows_its_settings() -> None:
    shown = repr(AWSBackend(region="eu-central-1", secret="aws-secret"))
    assert shown == "AWSBackend(region='eu-central-1', secret='aws-secret')"


def test_a_bucket_is_a_store() -> None:
    assert AWSBackend(region="eu-central-1").storage() is None
    store = AWSBackend(region="eu-central-1", bucket="lab").storage()
    assert store is not None
    assert store.url("a") == "s3://lab/fairing/a"


def test_each_stage_runs_as_its_own_account() -> None:
    backend = AWSBackend(region="eu-central-1", service_account="trainer")
    assert specs(backend, "build") == specs(backend, "train") == {"serviceAccountName": "trainer"}
    backend = AWSBackend(
        region="eu-central-1", service_account="trainer", build_service_account="builder"
    )
    assert specs(backend, "build") == {"serviceAccountName": "builder"}
    assert specs(backend, "serve") == {"serviceAccountName": "trainer"}


def test_pods_know_their_region() -> None:
    assert env(AWSBackend(region="eu-central-1"), "train") == {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_SDK_LOAD_CONFIG": "true",
    }


def test_pods_without_a_role_have_the_keys_of_the_secret() -> None:
    found = env(AWSBackend(region="eu-central-1", secret="aws-secret"), "train")
    assert found["AWS_ACCESS_KEY_ID"] == {
        "secretKeyRef": {"name": "aws-secret", "key": "AWS_ACCESS_KEY_ID"}
    }


def test_a_build_that_can_sign_is_given_no_key() -> None:
    store = AWSBackend(region="eu-central-1", bucket="lab", service_account="b").storage()
    assert store is not None
    (address,) = store.pod_access("read")
    assert address.container["env"] == [{"name": "AWS_REGION", "value": "eu-central-1"}]


def test_a_build_that_can_not_sign_says_so() -> None:
    store = AWSBackend(region="eu-central-1", bucket="lab").storage()
    assert store is not None
    with pytest.raises(errors.Unsupported, match="signed URLs"):
        store.pod_access("read")


def test_a_registry_with_certificates_of_its_own_is_reached_by_them() -> None:
    backend = AWSBackend(image_registry="registry.lab:5000/ml", ca=Path("/lab.pem"))
    assert backend.registries() == {"registry.lab:5000": RegistryAccess(ca=Path("/lab.pem"))}
    assert AWSBackend().registries() == {}


def test_a_place_in_ecr_that_the_user_names_is_made_room_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the original's ``docker_registry="<account>.dkr.ecr..."``."""
    asked: list[str] = []
    monkeypatch.setattr(ECRRegistry, "ensure", lambda self, repository: asked.append(repository))
    backend = AWSBackend(region="eu-central-1")
    order = Order(
        source=Source("script", tmp_path / "train.py"),
        folder=tmp_path,
        backend=Part(backend),
        registry=f"{HOST}/team",
    )
    registry = Choices(order, Plugins(ambient=False)).registry()
    assert registry is not None
    assert not isinstance(registry, str)
    assert registry.repository("x") == f"{HOST}/team/x"
    registry.ensure(f"{HOST}/team/x")
    assert asked == [f"{HOST}/team/x"]


def test_no_region_is_said_with_where_to_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    backend = AWSBackend()
    assert backend.pod_patches("train", "image") == []
    with pytest.raises(errors.SettingsError, match="no region is named") as caught:
        backend.registry().repository("x")
    assert "FAIRING_AWS__REGION" in str(caught.value)


def test_no_keys_are_said_with_how_to_get_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(errors.SettingsError, match="aws sso login"):
        guess_account_id()
    store = AWSBackend(region="eu-central-1", bucket="lab").storage()
    assert store is not None
    with pytest.raises(errors.StorageDenied, match="there are no keys"):
        store.stat(store.url("a"))


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(errors.SettingsError, match=r"profile='nobody'.*list-profiles"):
        AWSBackend(profile="nobody", region="eu-central-1").account.number()


def test_the_originals_names_answer() -> None:
    assert KubeflowAWSBackend is AWSBackend
    refs = [entry["valueFrom"]["secretKeyRef"] for entry in credentials.container["env"]]
    assert {(ref["name"], ref["optional"]) for ref in refs} == {("aws-secret", True)}
    assert not add_ecr_config.spec
    source = S3ContextSource("012345678901", "eu-central-1")
    assert source.url("0c1d") == "s3://kubeflow-012345678901-eu-central-1/fairing_builds/0c1d"
    assert repr(S3ContextSource()) == "S3ContextSource('s3://.../fairing_builds/')"
    assert set(fairing_aws.__all__) == set(fairing_aws._ROOMS)
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_aws.no_such_name  # noqa: B018 - asking is the test


def test_nothing_of_boto3_is_imported_before_it_is_used() -> None:
    code = """
import sys
import fairing_aws
for name in fairing_aws.__all__:
    getattr(fairing_aws, name)
backend = fairing_aws.AWSBackend(region="eu-central-1", bucket="lab", image_registry="r.lab/ml")
backend.storage().url("a"), backend.registry().repository("x"), backend.registries()
backend.pod_patches("train", "image"), repr(backend), fairing_aws.S3ContextSource()
assert not {"boto3", "botocore"} & set(sys.modules), "imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
