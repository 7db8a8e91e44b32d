"""Builders in pods: kaniko from an object store, buildah from a folder; what they push runs."""

from __future__ import annotations

import base64
import io
import tarfile

import pytest

from tests.bench import oci, tiny
from tests.bench.bases import Base
from tests.bench.judges import Judges
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store
from tests.bench.registry import Registry


def packed(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for name, content in files.items():
            oci.add(tar, name, content)
    return made.getvalue()


def message(cluster: Cluster, pod: str) -> str:
    """What its container left at /dev/termination-log."""
    statuses = cluster.get("pod", pod)["status"]["containerStatuses"]
    told: str = statuses[0]["state"]["terminated"]["message"]
    return told


def says(cluster: Cluster, image: str) -> str:
    """What an image's own command prints."""
    pod = cluster.pod("runs", image=image)
    del pod["spec"]["containers"][0]["command"]
    return cluster.run(pod)


@pytest.mark.parametrize("fixture", ["minio", "minio_pod"])
def test_kaniko_builds_from_a_store_and_pushes(
    fixture: str,
    request: pytest.FixtureRequest,
    cluster: Cluster,
    cluster_registry: Registry,
    judges: Judges,
    kaniko_image: str,
    base_pip: Base,
    prefix: str,
) -> None:
    store: Store = request.getfixturevalue(fixture)
    client = store.client()
    client.create_bucket(Bucket=prefix)
    context = packed(tiny.context(base_pip.at(cluster_registry)))
    client.put_object(Bucket=prefix, Key="context.tar.gz", Body=context)
    reader = store.user("s3:GetObject", "s3:ListBucket", on=[prefix, f"{prefix}/*"])
    keys = {"AWS_ACCESS_KEY_ID": reader.access_key, "AWS_SECRET_ACCESS_KEY": reader.secret_key}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": cluster.namespace},
        "stringData": keys,
    }
    image = cluster_registry.image("kaniko:1")
    arguments = [f"--context=s3://{prefix}/context.tar.gz", f"--destination={image}"]
    arguments += ["--insecure", "--insecure-pull", "--digest-file=/dev/termination-log"]
    settings = {
        "S3_ENDPOINT": store.pod_url,
        "S3_FORCE_PATH_STYLE": "true",
        "AWS_REGION": store.region,
    }
    container = {
        "args": arguments,
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "envFrom": [{"secretRef": {"name": "keys"}}],
    }
    pod = cluster.pod("builds", image=kaniko_image, container=container)
    del pod["spec"]["containers"][0]["command"]
    cluster.apply(secret)
    cluster.run(pod)
    assert message(cluster, "builds") == judges.crane(cluster_registry, "digest", image)
    assert says(cluster, image) == f"{tiny.SAYS}\n"


def test_kaniko_says_what_a_store_refused(
    minio: Store, cluster: Cluster, cluster_registry: Registry, kaniko_image: str, prefix: str
) -> None:
    settings = {
        "S3_ENDPOINT": minio.pod_url,
        "S3_FORCE_PATH_STYLE": "true",
        "AWS_REGION": minio.region,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
    }
    arguments = [f"--context=s3://{prefix}/x.tar.gz", "--no-push"]
    container = {
        "args": arguments,
        "env": [{"name": name, "value": value} for name, value in settings.items()],
    }
    pod = cluster.pod("builds", image=kaniko_image, container=container)
    del pod["spec"]["containers"][0]["command"]
    cluster.apply(pod)
    assert cluster.until("builds", ("Succeeded", "Failed")) == "Failed"
    assert "NoSuchBucket" in cluster.kubectl("logs", "builds")


def test_buildah_builds_from_a_folder_and_pushes(
    cluster: Cluster,
    cluster_registry: Registry,
    judges: Judges,
    buildah_image: str,
    base_pip: Base,
) -> None:
    files = tiny.context(base_pip.at(cluster_registry))
    context = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "context", "namespace": cluster.namespace},
        "binaryData": {name: base64.b64encode(each).decode() for name, each in files.items()},
    }
    image = cluster_registry.image("buildah:1")
    # A ConfigMap's files are links, which a build takes for what they are.
    program = f"""set -e
cp -rL /context /work
alias buildah='buildah --storage-driver vfs'
buildah build --isolation chroot --tls-verify=false --tag {image} /work
buildah push --tls-verify=false --digestfile /dev/termination-log {image}
"""
    pod = cluster.pod(
        "builds",
        *("sh", "-c", program),
        image=buildah_image,
        container={"volumeMounts": [{"name": "context", "mountPath": "/context"}]},
        volumes=[{"name": "context", "configMap": {"name": "context"}}],
    )
    cluster.apply(context)
    cluster.run(pod)
    assert message(cluster, "builds") == judges.crane(cluster_registry, "digest", image)
    assert says(cluster, image) == f"{tiny.SAYS}\n"
