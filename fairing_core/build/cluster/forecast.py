"""What stands in the way of a build's Job: asked of the API server, which keeps nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairing_core.cluster import foresee, rights
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.rights import Right
from fairing_core.types import Check
from fairing_core.values import replace

Object = Mapping[str, Any]

RIGHTS = (
    Right("batch", "jobs", "create", "to build"),
    Right("batch", "jobs", "get", "to see how a build goes"),
    Right("batch", "jobs", "patch", "to start a build once its Secrets are there"),
    Right("batch", "jobs", "delete", "to leave nothing of a build"),
    Right("", "pods", "list", "to see how a build goes"),
    Right("", "pods", "get", "to follow a build's log"),
    Right("", "pods/log", "get", "to follow a build's log"),
    Right("", "secrets", "create", "for a build's logins and context"),
)
"""All that builds need; examples/cluster/role.yaml and role-build.yaml grant them."""

FEEDING = (
    Right("", "pods/attach", "create", "to send a large context without a store"),
    Right("", "pods/attach", "get", "to send a large context without a store"),
)
"""What builds need too whose context travels by stdin; so does role-build.yaml."""


def checks(cluster: Cluster, job: Object, way: str) -> list[Check]:
    """What was looked at: each right, the Job and its pod by dry runs.

    Args:
        cluster: where it builds.
        job: with its namespace.
        way: how its context gets there.

    Raises:
        ClusterError: the cluster can't be asked.
    """
    namespace: str = job["metadata"]["namespace"]
    wanted = (*RIGHTS, *(FEEDING if way == "stdin" else ()))
    missing = rights.missing(cluster, namespace, wanted)
    role = "examples/cluster/role-build.yaml"
    found = rights.checked(missing, namespace, "builds", role)
    if not any((right.resource, right.verb) == ("jobs", "create") for right in missing):
        found += foresee.dry_runs(cluster, job)
    (main,) = job["spec"]["template"]["spec"]["containers"][:1]
    told = f"{main['name']} by {main['image']}, which its node has to pull"
    return [*(replace(one, name=f"build {one.name}") for one in found), Check("engine", None, told)]
