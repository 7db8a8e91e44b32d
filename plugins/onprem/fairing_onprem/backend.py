"""The backend `onprem`: your own cluster, any S3-compatible store, any registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NoReturn

from fairing_core import BackendInterface, Deployer, Registry, Storage
from fairing_core.errors import Unsupported


@dataclass(frozen=True, kw_only=True)
class OnPremBackend(BackendInterface):
    """Runs on a Kubernetes cluster of your own.

    Example:
        >>> from fairing_onprem import OnPremBackend
        >>> OnPremBackend(image_registry="registry.lab.example/ml", plain_http=True).plain_http
        True

    Args:
        endpoint_url: where the S3-compatible store is served.
        bucket: where build contexts are kept.
        region: the region that the store states.
        secret: the Kubernetes Secret with the store's keys.
        image_registry: where images are pushed, ``host[:port]/path``.
        plain_http: whether the registry is reached without TLS.
        ca: the certificates (PEM) that the registry and the store are checked with.
        kubeconfig: the file that names the cluster; by default the usual one.
        context: which of its contexts; by default the current one.
    """

    name: ClassVar[str] = "onprem"

    endpoint_url: str | None = None
    bucket: str | None = None
    region: str | None = None
    secret: str | None = None
    image_registry: str | None = None
    plain_http: bool = False
    ca: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None

    def storage(self) -> Storage:
        _refuse("keep build contexts in an S3-compatible store")

    def registry(self) -> Registry:
        _refuse("push images to a registry")

    def deployer(self, kind: str) -> Callable[..., Deployer]:
        _refuse(f"run a {kind} on a cluster")


def _refuse(what: str) -> NoReturn:
    raise Unsupported(
        f"the backend 'onprem' can't {what} yet: this version of fairing-onprem has only its "
        "settings. Run on this machine with backend='local', and upgrade later: "
        "pip install --upgrade fairing-onprem"
    )
