"""Fairing on clusters of your own: any S3-compatible store and any registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_onprem.backend import OnPremBackend as OnPremBackend

__all__ = ["OnPremBackend"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fairing_onprem import backend

    return getattr(backend, name)
