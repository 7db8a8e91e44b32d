"""Builds in the cluster, whose pods read their context from the store."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import TrainJob, errors
from fairing_core.build.cluster.builder import ClusterBuilder
from fairing_onprem import MinioContextSource, OnPremBackend
from tests.bench.bases import Base
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store
from tests.bench.registry import Registry

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="the bench's base has Python 3.11: use that one"
    ),
]


@pytest.fixture
def settings(
    cluster: Cluster,
    cluster_basic_registry: Registry,
    base_python: Base,
    minio_pod: Store,
    prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """A store that pods call by another name, and a private registry."""
    file = tmp_path / "auth.json"
    file.write_text(cluster_basic_registry.docker_config("pusher"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    return {
        "kubeconfig": cluster.admin,
        "namespace": cluster.namespace,
        "image_registry": cluster_basic_registry.image("ml"),
        "ca": cluster_basic_registry.ca,
        "base_image": base_python.at(cluster_basic_registry),
        "endpoint_url": minio_pod.url,
        "pod_endpoint_url": minio_pod.pod_url,
        "bucket": prefix,
        "create_bucket": True,
        "access_key": minio_pod.access_key,
        "secret_key": minio_pod.secret_key,
    }


def built_and_run(backend: OnPremBackend, kaniko_image: str, **options: Any) -> object:
    builder = ClusterBuilder(backend.cluster, engine_image=kaniko_image, **options)
    job = TrainJob(len, args=("four",), backend=backend, builder=builder)
    return job.submit().result(timeout=120)


def objects(cluster: Cluster) -> str:
    return cluster.kubectl("get", "jobs,pods,events,configmaps", "--output=json")


@pytest.mark.parametrize("way", ["by value", "by reference"])
def test_kaniko_reads_the_context_and_no_secret_is_outside_of_secrets(
    way: str, settings: dict[str, Any], cluster: Cluster, minio_pod: Store, kaniko_image: str
) -> None:
    if way == "by reference":
        name = "mlpipeline-minio-artifact"
        cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": cluster.namespace},
                "stringData": {
                    "accesskey": minio_pod.access_key,
                    "secretkey": minio_pod.secret_key,
                },
            }
        )
        settings |= {"secret": name, "access_key": None, "secret_key": None}
    backend = OnPremBackend(**settings)
    assert built_and_run(backend, kaniko_image, cleanup=False) == 4
    store = backend.storage()
    assert store is not None
    assert len(list(store.list("contexts/"))) == 1
    told = objects(cluster)
    env = [
        entry["name"]
        for pod in json.loads(told)["items"]
        if pod["kind"] == "Pod" and "fairing-builder" in pod["metadata"]["name"]
        for entry in pod["spec"]["containers"][0].get("env", ())
    ]
    assert {"S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(env)
    assert minio_pod.secret_key not in told


def test_the_originals_context_source_is_one(
    settings: dict[str, Any], minio_pod: Store, prefix: str, kaniko_image: str
) -> None:
    without = {key: settings[key] for key in settings if "key" not in key and "endpoint" not in key}
    source = MinioContextSource(
        minio_pod.url,
        minio_pod.access_key,
        minio_pod.secret_key,
        minio_pod.region,
        bucket=prefix,
        pod_endpoint_url=minio_pod.pod_url,
    )
    backend = OnPremBackend(**{**without, "bucket": None})
    assert built_and_run(backend, kaniko_image, context_source=source) == 4
    assert len(list(source.list(""))) == 1


def test_a_key_that_pods_have_and_is_wrong_fails_the_build_by_name(
    settings: dict[str, Any], cluster: Cluster, kaniko_image: str
) -> None:
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "lab-store", "namespace": cluster.namespace},
            "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wr0ng-key"},
        }
    )
    with pytest.raises(errors.BuildError) as caught:
        built_and_run(OnPremBackend(**settings, secret="lab-store"), kaniko_image)
    assert "InvalidAccessKeyId" in str(caught.value) + caught.value.tail
    assert "wr0ng-key" not in str(caught.value) + caught.value.tail
