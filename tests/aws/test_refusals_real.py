"""Each way in which AWS refuses: a clear error, and nothing left behind."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairing_aws import AWSBackend, S3ContextSource
from fairing_core import TrainJob, errors
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_core.testing import StorageConformance
from tests.aws.conftest import ECR, As
from tests.bench.aws import Aws
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store
from tests.core.s3.test_store_real import put

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]
PUSH = tuple(one for one in ECR if one != "ecr:CreateRepository")


class TestS3(StorageConformance):
    @pytest.fixture(autouse=True)
    def _at(self, settings: dict[str, Any], log_in: As) -> None:
        self.settings = settings
        self.secrets = (log_in().secret_key,)  # type: ignore[misc]

    def make(self) -> Any:
        return AWSBackend(**self.settings).storage()


@pytest.fixture
def submitted(
    settings: dict[str, Any], cluster: Cluster, aws: Aws, base_python: Base, prefix: str,
    kaniko_image: str,
) -> Callable[..., object]:  # fmt: skip
    """Builds in the cluster, and runs, with those settings."""

    def run(**more: Any) -> object:
        usual = settings | {
            "kubeconfig": cluster.admin,
            "namespace": cluster.namespace,
            "base_image": base_python.at(aws.registry),
            "image_registry": f"{aws.registry.name}/{prefix}",
            "make_pull_secret": True,
        }
        backend = AWSBackend(**(usual | more))
        builder = ClusterBuilder(backend.cluster, engine_image=kaniko_image)
        return TrainJob(len, args=("four",), backend=backend, builder=builder).submit()

    return run


@pytest.fixture
def nothing_left(cluster: Cluster, aws: Aws, minio: Store, bucket: str, prefix: str) -> Any:
    def check(*, contexts: int = 0) -> None:
        told = cluster.kubectl("get", "jobs,pods,secrets", "--output=json")
        assert json.loads(told)["items"] == []
        assert not {name for name in aws.repositories() if name.startswith(prefix)}
        assert minio.client().list_objects_v2(Bucket=bucket)["KeyCount"] == contexts

    return check


def test_a_wrong_secret_key(
    submitted: Any, nothing_left: Any, log_in: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(*ECR)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    with pytest.raises((errors.RegistryDenied, errors.StorageDenied)) as caught:
        submitted()
    assert "the secret key is wrong" in str(caught.value)
    assert "s3cr3t" not in str(caught.value) + repr(caught.value.__cause__)
    nothing_left()


def test_a_key_that_aws_does_not_know(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    with pytest.raises(errors.SettingsError) as caught:
        AWSBackend(**settings).account.number()
    assert "AWS does not know the keys from AWS_ACCESS_KEY_ID of the environment" in str(
        caught.value
    )


def test_an_expired_token(
    submitted: Any, log_in: As, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
) -> None:  # fmt: skip
    log_in(*ECR)
    file = tmp_path / "auth.json"
    file.write_text(aws.docker_config(seconds=-60))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    with pytest.raises(errors.RegistryDenied, match="authorization token has expired"):
        submitted()
    told = cluster.kubectl("get", "jobs,pods,secrets", "--output=json")
    assert json.loads(told)["items"] == []


def test_a_bucket_that_is_denied(submitted: Any, nothing_left: Any, log_in: As) -> None:
    log_in(*ECR, buckets=())
    with pytest.raises(errors.StorageDenied) as caught:
        submitted()
    assert "ask for the right" in str(caught.value)
    nothing_left()


def test_a_bucket_of_somebody_else(submitted: Any, nothing_left: Any, log_in: As) -> None:
    log_in(*ECR)
    with pytest.raises(errors.StorageDenied) as caught:
        submitted(bucket_owner="999999999999")
    assert "or the bucket is not the account 999999999999's: bucket_owner=" in str(caught.value)
    nothing_left()


def test_a_repository_without_the_right_to_make_it(
    submitted: Any, nothing_left: Any, log_in: As
) -> None:
    log_in(*PUSH)
    with pytest.raises(errors.RegistryDenied) as caught:
        submitted()
    assert "it can't be made (ecr:CreateRepository)" in str(caught.value)
    assert "aws ecr create-repository" in str(caught.value)
    nothing_left(contexts=1)


def test_a_repository_that_is_not_to_be_made(submitted: Any, nothing_left: Any, log_in: As) -> None:
    log_in(*ECR)
    with pytest.raises(errors.RegistryError, match="create_repository is false"):
        submitted(create_repository=False)
    nothing_left(contexts=1)


def test_a_region_that_there_is_not(settings: dict[str, Any], log_in: As) -> None:
    log_in(*ECR)
    settings |= {"region": "eu-nowhere-1", "ecr_endpoint_url": None, "image_registry": None}
    backend = AWSBackend(**settings)
    registry = backend.registry()
    with pytest.raises(errors.RegistryError, match="is region='eu-nowhere-1' right"):
        registry.ensure(registry.repository("train"))


def test_a_bucket_of_another_region_is_found_by_this_machine(
    settings: dict[str, Any], log_in: As
) -> None:
    log_in(*ECR)
    store = AWSBackend(**(settings | {"region": "eu-west-1"})).storage()
    assert store is not None
    assert put(store, b"held").size == 4


def test_a_user_who_may_get_no_token(submitted: Any, log_in: As, nothing_left: Any) -> None:
    log_in("ecr:DescribeRepositories")
    with pytest.raises(errors.RegistryDenied, match="ecr:GetAuthorizationToken"):
        submitted()
    nothing_left()


# --- roles ----------------------------------------------------------------------------------------


def test_a_role_is_assumed_before_anything_else(
    settings: dict[str, Any], aws: Aws, log_in: As, prefix: str
) -> None:
    log_in("sts:AssumeRole")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = aws.client("iam")
    role = iam.create_role(RoleName=prefix, AssumeRolePolicyDocument=text)["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": list(ECR), "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=prefix, PolicyName="ecr", PolicyDocument=text)
    backend = AWSBackend(**settings, role_arn=role)
    assert f"assumed-role/{prefix}/fairing" in backend.account.arn()
    assert backend.account.origin() == f"the role {role}"
    registry = backend.registry()
    found = registry.credentials(registry.host)
    assert found is not None
    assert found.username == "AWS"
    registry.ensure(f"{registry.place}/{prefix}-by-role")
    assert f"{prefix}-by-role" in aws.repositories()


def test_a_role_that_may_not_be_assumed_is_named(settings: dict[str, Any], log_in: As) -> None:
    log_in(*ECR)
    role = "arn:aws:iam::123456789012:role/none"
    backend = AWSBackend(**settings, role_arn=role)
    with pytest.raises(errors.SettingsError, match="can't be assumed") as caught:
        backend.account.number()
    assert role in str(caught.value)
    store = backend.storage()
    assert store is not None
    with pytest.raises(errors.StorageDenied, match="can't be assumed"):
        store.stat(store.url("a"))


# --- the rest -------------------------------------------------------------------------------------


def test_the_originals_source_makes_its_bucket_and_finds_the_account(
    aws: Aws, log_in: As, minio: Store, prefix: str
) -> None:
    log_in(buckets=(f"{prefix}-made",))
    source = S3ContextSource(
        region=aws.region,
        bucket_name=f"{prefix}-made",
        endpoint_url=aws.s3_url,
        sts_endpoint_url=aws.url,
    )
    stored = source.put("0c1d", io.BytesIO(b"held"), size=4, digest=_HELD)
    assert stored.url == f"s3://{prefix}-made/fairing_builds/0c1d"
    source.delete(stored.url)
    minio.client().delete_bucket(Bucket=f"{prefix}-made")
    unnamed = S3ContextSource(region=aws.region, endpoint_url=aws.s3_url, sts_endpoint_url=aws.url)
    assert unnamed.url("a") == f"s3://kubeflow-{aws.account}-{aws.region}/fairing_builds/a"


_HELD = "sha256:c20dea4d876b5b8fb0a1814b43017030cea6d4ac30b2d9ae71b404d2faba49b5"


def test_the_files_of_policies_are_enough(
    settings: dict[str, Any], aws: Aws, bucket: str, prefix: str, minio: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = Path(__file__).parents[2] / "plugins" / "aws" / "policies"
    client = json.loads((folder / "client.json").read_text())["Statement"]
    ecr = [action for one in client for action in one["Action"] if action.startswith("ecr:")]
    s3 = [action for one in client for action in one["Action"] if action.startswith("s3:")]
    allowed = {"Effect": "Allow", "Action": ecr, "Resource": "*"}
    on = [bucket, f"{bucket}/fairing/*"]
    for name, value in aws.user_by_policy(prefix, allowed, s3, on).environ.items():
        monkeypatch.setenv(name, value)
    backend = AWSBackend(**settings)
    found = {one.name: one for one in backend.check()}
    assert found["aws"].ok is True
    assert found["store"].ok is True, found["store"].detail
    assert found["ecr"].ok is True
    registry = backend.registry()
    registry.ensure(f"{registry.place}/{prefix}")
    assert prefix in aws.repositories()


def test_doctor_tells_each_thing(
    settings: dict[str, Any], cluster: Cluster, aws: Aws, log_in: As, prefix: str
) -> None:
    log_in(*ECR)
    more = {
        "kubeconfig": cluster.admin,
        "namespace": cluster.namespace,
        "image_registry": f"{aws.registry.name}/{prefix}",
        "service_account": "none-such",
        "secret": "aws-secret",
    }
    backend = AWSBackend(**(settings | more))
    found = {one.name: (one.ok, one.detail) for one in backend.check()}
    assert found["cluster"][0] is True
    assert f"user/{prefix}-1, by AWS_ACCESS_KEY_ID of the environment" in found["aws"][1]
    assert found["store"][0] is True
    assert found["ecr"][0] is True
    assert found["push"][0] is None
    assert "the first push makes it" in found["push"][1]
    assert found["role of builds and runs"][0] is False
    assert "kubectl create serviceaccount none-such" in found["role of builds and runs"][1]
    assert found["keys of pods"][0] is False
    registry = backend.registry()
    registry.ensure(registry.repository("fairing-job"))
    found = {one.name: (one.ok, one.detail) for one in backend.check()}
    assert found["push"] == (True, f"{registry.repository('fairing-job')} takes your pushes")


def test_doctor_stops_where_aws_does_not_know_you(
    settings: dict[str, Any], log_in: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(*ECR)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    found = {one.name: one for one in AWSBackend(**settings).check()}
    assert found["aws"].ok is False
    assert "the secret key is wrong" in found["aws"].detail
    assert "store" not in found
