"""MinIO as a pod, under the name, and with the keys, that many installations of Kubeflow have."""

from __future__ import annotations

import contextlib
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import layouts, minio, oci, registry, tools
from tests.bench.bench import Bench, BenchError
from tests.bench.kubernetes import cluster
from tests.bench.kubernetes.manifests import Manifest
from tests.bench.layouts import Layer, Layout
from tests.bench.minio import Store
from tests.bench.part import Part

PART = "minio-pod"
NAMESPACE, SERVICE, PORT = "kubeflow", "minio-service", 9000
ADDRESS = "10.96.0.20"
"""The Service's: pods ask for its name, clients on this machine can't."""
SECRET = "mlpipeline-minio-artifact"
"""Where Kubeflow Pipelines look for the keys: `accesskey`, `secretkey`."""
ACCESS_KEY, SECRET_KEY = "minio", "minio123"
NAME = "tools/minio"
RUN = {"Entrypoint": ["/minio"], "User": "1000"}


def _make(bench: Bench, layout: Path, work: Path) -> list[dict[str, Any]]:
    tar = work / "minio.tar"
    with tarfile.open(tar, "w") as opened:
        oci.add(opened, "minio", tools.MINIO.path(bench.cache).read_bytes(), mode=0o755)
    return [layouts.put_image(layout, NAME, RUN, [Layer.put(layout, tar)])]


LAYOUT = Layout(
    name=PART,
    tag=layouts.digest_of((tools.MINIO.key, RUN)),
    make=_make,
    variants=(registry.named("cluster-registry"),),
)


def store() -> Store:
    """The server as root sees it."""
    return Store(
        url=f"http://{ADDRESS}:{PORT}",
        pod_url=f"http://{SERVICE}.{NAMESPACE}:{PORT}",
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
    )


def manifests(image: str) -> list[Manifest]:
    """The namespace, which stays, and what is in it."""
    labels = {"app": "minio"}
    keys = {"MINIO_ROOT_USER": "accesskey", "MINIO_ROOT_PASSWORD": "secretkey"}
    env: list[Manifest] = [
        {"name": name, "value": value}
        for name, value in {**minio.SETTINGS, "HOME": "/data"}.items()
    ]
    env += [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
        for name, key in keys.items()
    ]
    container = {
        "name": "minio",
        "image": image,
        "args": ["server", "--quiet", "--address", f":{PORT}", "/data/buckets"],
        "env": env,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/minio/health/ready", "port": PORT},
            "periodSeconds": 1,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    deployment = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "Recreate"},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    service = {"clusterIP": ADDRESS, "selector": labels, "ports": [{"name": "http", "port": PORT}]}
    secret = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {**_named("v1", "Secret", SECRET), "stringData": secret},
        {**_named("apps/v1", "Deployment", "minio"), "spec": deployment},
        {**_named("v1", "Service", SERVICE), "spec": service},
    ]


def _named(api: str, kind: str, name: str) -> Manifest:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "minio"}},
    }


def _start(bench: Bench, part: str) -> None:
    LAYOUT.start(bench, part)
    image = LAYOUT.find(bench)["minio"].at_nodes(LAYOUT.variants[0].at(bench))
    cluster.apply(bench, manifests(image))


def _ready(bench: Bench, part: str) -> str | None:
    return LAYOUT.ready(bench, part) or minio.asked(store().url)


def _stop(bench: Bench, part: str) -> None:
    kinds = "deployment,service,secret"
    words = (f"--namespace={NAMESPACE}", "delete", kinds, "--selector=app=minio", "--wait=false")
    with contextlib.suppress(BenchError):  # the cluster has ended, and they with it
        cluster.kubectl(bench, *words)


def _environment(bench: Bench) -> Mapping[str, str]:
    found = store()
    return {
        "FAIRING_BENCH_MINIO_POD_URL": found.url,
        "FAIRING_BENCH_MINIO_POD_URL_OF_PODS": found.pod_url,
        "FAIRING_BENCH_MINIO_POD_ACCESS_KEY": found.access_key,
        "FAIRING_BENCH_MINIO_POD_SECRET_KEY": found.secret_key,
    }


MINIO_POD = Part(
    name=PART,
    about=f"MinIO as a pod, which the cluster knows as {SERVICE}.{NAMESPACE}:{PORT}",
    start=_start,
    ready=_ready,
    stop=_stop,
    environment=_environment,
    needs=(cluster.PART, "cluster-registry"),
    binaries=(tools.MINIO,),
    root=True,
)
