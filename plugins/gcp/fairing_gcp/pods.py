"""What pods need to be somebody at Google: pure functions from values to patches."""

from __future__ import annotations

import posixpath

from fairing_core import PodPatch

ORIGIN = "fairing-gcp"
SECRET = "user-gcp-sa"  # noqa: S105 - a name
"""The Secret in which Kubeflow keeps the key of each profile's service account."""

ENTRY = "user-gcp-sa.json"
ACCOUNT = "default-editor"
"""The service account of each profile of Kubeflow's, which workload identity is set up for."""

FOLDER = "/etc/secrets"
"""Where the key is mounted, as the original did."""


def runs_as(service_account: str) -> PodPatch:
    """The Kubernetes service account, whose identity at Google a pod takes on."""
    return PodPatch({"serviceAccountName": service_account}, origin=ORIGIN)


def key_by_reference(secret: str, entry: str = ENTRY) -> PodPatch:
    """A service account's key, from a Secret of the namespace."""
    volume = {"name": SECRET, "secret": {"secretName": secret}}
    path = posixpath.join(FOLDER, entry)
    return PodPatch(
        {"volumes": [volume]},
        {
            "env": [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": path}],
            "volumeMounts": [{"name": SECRET, "mountPath": FOLDER, "readOnly": True}],
        },
        origin=ORIGIN,
    )


def emulator(endpoint: str) -> PodPatch:
    """An emulator of Cloud Storage, which Google's clients and kaniko then ask without a login."""
    return PodPatch(
        container={"env": [{"name": "STORAGE_EMULATOR_HOST", "value": endpoint}]}, origin=ORIGIN
    )


def pull_by_reference(secret: str) -> PodPatch:
    """The login for a registry, from a Secret of the namespace."""
    return PodPatch({"imagePullSecrets": [{"name": secret}]}, origin=ORIGIN)
