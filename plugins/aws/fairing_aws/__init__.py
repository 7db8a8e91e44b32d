"""Fairing on AWS: S3, ECR and EKS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_aws.backend import AWSBackend as AWSBackend

__all__ = ["AWSBackend"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fairing_aws import backend

    return getattr(backend, name)
