"""Fairing on AWS: S3, ECR and EKS."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairing_aws.backend import AWSBackend as AWSBackend
    from fairing_aws.backend import KubeflowAWSBackend as KubeflowAWSBackend
    from fairing_aws.ecr import ECRRegistry as ECRRegistry
    from fairing_aws.original import add_aws_credentials_if_exists as add_aws_credentials_if_exists
    from fairing_aws.original import add_ecr_config as add_ecr_config
    from fairing_aws.original import guess_account_id as guess_account_id
    from fairing_aws.s3 import S3ContextSource as S3ContextSource

_ROOMS = {
    "AWSBackend": "backend",
    "ECRRegistry": "ecr",
    "KubeflowAWSBackend": "backend",
    "S3ContextSource": "s3",
    "add_aws_credentials_if_exists": "original",
    "add_ecr_config": "original",
    "guess_account_id": "original",
}

__all__ = [
    "AWSBackend",
    "ECRRegistry",
    "KubeflowAWSBackend",
    "S3ContextSource",
    "add_aws_credentials_if_exists",
    "add_ecr_config",
    "guess_account_id",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_ROOMS[name]}"), name)
