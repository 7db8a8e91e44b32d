"""The cluster as a test uses it: a namespace of its own, and the administrator's hand in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.bench import Bench, BenchError
from tests.bench.kubernetes import cluster, config, pki
from tests.bench.kubernetes.images import BUSYBOX

SECONDS = 60.0
"""How long a pod may take."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster, and one namespace of it."""

    bench: Bench
    namespace: str

    @property
    def admin(self) -> Path:
        """The administrator's kubeconfig."""
        return cluster.place(self.bench).kubeconfig("admin")

    def kubectl(self, *words: str, stdin: str = "", seconds: float = SECONDS) -> str:
        """What kubectl prints in the namespace."""
        words = (f"--namespace={self.namespace}", *words)
        return cluster.kubectl(self.bench, *words, stdin=stdin, seconds=seconds)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Creates or updates objects."""
        cluster.apply(self.bench, objects)

    def token(self, account: str) -> str:
        """A token of a service account of the namespace, good for an hour."""
        return self.kubectl("create", "token", account).strip()

    def kubeconfig(self, account: str, path: Path) -> Path:
        """A kubeconfig with a service account's token."""
        user = {"token": self.token(account)}
        return pki.kubeconfig(
            self.bench, path, server=config.API, user=user, namespace=self.namespace
        )

    def pod(
        self,
        name: str,
        *command: str,
        image: str = BUSYBOX,
        container: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> dict[str, Any]:
        """A pod of one container that runs once; `container` and `spec` add to the two."""
        first = {"name": "main", "image": image, "command": list(command), **(container or {})}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace, "labels": dict(labels or {})},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [first],
                **spec,
            },
        }

    def run(self, pod: Mapping[str, Any]) -> str:
        """What a pod logs; it has to succeed."""
        name = pod["metadata"]["name"]
        self.apply(pod)
        phase = self.until(name, ("Succeeded", "Failed"))
        log = self.kubectl("logs", name)
        if phase != "Succeeded":
            raise BenchError(f"pod {name} failed: {log}")
        return log

    def until(self, pod: str, phases: Sequence[str]) -> str:
        """The phase of `pod`, once it is one of `phases`."""

        def ask() -> str | None:
            status = self.get("pod", pod)["status"]
            return None if status["phase"] in phases else json.dumps(list(_waiting(status)))

        self.bench.wait(ask, seconds=SECONDS, what=f"pod {pod}")
        phase: str = self.get("pod", pod)["status"]["phase"]
        return phase


def _waiting(status: Mapping[str, Any]) -> Iterable[Any]:
    yield status["phase"]
    yield from (each["state"] for each in status.get("containerStatuses", ()))
