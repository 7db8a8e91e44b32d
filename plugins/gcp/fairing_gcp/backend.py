"""The backend `gcp`: GKE clusters, build contexts in Cloud Storage, images in Artifact Registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

from fairing_core import BackendInterface, Deployer, Registry, Storage
from fairing_core.errors import Unsupported


@dataclass(frozen=True, kw_only=True)
class GCPBackend(BackendInterface):
    """Runs on a Kubernetes cluster in Google Cloud.

    Example:
        >>> from fairing_gcp import GCPBackend
        >>> GCPBackend(project="lab-1", location="europe-west3").project
        'lab-1'

    Args:
        project: the project of bucket and registry; by default the credentials' own.
        location: the location of bucket and registry, e.g. ``europe-west3``.
        bucket: where build contexts are kept.
        repository: the Artifact Registry repository that images are pushed to.
        credentials_file: a service account's key; by default Google's default credentials.
        service_account: the Kubernetes service account whose identity pods take on.
        secret: the Kubernetes Secret with the key of pods that have no identity.
    """

    name: ClassVar[str] = "gcp"

    project: str | None = None
    location: str | None = None
    bucket: str | None = None
    repository: str | None = None
    credentials_file: Path | None = None
    service_account: str | None = None
    secret: str | None = None

    def storage(self) -> Storage:
        _refuse("keep build contexts in Cloud Storage")

    def registry(self) -> Registry:
        _refuse("push images to Artifact Registry")

    def deployer(self, kind: str) -> Callable[..., Deployer]:
        _refuse(f"run a {kind} on a cluster")


def _refuse(what: str) -> NoReturn:
    raise Unsupported(
        f"the backend 'gcp' can't {what} yet: this version of fairing-gcp has only its settings. "
        "Run on this machine with backend='local', and upgrade later: "
        "pip install --upgrade fairing-gcp"
    )
