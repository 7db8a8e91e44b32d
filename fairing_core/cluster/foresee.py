"""What stands in the way of a Job: asked of the API server, which keeps nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from fairing_core import errors
from fairing_core.cluster import nodes, rights, why
from fairing_core.cluster.client import Cluster
from fairing_core.types import Check

Object = Mapping[str, Any]


def checks(cluster: Cluster, job: Object, *, platform: str | None) -> list[Check]:
    """What was looked at: each right, the Job and its pod by dry runs, claims, secrets, nodes.

    Args:
        cluster: where the Job would go.
        job: with its namespace.
        platform: what its image is for, ``linux/amd64``.
    """
    namespace: str = job["metadata"]["namespace"]
    has_outputs = any(
        entry["name"] == "FAIRING_OUTPUTS"
        for entry in job["spec"]["template"]["spec"]["containers"][0].get("env") or ()
    )
    try:
        missing = rights.lacking(cluster, namespace, outputs=has_outputs)
    except errors.ClusterError as exc:
        return [Check("cluster", False, str(exc))]
    found = [Check("cluster", True, f"{cluster.server}, namespace {namespace!r}")]
    found += rights.checked(missing, namespace)
    if not any((right.resource, right.verb) == ("jobs", "create") for right in missing):
        found.append(_job(cluster, job, namespace))
    admission, pod = _pod(cluster, job, namespace)
    return [
        *found,
        admission,
        *_claims(cluster, pod["spec"], namespace),
        *_pull_secrets(cluster, pod["spec"], namespace),
        nodes.check(cluster, pod, platform),
    ]


def dry_runs(cluster: Cluster, job: Object) -> list[Check]:
    """Whether the API server takes the Job, and one of its pods.

    Raises:
        ClusterError: it can't be asked.
    """
    namespace: str = job["metadata"]["namespace"]
    return [_job(cluster, job, namespace), _pod(cluster, job, namespace)[0]]


def refusal(error: errors.ClusterError, job: Object) -> errors.FairingError:
    """What an API server's refusal of the Job means."""
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    if error.status == 409:
        return errors.InvalidArgument(
            f"{name!r} is the name of another Job of {namespace!r}; give another, or delete that "
            f"one: fairing rm {name}"
        )
    found = why.of_refusal(str(error))
    if found.kind == "not-admitted":
        return error
    return errors.ClusterError(str(found), status=error.status, reason=error.reason)


def _job(cluster: Cluster, job: Object, namespace: str) -> Check:
    try:
        cluster.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", job, dryRun="All")
    except errors.ClusterError as exc:
        return Check("job", False, str(refusal(exc, job)))
    return Check("job", True, "the API server takes it (dry run)")


def _pod(cluster: Cluster, job: Object, namespace: str) -> tuple[Check, Object]:
    """Whether one of its pods is let in, and the pod as admission makes it."""
    template = job["spec"]["template"]
    meta = {**template["metadata"], "generateName": f"{job['metadata']['name']}-"}
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    what = "whether quotas and policies let its pods in"
    if not rights.is_allowed(cluster, namespace, "create", "pods"):
        return _untold("admission", what, "create pods", namespace), pod
    try:
        made = cluster.create(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")
    except errors.ClusterError as exc:
        return Check("admission", False, str(why.of_refusal(str(exc)))), pod
    return Check("admission", True, "quotas and policies let its pods in (dry run)"), made


def _claims(cluster: Cluster, spec: Object, namespace: str) -> list[Check]:
    """Whether each volume claim is there, and has a volume or a StorageClass that makes one."""
    found = []
    for volume in spec.get("volumes") or ():
        if claim := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            ask = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
            what = f"the volume claim {claim!r}"
            found.append(_looked("volume", what, partial(_claim, cluster, ask)))
        elif "ephemeral" in volume:
            wanted = volume["ephemeral"]["volumeClaimTemplate"]["spec"]
            what = f"the StorageClass of the volume {volume['name']!r}"
            found.append(_looked("volume", what, partial(_storage_class, cluster, wanted)))
    return found


def _claim(cluster: Cluster, path: str) -> Check:
    claim = cluster.get(path)
    name, phase = claim["metadata"]["name"], claim.get("status", {}).get("phase")
    if phase == "Bound":
        return Check("volume", True, f"the volume claim {name!r} has its volume")
    made = _storage_class(cluster, claim["spec"])
    return Check("volume", made.ok, f"the volume claim {name!r} has no volume yet: {made.detail}")


def _storage_class(cluster: Cluster, claim: Object) -> Check:
    name = claim.get("storageClassName")
    if not name:
        return Check("volume", None, "no StorageClass is named, so a volume may never come")
    try:
        cluster.get(f"/apis/storage.k8s.io/v1/storageclasses/{name}")
    except errors.ObjectNotFound:
        told = f"there is no StorageClass {name!r} ('kubectl get storageclasses')"
        return Check("volume", False, told)
    except errors.ClusterDenied:
        return Check("volume", None, f"you may not look up the StorageClass {name!r}")
    return Check("volume", True, f"the StorageClass {name!r} makes one")


def _pull_secrets(cluster: Cluster, spec: Object, namespace: str) -> list[Check]:
    """Whether the secrets by which the image is pulled are there, and are for its registry."""
    image: str = spec["containers"][0]["image"]
    host = image.partition("/")[0]
    names = [one["name"] for one in spec.get("imagePullSecrets") or () if one.get("name")]
    if not names:
        told = f"none is named, so nodes pull from {host} without a login, or with their own"
        return [Check("pull secret", None, told)]
    found = []
    for name in names:
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        ask = partial(_pull_secret, cluster, path, host)
        found.append(_looked("pull secret", f"the pull secret {name!r}", ask))
    return found


def _pull_secret(cluster: Cluster, path: str, host: str) -> Check:
    import base64
    import json

    secret = cluster.get(path)
    name = secret["metadata"]["name"]
    try:
        content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        hosts = [_host(key) for key in content["auths"]]
    except (KeyError, TypeError, ValueError):
        told = (
            f"the secret {name!r} is no pull secret; make it with "
            "'kubectl create secret docker-registry'"
        )
        return Check("pull secret", False, told)
    if host not in hosts:
        told = f"the pull secret {name!r} is for {', '.join(hosts) or 'nothing'}, not for {host}"
        return Check("pull secret", False, told)
    return Check("pull secret", True, f"{name!r} has a login for {host}")


def _host(key: str) -> str:
    host = key.partition("://")[2] or key
    host = host.partition("/")[0]
    return "docker.io" if host == "index.docker.io" else host


def _looked(name: str, what: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except errors.ObjectNotFound:
        return Check(name, False, f"{what} is not there")
    except errors.ClusterDenied as exc:
        return Check(
            name, None, f"{what} can't be looked at: you may not {exc.verb} {exc.resource}"
        )


def _untold(name: str, what: str, right: str, namespace: str) -> Check:
    return Check(name, None, f"{what} is not known: you may not {right} in {namespace!r}")
