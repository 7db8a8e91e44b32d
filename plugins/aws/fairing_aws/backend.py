"""The backend `aws`: EKS clusters, build contexts in S3, images in ECR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NoReturn

from fairing_core import BackendInterface, Deployer, Registry, Storage
from fairing_core.errors import Unsupported


@dataclass(frozen=True, kw_only=True)
class AWSBackend(BackendInterface):
    """Runs on a Kubernetes cluster in AWS.

    Example:
        >>> from fairing_aws import AWSBackend
        >>> AWSBackend(region="eu-central-1", bucket="lab-fairing").region
        'eu-central-1'

    Args:
        region: the region of bucket, registry and cluster; by default the session's.
        profile: a profile of the AWS configuration files; by default the session's.
        role_arn: a role to assume before anything else.
        endpoint_url: where S3 is served, if not by AWS.
        bucket: where build contexts are kept.
        bucket_owner: the account that must own `bucket`; by default the session's.
        service_account: the Kubernetes service account whose IAM role pods take on.
        secret: the Kubernetes Secret with the keys of pods that have no role.
    """

    name: ClassVar[str] = "aws"

    region: str | None = None
    profile: str | None = None
    role_arn: str | None = None
    endpoint_url: str | None = None
    bucket: str | None = None
    bucket_owner: str | None = None
    service_account: str | None = None
    secret: str | None = None

    def storage(self) -> Storage:
        _refuse("keep build contexts in S3")

    def registry(self) -> Registry:
        _refuse("push images to ECR")

    def deployer(self, kind: str) -> Callable[..., Deployer]:
        _refuse(f"run a {kind} on a cluster")


def _refuse(what: str) -> NoReturn:
    raise Unsupported(
        f"the backend 'aws' can't {what} yet: this version of fairing-aws has only its settings. "
        "Run on this machine with backend='local', and upgrade later: "
        "pip install --upgrade fairing-aws"
    )
