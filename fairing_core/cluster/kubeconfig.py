"""Which cluster is meant, and with which credentials: the pod's own, or a kubeconfig's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from fairing_core import errors

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What every pod has of its own: token, certificate authority, namespace."""


class Access(NamedTuple):
    """What was said of it: `given`, a ``kubernetes.client.Configuration``, is used as it is.

    Without `config_file` it is ``KUBECONFIG``, else ``~/.kube/config``; without `context` the
    current one. With `persist`, refreshed tokens are written back.
    """

    config_file: str | None
    context: str | None
    given: object
    persist: bool

    def check(self) -> None:
        """Looks at this machine only, and imports nothing.

        Raises:
            NoCluster: it leads nowhere.
        """
        if self.given is None and not own_namespace():
            self._files()

    def loaded(self) -> tuple[Any, str]:
        """A client configuration, and the namespace that it comes with.

        Raises:
            NoCluster: there is none that can be read.
        """
        from kubernetes import config
        from kubernetes.client import Configuration

        if self.given is not None:
            return self.given, own_namespace() or "default"
        configuration = Configuration()
        named = self.config_file or os.environ.get("KUBECONFIG")
        try:
            if not named and self.context is None and own_namespace():
                untyped(config.load_incluster_config)(client_configuration=configuration)
                return configuration, own_namespace()
            return configuration, self._from_file(named or "~/.kube/config", configuration)
        except errors.NoCluster:
            raise
        except Exception as exc:  # whatever the client's own parsers and plugins raise
            raise errors.NoCluster(
                f"the kubeconfig {named or '~/.kube/config'} leads to no cluster: {exc}; "
                "try it with 'kubectl cluster-info'"
            ) from exc

    def _from_file(self, named: str, configuration: Any) -> str:
        from kubernetes.config import kube_config

        files = self._files()
        merger: Any = untyped(kube_config.KubeConfigMerger)(os.pathsep.join(files))
        content = merger.config
        contexts = [] if content is None else [one["name"] for one in content.safe_get("contexts")]
        if self.context is not None and self.context not in contexts:
            raise errors.NoCluster(
                f"the kubeconfig {named} has no context {self.context!r}"
                f"{errors.near(self.context, contexts)}"
            )
        loader: Any = untyped(kube_config.KubeConfigLoader)(
            config_dict=content,
            active_context=self.context,
            config_base_path=None,
            **({"config_persister": merger.save_changes} if self.persist else {}),
        )
        loader.load_and_set(configuration)
        return str(loader.current_context["context"].get("namespace") or "default")

    def _files(self) -> list[str]:
        """The kubeconfig's files."""
        named = self.config_file or os.environ.get("KUBECONFIG") or "~/.kube/config"
        files = [os.path.expanduser(name) for name in named.split(os.pathsep) if name]
        if not any(os.path.exists(file) for file in files):
            raise errors.NoCluster(
                f"there is no kubeconfig at {named}, and this is no pod of a cluster; set "
                "KUBECONFIG, name the file in the backend's settings, or run here with "
                "backend='local'"
            )
        return files


def own_namespace() -> str:
    """The namespace of the pod that this is, "" outside of pods."""
    try:
        return (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def untyped(function: Any) -> Any:
    """What the client's own code has no types for."""
    return function
