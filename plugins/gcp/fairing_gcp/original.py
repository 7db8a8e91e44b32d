"""Kubeflow Fairing's names for what is Google's, answered by the parts of this package."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from fairing_core import errors
from fairing_core.interfaces import RunHandle, Storage
from fairing_core.types import DeployRequest, PodSpecMutator
from fairing_gcp import login, pods
from fairing_gcp._sdk import Google
from fairing_gcp.backend import GCPBackend
from fairing_gcp.login import Login

logger = logging.getLogger(__name__)

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io")


class GKEBackend(GCPBackend):
    """The backend `gcp`, by the arguments that the original's had.

    Args:
        namespace: by default the pod's own, else that of the kubeconfig's context.
        build_context_source: a store for build contexts, instead of the backend's.
        settings: those of `GCPBackend`.

    Example:
        >>> from fairing_gcp import GKEBackend
        >>> GKEBackend(namespace="lab", project="lab-1")
        GKEBackend(namespace='lab', project='lab-1')
    """

    def __init__(
        self,
        namespace: str | None = None,
        build_context_source: Storage | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(namespace=namespace, **settings)
        self._source = build_context_source

    def storage(self) -> Any:
        """The store that was given, else the backend's."""
        return self._source or super().storage()


class KubeflowGKEBackend(GKEBackend):
    """The same; outside of a cluster its namespace is ``kubeflow``, as it was."""

    def __init__(
        self,
        namespace: str | None = None,
        build_context_source: Storage | None = None,
        **settings: Any,
    ) -> None:
        usual = None if _IN_CLUSTER.is_dir() else "kubeflow"
        super().__init__(namespace or usual, build_context_source, **settings)


def guess_project_name(credentials_file: str | Path | None = None) -> str:
    """The project that the credentials name.

    Args:
        credentials_file: a service account's key; by default Google's default credentials.

    Raises:
        SettingsError: there are no credentials, or they name no project.
    """
    file = None if credentials_file is None else Path(credentials_file)
    found = Google(Login(credentials_file=file)).project
    if found is None:
        raise login.no_project()
    return found


def add_gcp_credentials_if_exists(kube_manager: Any, pod_spec: Any, namespace: str) -> None:
    """Edits a ``V1PodSpec``: the key of the Secret ``user-gcp-sa``, else ``default-editor``.

    For ``pod_spec_mutators`` of deployers. The backend `gcp` does it by itself.
    """
    from fairing_core import k8s_utils

    if _has_secret(kube_manager, namespace):
        mounted = k8s_utils.volume_mounts("secret", pods.SECRET, pods.FOLDER)
        mounted(kube_manager, pod_spec, namespace)
        variable = {"GOOGLE_APPLICATION_CREDENTIALS": f"{pods.FOLDER}/{pods.ENTRY}"}
        k8s_utils.add_env(variable)(kube_manager, pod_spec, namespace)
    else:
        logger.info("there is no Secret %s, so pods run as %s", pods.SECRET, pods.ACCOUNT)
        pod_spec.service_account_name = pods.ACCOUNT


def _has_secret(kube_manager: Any, namespace: str) -> bool:
    """Asks the original's manager of a cluster, or ours."""
    if hasattr(kube_manager, "secret_exists"):
        return bool(kube_manager.secret_exists(pods.SECRET, namespace))
    try:
        kube_manager.get(f"/api/v1/namespaces/{namespace}/secrets/{pods.SECRET}")
    except (errors.ObjectNotFound, errors.ClusterDenied):
        return False
    return True


class GCPJob:
    """AI Platform Training, which Google has shut down: it says so, and names the way out."""

    def __init__(
        self,
        *arguments: object,
        project_id: str | None = None,
        region: str | None = None,
        scale_tier: str | None = None,
        job_config: Mapping[str, Any] | None = None,
        use_stream_logs: bool = False,
    ) -> None:
        _shut_down("AI Platform Training (the deployer 'gcp')")

    def render(self, request: DeployRequest) -> Sequence[Mapping[str, Any]]:
        """It can't."""
        _shut_down("AI Platform Training")

    def submit(
        self, manifests: Sequence[Mapping[str, Any]], mutators: Sequence[PodSpecMutator] = ()
    ) -> RunHandle:
        """It can't."""
        _shut_down("AI Platform Training")


class GCPServing:
    """AI Platform Prediction, which Google has shut down: it says so, and names the way out."""

    def __init__(self, *args: object, **settings: object) -> None:
        _shut_down("AI Platform Prediction")


class GCPManagedBackend(GCPBackend):
    """AI Platform as a backend, which Google has shut down: it says so, and names the way out."""

    def __init__(self, *args: object, **settings: object) -> None:
        _shut_down("AI Platform (GCPManagedBackend)")


def _shut_down(what: str) -> NoReturn:
    raise errors.Unsupported(
        f"{what} is no more: Google shut it down on 31 January 2025. Run on a GKE cluster instead: "
        "backend='gcp', with the deployer 'job' (GKE Autopilot needs no nodes of yours); or use "
        "Vertex AI's own SDK, whose custom jobs take the image that 'fairing build' makes"
    )
