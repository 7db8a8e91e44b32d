"""The backend `onprem`: your own cluster, any S3-compatible store, any registry."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fairing_core import Check, KubernetesBackend, PodPatch, RegistryAccess, checks
from fairing_core.s3 import S3Store
from fairing_onprem import pods
from fairing_onprem.doctor import checks_of_registry, checks_of_store
from fairing_onprem.registry import PlainRegistry

BUCKET = "fairing"
"""The bucket where `endpoint_url` is given, and no bucket."""


class OnPremBackend(KubernetesBackend):
    """Runs on a Kubernetes cluster of your own.

    Every setting may be left out: what has no store or no registry is then without.

    Args:
        kubeconfig: the file that names the cluster; by default ``KUBECONFIG``, else the usual one.
        context: which of its contexts; by default the current one.
        namespace: by default the pod's own, else that of the kubeconfig's context.
        service_account: as whom pods run; by default the namespace's own.
        base_image: what code is put on where nobody says.
        image_registry: where images are pushed, ``host[:port][/path]``.
        plain_http: whether the registry is reached without TLS.
        ca: the certificates (PEM) that the registry and the store are checked with.
        pull_name: what nodes call the registry, ``host[:port]``, where that differs.
        pod_name: what pods call it; by default as the nodes.
        pull_secret: the Secret by which nodes pull.
        make_pull_secret: whether one is made of your login where none is named.
        endpoint_url: where the S3-compatible store is served.
        pod_endpoint_url: what pods call it, where that differs.
        bucket: where build contexts are kept; by default ``fairing``.
        prefix: what all keys begin with.
        region: the region that the store states.
        access_key: the store's key; by default boto3's own search (environment, profile).
        secret_key: its secret half.
        secret: the Kubernetes Secret with the store's keys; pods get them by reference.
        secret_entries: which of its entries are the two, where they have other names.
        create_bucket: whether a bucket that is missing is made.

    Example:
        >>> from fairing_onprem import OnPremBackend
        >>> OnPremBackend(image_registry="registry.lab.example/ml", plain_http=True)
        OnPremBackend(image_registry='registry.lab.example/ml', plain_http=True)
    """

    name: ClassVar[str] = "onprem"

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        namespace: str | None = None,
        service_account: str | None = None,
        base_image: str | None = None,
        image_registry: str | None = None,
        plain_http: bool | None = None,
        ca: Path | None = None,
        pull_name: str | None = None,
        pod_name: str | None = None,
        pull_secret: str | None = None,
        make_pull_secret: bool = True,
        endpoint_url: str | None = None,
        pod_endpoint_url: str | None = None,
        bucket: str | None = None,
        prefix: str = "fairing/",
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        secret: str | None = None,
        secret_entries: tuple[str, ...] | None = None,
        create_bucket: bool = False,
    ) -> None:
        file = None if kubeconfig is None else str(kubeconfig)
        super().__init__(namespace=namespace, config_file=file, context=context)
        self._service_account = service_account
        self._base_image = base_image
        self._pull_secret = pull_secret
        self._access = RegistryAccess(
            plain_http=plain_http, ca=ca, pull_name=pull_name, pod_name=pod_name
        )
        self._registry = None
        if image_registry is not None:
            self._registry = PlainRegistry(
                image_registry,
                pull_secret=pull_secret,
                make_pull_secret=make_pull_secret,
                pull_name=pull_name,
            )
        self._store = None
        if endpoint_url is not None or bucket is not None:
            self._store = S3Store(
                bucket=bucket or BUCKET,
                endpoint_url=endpoint_url,
                pod_endpoint_url=pod_endpoint_url,
                prefix=prefix,
                region=region,
                access_key=access_key,
                secret_key=secret_key,
                secret=secret,
                secret_entries=secret_entries,
                ca=ca,
                create_bucket=create_bucket,
                read_secret=self.read_secret,
            )
        self._said = {
            "kubeconfig": file,
            "context": context,
            "namespace": namespace,
            "image_registry": image_registry,
            "plain_http": plain_http,
            "pull_secret": pull_secret,
            "endpoint_url": endpoint_url,
            "bucket": bucket,
            "secret": secret,
        }

    def storage(self) -> S3Store | None:
        """The store, where `endpoint_url` or `bucket` names one."""
        return self._store

    def registry(self) -> PlainRegistry | None:
        """The registry, where `image_registry` names one."""
        return self._registry

    def registries(self) -> Mapping[str, RegistryAccess]:
        """How that registry is reached."""
        return {} if self._registry is None else {self._registry.host: self._access}

    def base_image(self) -> str | None:
        """What code is put on where nobody says."""
        return self._base_image

    def pod_patches(self, stage: str, image: str) -> Sequence[PodPatch]:
        """The service account, and the pull secret that was named, for images of any registry."""
        patches = []
        if self._service_account is not None:
            patches.append(pods.runs_as(self._service_account))
        if self._pull_secret is not None:
            patches.append(pods.pull_by_reference(self._pull_secret))
        return patches

    def check(self) -> Sequence[Check]:
        """The cluster, the rights in it, the store, the registry, and what pods need for both."""
        cluster = super().check()
        return (
            *cluster,
            *(() if any(one.ok is False for one in cluster) else self._right_to_secrets()),
            *checks_of_store(self._store, self.read_secret),
            *checks_of_registry(
                self._registry, self.registries(), self._pull_secret, self.read_secret
            ),
        )

    def _right_to_secrets(self) -> Sequence[Check]:
        """Whether the Secrets of runs may be made, where some are."""
        makes = []
        if self._registry is not None and any(p.secrets for p in self._registry.pod_access("pull")):
            makes.append("their pull secret")
        if self._store is not None:
            makes.append("outputs in the store")
        if not makes:
            return ()
        return (checks.right(self.cluster, "create", "secrets", f"for runs: {', '.join(makes)}"),)

    def read_secret(self, name: str) -> Mapping[str, bytes]:
        """The entries of a Secret of the namespace.

        Raises:
            ClusterError: and its kinds: there is none, or it may not be read.
        """
        path = f"/api/v1/namespaces/{self.cluster.namespace}/secrets/{name}"
        data = self.cluster.get(path).get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def __repr__(self) -> str:
        words = ", ".join(f"{k}={v!r}" for k, v in self._said.items() if v is not None)
        return f"{type(self).__name__}({words})"
