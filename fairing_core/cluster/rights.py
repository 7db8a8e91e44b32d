"""What a user has to be allowed in a namespace, and whether they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fairing_core.cluster.client import Cluster
from fairing_core.types import Check


class Right(NamedTuple):
    """One verb on one resource, as a Role names them, and what it is for."""

    group: str
    resource: str
    verb: str
    purpose: str


RIGHTS = (
    Right("batch", "jobs", "create", "to submit"),
    Right("batch", "jobs", "get", "for a run's status"),
    Right("batch", "jobs", "list", "for 'fairing ps'"),
    Right("batch", "jobs", "patch", "for 'fairing cancel'"),
    Right("batch", "jobs", "delete", "for 'fairing rm'"),
    Right("", "pods", "get", "to follow a run's output"),
    Right("", "pods", "list", "for a run's status"),
    Right("", "pods", "patch", "for 'fairing cancel'"),
    Right("", "pods/log", "get", "for a run's output"),
    Right("", "events", "list", "for why a run does not start"),
)
"""All that runs need; examples/cluster/role.yaml grants them."""

KEEPING = (
    Right("", "pods/exec", "create", "to fetch outputs and large results"),
    Right("", "pods/exec", "get", "to fetch outputs and large results"),
)
"""What runs with outputs need too; so does that Role."""


def is_allowed(cluster: Cluster, namespace: str, verb: str, resource: str, group: str = "") -> bool:
    """Whether this user may.

    Source: Kubernetes API v1.36, authorization.k8s.io/v1 SelfSubjectAccessReview.
    """
    kind, _, subresource = resource.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": kind}
    if subresource:
        asked["subresource"] = subresource
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(cluster.create(path, review)["status"].get("allowed", False))


def lacking(cluster: Cluster, namespace: str, *, outputs: bool = False) -> list[Right]:
    """The rights that this user lacks, of those that runs need."""
    return missing(cluster, namespace, (*RIGHTS, *(KEEPING if outputs else ())))


def missing(cluster: Cluster, namespace: str, wanted: Iterable[Right]) -> list[Right]:
    """Those of `wanted` that this user lacks."""
    return [
        right
        for right in wanted
        if not is_allowed(cluster, namespace, right.verb, right.resource, right.group)
    ]


def checked(
    missing: list[Right],
    namespace: str,
    what: str = "runs",
    role: str = "examples/cluster/role.yaml",
) -> list[Check]:
    """One check for each right that is missing, one for all where none is.

    `what` needs them, and `role` grants them.
    """
    if not missing:
        told = f"you may do all that {what} need in the namespace {namespace!r}"
        return [Check("rights", True, told)]
    return [
        Check(
            "rights",
            False,
            f"you may not {right.verb} {right.resource} in the namespace {namespace!r} "
            f"({right.purpose}); ask for a Role with that verb ({role})",
        )
        for right in missing
    ]
