"""Secrets that belong to a Job: made beside it, and gone with it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairing_core.cluster import labels
from fairing_core.cluster.client import Cluster
from fairing_core.types import OwnedSecret, PodPatch

Object = Mapping[str, Any]

_REFERENCES = {"secretKeyRef": "name", "secretRef": "name", "secret": "secretName"}
"""What refers to a Secret in a pod's spec, and by which key; projected volumes say ``name``, too.

Source: Kubernetes API v1.36, PodSpec, EnvVarSource, EnvFromSource, SecretVolumeSource.
"""


def secrets_of(patches: Iterable[PodPatch]) -> tuple[OwnedSecret, ...]:
    """The secrets that patches bring; of two with one name, the later."""
    found = {secret.name: secret for patch in patches for secret in patch.secrets}
    return tuple(found.values())


def name_of(secret: OwnedSecret, owner: str) -> str:
    """What it is called in the cluster: no other run's has that name."""
    return f"{owner}-{secret.name}"


def settled(spec: Object, owner: str, secrets: Sequence[OwnedSecret]) -> dict[str, Any]:
    """A pod's spec that refers to `secrets` as they are called in the cluster."""
    names = {secret.name: name_of(secret, owner) for secret in secrets}
    settled: dict[str, Any] = _settled(spec, names) if names else dict(spec)
    return settled


def create(cluster: Cluster, job: Object, secrets: Iterable[OwnedSecret]) -> None:
    """Makes the secrets of a Job, which is in the cluster already; of two with one name, the later.

    Raises:
        ClusterError: and its kinds.
    """
    meta = job["metadata"]
    for secret in {each.name: each for each in secrets}.values():
        cluster.create(f"/api/v1/namespaces/{meta['namespace']}/secrets", _manifest(secret, job))


def renew(cluster: Cluster, job: Object, secret: OwnedSecret) -> None:
    """Gives a secret of the Job's new data; pods that have it mounted see it within two minutes.

    Raises:
        ClusterError: and its kinds.
    """
    meta = job["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/secrets/{name_of(secret, meta['name'])}"
    cluster.patch(path, {"data": _data(secret)})


def _manifest(secret: OwnedSecret, job: Object) -> dict[str, Any]:
    meta = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name_of(secret, meta["name"]),
            "labels": dict(labels.OURS),
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "type": secret.type,
        "data": _data(secret),
    }


def _data(secret: OwnedSecret) -> dict[str, str]:
    return {key: base64.b64encode(value).decode() for key, value in secret.data.items()}


def _settled(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        made = {inner: _settled(item, names, inner) for inner, item in value.items()}
        if key in _REFERENCES:
            for place in {_REFERENCES[key], "name"} & made.keys():
                made[place] = names.get(made[place], made[place])
        return made
    if isinstance(value, list | tuple):
        if key == "imagePullSecrets":
            return [{**one, "name": names.get(one.get("name"), one.get("name"))} for one in value]
        return [_settled(item, names) for item in value]
    return value
