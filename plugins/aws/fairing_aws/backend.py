"""The backend `aws`: EKS clusters, build contexts in S3, images in ECR."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fairing_aws import pods
from fairing_aws._sdk import Account
from fairing_aws.doctor import Doctor
from fairing_aws.ecr import ECRRegistry
from fairing_aws.s3 import store
from fairing_core import Check, KubernetesBackend, PodPatch, RegistryAccess
from fairing_core.s3 import S3Store
from fairing_core.s3.store import Encryption


class AWSBackend(KubernetesBackend):
    """Runs on a Kubernetes cluster in AWS.

    Every setting may be left out: images go to ECR in the session's account and region, and pods
    have what their nodes have.

    Args:
        kubeconfig: the file that names the cluster; by default ``KUBECONFIG``, else the usual one.
        context: which of its contexts; by default the current one.
        namespace: by default the pod's own, else that of the kubeconfig's context.
        region: the region of bucket, registry and pods; by default the session's.
        profile: a profile of the AWS configuration files; by default the session's.
        role_arn: a role to assume before anything else.
        external_id: what that role wants to be told.
        base_image: what code is put on where nobody says.
        image_registry: where images are pushed, ``host[/path]``; by default ECR, by the session.
            One that is not ECR's gets no token of AWS's, but your own login.
        repository_prefix: the path below it, where `image_registry` is left out.
        create_repository: whether a repository that is missing is made at the first push.
        pull_secret: the Secret by which nodes without a role pull.
        make_pull_secret: whether one with a token is made for each run instead.
        bucket: where build contexts are kept; without, they travel in a Secret or by stdin.
        bucket_owner: the account that must own `bucket`; by default the session's.
        prefix: what all keys begin with.
        encryption: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``; by default the bucket's own way.
        kms_key: with which key of KMS.
        create_bucket: whether a bucket that is missing is made.
        service_account: the Kubernetes service account whose IAM role pods take on.
        build_service_account: that of builds; by default the same.
        secret: the Kubernetes Secret with the keys of pods that have no role.
        endpoint_url: where S3 is served, if not by AWS.
        pod_endpoint_url: what pods call it, where that differs.
        ecr_endpoint_url: where ECR's API is, if not where AWS has it.
        sts_endpoint_url: where STS is, likewise.
        ca: certificates (PEM) that all of these are checked with, instead of the system's.

    Example:
        >>> from fairing_aws import AWSBackend
        >>> AWSBackend(region="eu-central-1", bucket="lab-fairing")
        AWSBackend(region='eu-central-1', bucket='lab-fairing')
    """

    name: ClassVar[str] = "aws"

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        namespace: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        role_arn: str | None = None,
        external_id: str | None = None,
        base_image: str | None = None,
        image_registry: str | None = None,
        repository_prefix: str = "",
        create_repository: bool = True,
        pull_secret: str | None = None,
        make_pull_secret: bool = False,
        bucket: str | None = None,
        bucket_owner: str | None = None,
        prefix: str = "fairing/",
        encryption: Encryption | None = None,
        kms_key: str | None = None,
        create_bucket: bool = False,
        service_account: str | None = None,
        build_service_account: str | None = None,
        secret: str | None = None,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
        ecr_endpoint_url: str | None = None,
        sts_endpoint_url: str | None = None,
        ca: Path | None = None,
    ) -> None:
        file = None if kubeconfig is None else str(kubeconfig)
        super().__init__(namespace=namespace, config_file=file, context=context)
        self.account = Account(
            region=region,
            profile=profile,
            role_arn=role_arn,
            external_id=external_id,
            sts_endpoint_url=sts_endpoint_url,
            ecr_endpoint_url=ecr_endpoint_url,
            ca=ca,
        )
        self._base_image = base_image
        self._pull_secret = pull_secret
        self._service_account = service_account
        self._build_service_account = build_service_account or service_account
        self._secret = secret
        self._ca = ca
        self._registry = ECRRegistry(
            self.account,
            place=image_registry,
            prefix=repository_prefix,
            create_repository=create_repository,
            pull_secret=pull_secret,
            make_pull_secret=make_pull_secret,
        )
        self._store = None
        if bucket is not None:
            self._store = store(
                self.account,
                bucket=bucket,
                owner=bucket_owner,
                has_identity=self._build_service_account is not None,
                endpoint_url=endpoint_url,
                pod_endpoint_url=pod_endpoint_url,
                prefix=prefix,
                region=region,
                secret=secret,
                ca=ca,
                create_bucket=create_bucket,
                encryption=encryption,
                kms_key=kms_key,
            )
        self._said = {
            "kubeconfig": file,
            "context": context,
            "namespace": namespace,
            "region": region,
            "profile": profile,
            "role_arn": role_arn,
            "image_registry": image_registry,
            "bucket": bucket,
            "service_account": service_account,
            "secret": secret,
            "endpoint_url": endpoint_url,
        }

    def storage(self) -> S3Store | None:
        """The store, where `bucket` names one."""
        return self._store

    def registry(self) -> ECRRegistry:
        """The registry."""
        return self._registry

    def registries(self) -> Mapping[str, RegistryAccess]:
        """How a registry with certificates of its own is reached."""
        said = self._registry.said
        if self._ca is None or said is None:
            return {}
        return {said.partition("/")[0]: RegistryAccess(ca=self._ca)}

    def base_image(self) -> str | None:
        """What code is put on where nobody says."""
        return self._base_image

    def pod_patches(self, stage: str, image: str) -> Sequence[PodPatch]:
        """Where pods are, and who: builds may be somebody else than what they build."""
        patches = []
        if region := self.account.known_region():
            patches.append(pods.in_region(region))
        builds = stage == "build"
        who = self._build_service_account if builds else self._service_account
        if who is not None:
            patches.append(pods.runs_as(who))
        if self._secret is not None and not builds:  # the store gives builds the keys for theirs
            patches.append(pods.keys_by_reference(self._secret))
        if self._pull_secret is not None:
            patches.append(pods.pull_by_reference(self._pull_secret))
        return patches

    def check(self) -> Sequence[Check]:
        """The cluster, who you are in AWS, the bucket, the registry, and who pods are."""
        cluster = super().check()
        reached = not any(one.ok is False for one in cluster)
        accounts = {"builds": self._build_service_account, "runs": self._service_account}
        doctor = Doctor(
            self.account, self._store, self._registry, self.registries(), self.read_object
        )
        return (
            *cluster,
            *doctor.identity(),
            *(doctor.pods(accounts, self._secret, self._pull_secret) if reached else ()),
        )

    def read_object(self, kind: str, name: str) -> Mapping[str, object]:
        """An object of the namespace, of a kind such as ``secrets``.

        Raises:
            ClusterError: and its kinds: there is none, or it may not be read.
        """
        return self.cluster.get(f"/api/v1/namespaces/{self.cluster.namespace}/{kind}/{name}")

    def read_secret(self, name: str) -> Mapping[str, bytes]:
        """The entries of a Secret of the namespace.

        Raises:
            ClusterError: and its kinds: there is none, or it may not be read.
        """
        data = self.read_object("secrets", name).get("data") or {}
        assert isinstance(data, Mapping)
        return {key: base64.b64decode(value) for key, value in data.items()}

    def __repr__(self) -> str:
        words = ", ".join(f"{k}={v!r}" for k, v in self._said.items() if v is not None)
        return f"{type(self).__name__}({words})"


KubeflowAWSBackend = AWSBackend
"""Kubeflow Fairing's name for it on a cluster that has Kubeflow; the namespace is the pod's own."""
