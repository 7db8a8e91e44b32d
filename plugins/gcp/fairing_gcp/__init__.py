"""Fairing on Google Cloud: Cloud Storage, Artifact Registry and GKE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_gcp.backend import GCPBackend as GCPBackend

__all__ = ["GCPBackend"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fairing_gcp import backend

    return getattr(backend, name)
