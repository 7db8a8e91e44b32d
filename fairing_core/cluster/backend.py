"""The backend `kubernetes`: any cluster, with nothing that a cloud adds."""

from __future__ import annotations

from typing import NoReturn

from fairing_core import errors
from fairing_core.interfaces import BackendInterface


class KubernetesBackend(BackendInterface):
    """Any Kubernetes cluster that the kubeconfig, or the pod's service account, leads to.

    This version finds it by name and says that it can't run there yet.
    """

    name = "kubernetes"

    def deployer(self, kind: str) -> NoReturn:
        """Refuses.

        Raises:
            Unsupported: always, in this version.
        """
        raise errors.Unsupported(
            f"this version of fairing-core can't run a {kind} on a cluster: the backend "
            "'kubernetes' was chosen because it was named, because a deployer, builder or "
            "registry was, or because this is a pod. To run here, say backend='local' "
            "or FAIRING_BACKEND=local"
        )

    def runs(self) -> NoReturn:
        """Refuses.

        Raises:
            Unsupported: always, in this version.
        """
        raise errors.Unsupported("this version of fairing-core has no runs on clusters to list")
