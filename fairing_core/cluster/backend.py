"""The backend `kubernetes`: any cluster, with nothing that a cloud adds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import ClassVar

from fairing_core import errors
from fairing_core.cluster import rights
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.runs import ClusterRuns
from fairing_core.interfaces import BackendInterface
from fairing_core.types import Check


class KubernetesBackend(BackendInterface):
    """Any Kubernetes cluster that the pod's service account, or the kubeconfig, leads to.

    Args:
        namespace: by default the pod's own, else that of the kubeconfig's context.
        config_file: a kubeconfig; by default ``KUBECONFIG``, else ``~/.kube/config``.
        context: the context of the kubeconfig; by default its current one.

    Example:
        >>> from fairing_core import KubernetesBackend
        >>> KubernetesBackend(namespace="lab").cluster
        Cluster(namespace='lab')
    """

    name: ClassVar[str] = "kubernetes"

    def __init__(
        self,
        *,
        namespace: str | None = None,
        config_file: str | None = None,
        context: str | None = None,
    ) -> None:
        file = None if config_file is None else os.path.expanduser(config_file)
        self.cluster = Cluster(namespace=namespace, config_file=file, context=context)

    def runs(self) -> ClusterRuns:
        """The runs of the namespace."""
        return ClusterRuns(self.cluster, backend=self.name, storage=self.storage)

    def warm(self) -> None:
        """Gets the connection ready in the background."""
        self.cluster.warm()

    def check(self) -> Sequence[Check]:
        """Whether the API server answers, has the namespace, and grants what runs need."""
        try:
            namespace = self.cluster.namespace
            missing = rights.lacking(self.cluster, namespace)
        except errors.FairingError as exc:
            return (Check("cluster", False, str(exc)),)
        return (
            Check("cluster", True, self.cluster.server),
            *self._lacks_namespace(namespace),
            *rights.checked(missing, namespace),
        )

    def _lacks_namespace(self, namespace: str) -> Sequence[Check]:
        """That it is not there, where this user may see as much."""
        try:
            self.cluster.get(f"/api/v1/namespaces/{namespace}")
        except errors.ObjectNotFound:
            told = (
                f"there is no namespace {namespace!r}; name another with namespace=..., or make it"
            )
            return [Check("namespace", False, f"{told}: kubectl create namespace {namespace}")]
        except errors.ClusterError:  # runs need no right to look at it
            return []
        return []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cluster!r})"
