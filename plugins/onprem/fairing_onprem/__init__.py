"""Fairing on clusters of your own: any S3-compatible store and any registry."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_onprem.backend import OnPremBackend as OnPremBackend
    from fairing_onprem.minio import MinioContextSource as MinioContextSource
    from fairing_onprem.registry import PlainRegistry as PlainRegistry

_ROOMS = {
    "MinioContextSource": "minio",
    "OnPremBackend": "backend",
    "PlainRegistry": "registry",
}

__all__ = ["MinioContextSource", "OnPremBackend", "PlainRegistry"]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
