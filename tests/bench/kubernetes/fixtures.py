"""Fixtures of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.bench import Bench
from tests.bench.fixtures import require
from tests.bench.kubernetes import manifests
from tests.bench.kubernetes.client import Cluster
from tests.bench.kubernetes.cluster import PART
from tests.bench.kubernetes.minio_pod import PART as MINIO_POD
from tests.bench.kubernetes.minio_pod import store
from tests.bench.minio import Store


@pytest.fixture
def cluster(bench: Bench, prefix: str) -> Iterator[Cluster]:
    """The cluster, and a namespace of the test's own."""
    require(bench, PART)
    found = Cluster(bench, prefix)
    found.kubectl("create", "namespace", prefix)
    yield found
    found.kubectl("delete", "namespace", prefix, "--wait=false")


@pytest.fixture
def profile(bench: Bench, prefix: str) -> Iterator[Cluster]:
    """The cluster, and a namespace of the test's own that is set up as a Kubeflow profile's."""
    require(bench, PART)
    found = Cluster(bench, prefix)
    found.apply(*manifests.profile(prefix))
    yield found
    found.kubectl("delete", "namespace", prefix, "--wait=false")


@pytest.fixture
def minio_pod(bench: Bench) -> Store:
    """An S3 server in the cluster, with root's keys; pods call it by its `pod_url`."""
    require(bench, MINIO_POD)
    return store()
