"""From a function to a run: a context in S3, a build in a pod, a push to ECR, a Job with a role."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from fairing_aws import AWSBackend, S3ContextSource
from fairing_core import PodPatch, TrainJob, errors
from fairing_core.build.cluster.builder import ClusterBuilder
from tests.aws.conftest import ECR, As
from tests.bench import aws_roles
from tests.bench.aws import Aws
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]


@pytest.fixture
def on_cluster(
    settings: dict[str, Any], cluster: Cluster, aws: Aws, base_python: Base, prefix: str
) -> dict[str, Any]:
    return settings | {
        "kubeconfig": cluster.admin,
        "namespace": cluster.namespace,
        "base_image": base_python.at(aws.registry),
        "image_registry": f"{aws.registry.name}/{prefix}",
        "make_pull_secret": True,  # the bench's nodes have no role
    }


def account(cluster: Cluster, name: str, role: str | None = None) -> None:
    notes = {aws_roles.ANNOTATION: role} if role else {}
    meta = {"name": name, "namespace": cluster.namespace, "annotations": notes}
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})


def pods(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cluster.kubectl("get", "pods", "-o", "json"))["items"]
    return found


def whoami(url: str) -> str:
    """Takes on the role of the pod's service account, as SDKs do; gives the kind of the keys."""
    import os
    import re
    import urllib.parse
    import urllib.request

    with open(os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"], encoding="utf-8") as file:
        token = file.read()
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": os.environ["AWS_ROLE_ARN"],
        "RoleSessionName": "train",
        "WebIdentityToken": token,
    }
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        text = answer.read().decode()
    has_keys = re.search("<SessionToken>.+</SessionToken>", text) is not None
    return f"{os.environ['AWS_REGION']} {has_keys}"


def test_the_whole_way_with_roles_by_service_account(
    on_cluster: dict[str, Any], cluster: Cluster, aws: Aws, log_in: As, prefix: str,
    bucket: str, kaniko_image: str,
) -> None:  # fmt: skip
    user = log_in(*ECR)
    role = aws.role(f"{prefix}-build", "s3:GetObject", on=[f"{bucket}/*"])
    account(cluster, "builder", role)
    account(cluster, "trainer", role)
    backend = AWSBackend(**on_cluster, service_account="trainer", build_service_account="builder")
    spec, container = aws_roles.webhook(role, aws.url)
    webhook = PodPatch(spec, container)
    builder = ClusterBuilder(
        backend.cluster, engine_image=kaniko_image, pod_spec_mutators=[webhook], cleanup=False
    )
    run = TrainJob(
        whoami, args=(aws.url,), backend=backend, builder=builder, pod_spec_mutators=[webhook]
    ).submit()
    assert run.result(timeout=120) == f"{aws.region} True"
    assert f"{prefix}/fairing-job" in aws.repositories()
    store = backend.storage()
    assert store is not None
    assert len(list(store.list("contexts/"))) == 1
    (build,) = (pod for pod in pods(cluster) if "builder" in pod["metadata"]["name"])
    (train,) = (pod for pod in pods(cluster) if "builder" not in pod["metadata"]["name"])
    assert build["spec"]["serviceAccountName"] == "builder"
    assert train["spec"]["serviceAccountName"] == "trainer"
    assert build["spec"].get("initContainers") is None
    env = {one["name"] for one in build["spec"]["containers"][0]["env"]}
    assert {"AWS_REGION", "AWS_SDK_LOAD_CONFIG", "S3_ENDPOINT"} <= env
    assert "AWS_SECRET_ACCESS_KEY" not in env
    told = cluster.kubectl("get", "jobs,pods,events,configmaps", "--output=json")
    assert user.secret_key not in told
    run.delete()


def test_pods_without_an_identity_get_a_signed_url(
    on_cluster: dict[str, Any], cluster: Cluster, log_in: As, kaniko_image: str
) -> None:
    user = log_in(*ECR)
    backend = AWSBackend(**on_cluster)
    builder = ClusterBuilder(backend.cluster, engine_image=kaniko_image, cleanup=False)
    run = TrainJob(len, args=("four",), backend=backend, builder=builder).submit()
    assert run.result(timeout=120) == 4
    told = cluster.kubectl("get", "jobs,pods,events,configmaps,secrets", "--output=json")
    assert user.secret_key not in told
    assert "X-Amz-Signature" not in cluster.kubectl("get", "jobs,pods,events", "--output=json")
    run.delete()


@pytest.mark.parametrize("source", ["the backend's", "the original's"])
def test_pods_have_the_keys_of_the_secret(
    source: str,
    on_cluster: dict[str, Any],
    cluster: Cluster,
    aws: Aws,
    log_in: As,
    bucket: str,
    kaniko_image: str,
) -> None:
    user = log_in(*ECR)
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "aws-secret", "namespace": cluster.namespace},
            "stringData": user.environ,
        }
    )
    options: dict[str, Any] = {}
    if source == "the original's":
        on_cluster |= {"bucket": None}
        options["context_source"] = S3ContextSource(
            aws.account,
            aws.region,
            bucket,
            secret="aws-secret",
            endpoint_url=aws.s3_url,
            sts_endpoint_url=aws.url,
        )
    backend = AWSBackend(**on_cluster, secret="aws-secret")
    builder = ClusterBuilder(backend.cluster, engine_image=kaniko_image, cleanup=False, **options)
    run = TrainJob(len, args=("four",), backend=backend, builder=builder).submit()
    assert run.result(timeout=120) == 4
    for pod in pods(cluster):
        env = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
        ref = env["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]
        assert ref == {"name": "aws-secret", "key": "AWS_SECRET_ACCESS_KEY"}
    assert user.secret_key not in cluster.kubectl("get", "jobs,pods,events", "--output=json")
    run.delete()


def test_the_whole_program_is_one_line(
    on_cluster: dict[str, Any], log_in: As, monkeypatch: pytest.MonkeyPatch, aws: Aws, prefix: str
) -> None:
    log_in(*ECR)
    for name, value in on_cluster.items():
        monkeypatch.setenv(f"FAIRING_AWS__{name.upper()}", str(value))
    run = TrainJob(len, args=("four",), backend="aws").submit()
    assert run.result(timeout=120) == 4
    assert f"{prefix}/fairing-job" in aws.repositories()
    run.delete()


def test_a_role_that_may_not_read_the_bucket_fails_the_build_by_name(
    on_cluster: dict[str, Any], cluster: Cluster, aws: Aws, log_in: As, prefix: str,
    kaniko_image: str,
) -> None:  # fmt: skip
    log_in(*ECR)
    role = aws.role(f"{prefix}-none", "s3:GetObject", on=["elsewhere/*"])
    account(cluster, "builder", role)
    backend = AWSBackend(**on_cluster, build_service_account="builder")
    webhook = PodPatch(*aws_roles.webhook(role, aws.url))
    builder = ClusterBuilder(
        backend.cluster, engine_image=kaniko_image, pod_spec_mutators=[webhook]
    )
    with pytest.raises(errors.BuildError) as caught:
        TrainJob(len, args=("four",), backend=backend, builder=builder).submit()
    assert "AccessDenied" in str(caught.value) + caught.value.tail
    assert json.loads(cluster.kubectl("get", "jobs", "-o", "json"))["items"] == []
