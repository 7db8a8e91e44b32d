"""The store: S3, which knows whose a bucket is, and pods that have identities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fairing_aws._sdk import Account
from fairing_core import PodPatch, errors
from fairing_core.s3 import S3Store
from fairing_core.s3.store import Encryption, ReadSecret


def store(
    account: Account,
    *,
    bucket: str | Callable[[], str],
    owner: str | None,
    has_identity: bool,
    **settings: Any,
) -> S3Store:
    """The store in S3 by the account's session.

    Args:
        account: who asks.
        bucket: which.
        owner: the account that has to own it; None is the session's own.
        has_identity: whether the pods that read it have a role by their service account.
        settings: more of `S3Store`'s.
    """
    return S3Store(
        bucket=bucket,
        session=account.session,
        owner=owner or account.number,
        pod_keys=by_identity if has_identity else without_identity,
        **settings,
    )


def by_identity() -> Sequence[PodPatch]:
    """Nothing: EKS gives pods their keys by their service account."""
    return ()


def without_identity() -> Sequence[PodPatch]:
    """Pods that can't sign."""
    raise errors.Unsupported(
        "pods have no identity for S3, as no service_account and no secret is named; they get "
        "signed URLs"
    )


class S3ContextSource(S3Store):
    """Kubeflow Fairing's store of build contexts, by the arguments that it had.

    Its bucket, ``kubeflow-<account>-<region>``, is made where it is missing, as the original did;
    one of another account's is refused. Pods get a signed URL for the context, or the keys of
    `secret`, or the role of `service_account`.

    Args:
        aws_account: by default the session's; it has to own the bucket.
        region: by default the session's.
        bucket_name: another bucket.
        service_account: as whom builds run, where that has a role.
        secret: the Secret with the keys of pods that have no role.
        profile: a profile of the AWS configuration files.
        role_arn: a role that is assumed.

    Example:
        >>> from fairing_aws import S3ContextSource
        >>> S3ContextSource("012345678901", "eu-central-1")
        S3ContextSource('s3://kubeflow-012345678901-eu-central-1/fairing_builds/', region='eu-central-1')
    """  # noqa: E501 - its repr is a line

    def __init__(
        self,
        aws_account: str | None = None,
        region: str | None = None,
        bucket_name: str | None = None,
        *,
        service_account: str | None = None,
        secret: str | None = None,
        profile: str | None = None,
        role_arn: str | None = None,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
        sts_endpoint_url: str | None = None,
        ca: Path | None = None,
        read_secret: ReadSecret | None = None,
        encryption: Encryption | None = None,
        kms_key: str | None = None,
    ) -> None:
        account = Account(
            region=region,
            profile=profile,
            role_arn=role_arn,
            sts_endpoint_url=sts_endpoint_url,
            ca=ca,
        )
        bucket: str | Callable[[], str] = bucket_name or f"kubeflow-{aws_account}-{region}"
        if not (bucket_name or (aws_account and region)):
            bucket = partial(_originals_bucket, account, aws_account)
        super().__init__(
            bucket=bucket,
            session=account.session,
            owner=aws_account or account.number,
            pod_keys=by_identity if service_account else without_identity,
            endpoint_url=endpoint_url,
            pod_endpoint_url=pod_endpoint_url,
            prefix="fairing_builds/",
            region=region,
            secret=secret,
            ca=ca,
            create_bucket=True,
            encryption=encryption,
            kms_key=kms_key,
            read_secret=read_secret,
        )


def _originals_bucket(account: Account, number: str | None) -> str:
    return f"kubeflow-{number or account.number()}-{account.region}"
