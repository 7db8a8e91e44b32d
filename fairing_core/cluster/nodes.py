"""Whether a cluster has a node that can hold a pod."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from fairing_core import errors
from fairing_core.cluster.client import Cluster
from fairing_core.types import Check

Object = Mapping[str, Any]


def check(cluster: Cluster, pod: Object, platform: str | None) -> Check:
    """Whether some node has the room, the labels and the platform; what runs there is left out."""
    try:
        nodes = cluster.listed("/api/v1/nodes")
    except errors.ClusterDenied:
        return Check("nodes", None, "whether one can hold it is not known: you may not list nodes")
    reasons: Counter[str] = Counter()
    for node in nodes:
        try:
            reason = unfit(pod, node, platform)
        except ValueError as exc:  # what a mutator wrote, and the API server refuses
            return Check("nodes", None, f"whether one can hold it is not known: {exc}")
        if reason is None:
            told = f"{node['metadata']['name']} can hold it, when it is free"
            return Check("nodes", True, told + _unseen(pod["spec"]))
        reasons[reason] += 1
    told = "; ".join(f"{_count(number)}: {why}" for why, number in reasons.most_common())
    return Check("nodes", False, f"none can hold it: {told or 'there is none'}")


def unfit(pod: Object, node: Object, platform: str | None) -> str | None:
    """Why the node can never hold the pod; None if it can, once it is free."""
    spec, status = pod["spec"], node["status"]
    info = status.get("nodeInfo") or {}
    own = f"{info.get('operatingSystem')}/{info.get('architecture')}"
    if platform and "architecture" in info and not f"{platform}/".startswith(f"{own}/"):
        return f"{own}, and the image is for {platform}"
    labels = node["metadata"].get("labels") or {}
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return f"no label {key}={value}"
    for taint in node["spec"].get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not _tolerated(taint, spec):
            return f"the taint {taint['key']}={taint.get('value', '')}:{taint['effect']}"
    room = status.get("allocatable") or {}
    for resource, amount in requests(spec).items():
        there = room.get(resource, "0")
        if amount > _number(there):
            return f"{resource}={there} there, {_shown(amount, spec, resource)} asked for"
    return None


def requests(spec: Object) -> dict[str, Decimal]:
    """What a pod asks for, by resource: its containers' sum, or the most of its init containers.

    Source: Kubernetes, Sidecar and init containers, Resource sharing within containers.
    """
    total = _summed(spec["containers"])
    for container in spec.get("initContainers") or ():
        for resource, amount in _summed([container]).items():
            total[resource] = max(total.get(resource, Decimal(0)), amount)
    return total


def _summed(containers: Sequence[Object]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for container in containers:
        resources = container.get("resources") or {}
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        for resource, amount in asked.items():
            total[resource] = total.get(resource, Decimal(0)) + _number(amount)
    return total


def _number(quantity: object) -> Decimal:
    from kubernetes import utils

    parse: Any = utils.parse_quantity
    number: Decimal = parse(quantity)
    return number


def _shown(amount: Decimal, spec: Object, resource: str) -> str:
    """The amount in the words of the pod, where one container asks for all of it."""
    said = [
        (container.get("resources") or {}).get(kind, {}).get(resource)
        for container in spec["containers"]
        for kind in ("requests", "limits")
    ]
    exact = [one for one in said if one is not None and _number(one) == amount]
    return str(exact[0] if exact else f"{amount.normalize():f}")


def _tolerated(taint: Object, spec: Object) -> bool:
    return any(_tolerates(one, taint) for one in spec.get("tolerations") or ())


def _tolerates(toleration: Object, taint: Object) -> bool:
    """Source: Kubernetes, Taints and Tolerations."""
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("key") not in (None, "", taint["key"]):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _count(number: int) -> str:
    return "1 node" if number == 1 else f"{number} nodes"


def _unseen(spec: Object) -> str:
    return "; its affinity was not looked at" if spec.get("affinity") else ""
