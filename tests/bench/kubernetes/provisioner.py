"""Serves the storage class: a folder on this machine for every claim.

The controller manager's own hostPath provisioner makes folders that only root may write.

Run as: python -m tests.bench.kubernetes.provisioner KUBECONFIG FOLDER
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.kubernetes.config import NODE_NAME
from tests.bench.kubernetes.manifests import PROVISIONER

_PAUSE = 0.5  # seconds between two looks
_STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


def volume(claim: Any, folder: Path) -> dict[str, Any]:
    """The volume for a claim, in a folder of its own below `folder`."""
    meta, spec = claim.metadata, claim.spec
    name = f"pvc-{meta.uid}"
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE_NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "storageClassName": spec.storage_class_name,
            "accessModes": spec.access_modes,
            "capacity": {"storage": spec.resources.requests["storage"]},
            "persistentVolumeReclaimPolicy": "Delete",
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
            "hostPath": {"path": str(folder / name), "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }


def serve(core: Any, folder: Path) -> None:
    """Makes the volumes that are asked for, and removes those that were given back: once."""
    from kubernetes.client import ApiException

    for claim in core.list_persistent_volume_claim_for_all_namespaces().items:
        notes = claim.metadata.annotations or {}
        if claim.status.phase != "Pending" or notes.get(_STORAGE_PROVISIONER) != PROVISIONER:
            continue
        made = volume(claim, folder)
        path = Path(made["spec"]["hostPath"]["path"])
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)  # hostPath knows no fsGroup, and pods run as anybody
        try:
            core.create_persistent_volume(made)
        except ApiException as exc:
            if exc.status != 409:  # there, not bound yet
                raise
    for held in core.list_persistent_volume().items:
        notes = held.metadata.annotations or {}
        if held.status.phase == "Released" and notes.get(_PROVISIONED_BY) == PROVISIONER:
            shutil.rmtree(held.spec.host_path.path, ignore_errors=True)
            core.delete_persistent_volume(held.metadata.name)


def main(kubeconfig: str, folder: Path) -> None:
    """Serves until it is ended; what goes wrong is told, and tried again."""
    from kubernetes import client, config

    core = client.CoreV1Api(config.new_client_from_config(kubeconfig))  # type: ignore[no-untyped-call]
    while True:
        try:
            serve(core, folder)
        except Exception as exc:  # noqa: BLE001  the API server may be on its way up or down
            print(repr(exc), file=sys.stderr, flush=True)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
