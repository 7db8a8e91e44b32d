"""Fairing on Google Cloud: Cloud Storage, Artifact Registry and GKE."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_gcp.backend import GCPBackend as GCPBackend
    from fairing_gcp.gcs import GCSContextSource as GCSContextSource
    from fairing_gcp.gcs import GCSStore as GCSStore
    from fairing_gcp.original import GCPJob as GCPJob
    from fairing_gcp.original import GCPManagedBackend as GCPManagedBackend
    from fairing_gcp.original import GCPServing as GCPServing
    from fairing_gcp.original import GKEBackend as GKEBackend
    from fairing_gcp.original import KubeflowGKEBackend as KubeflowGKEBackend
    from fairing_gcp.original import (
        add_gcp_credentials_if_exists as add_gcp_credentials_if_exists,
    )
    from fairing_gcp.original import guess_project_name as guess_project_name
    from fairing_gcp.registry import ArtifactRegistry as ArtifactRegistry

_ROOMS = {
    "ArtifactRegistry": "registry",
    "GCPBackend": "backend",
    "GCPJob": "original",
    "GCPManagedBackend": "original",
    "GCPServing": "original",
    "GCSContextSource": "gcs",
    "GCSStore": "gcs",
    "GKEBackend": "original",
    "KubeflowGKEBackend": "original",
    "add_gcp_credentials_if_exists": "original",
    "guess_project_name": "original",
}

__all__ = [
    "ArtifactRegistry",
    "GCPBackend",
    "GCPJob",
    "GCPManagedBackend",
    "GCPServing",
    "GCSContextSource",
    "GCSStore",
    "GKEBackend",
    "KubeflowGKEBackend",
    "add_gcp_credentials_if_exists",
    "guess_project_name",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
