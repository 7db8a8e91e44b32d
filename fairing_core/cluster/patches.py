"""Folds `PodPatch` values into a pod's spec: plain data in, plain data out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairing_core.types import PodPatch

_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "protocol"),
    "hostAliases": ("ip",),
}
"""What Kubernetes merges a list by (its ``x-kubernetes-patch-merge-key``); other lists grow by the
items they lack."""


def fold(spec: Mapping[str, Any], patches: Iterable[PodPatch]) -> dict[str, Any]:
    """The pod spec with every patch merged in, in order; the first container is the main one.

    Folding a patch twice is folding it once. Neither argument is changed.
    """
    folded: dict[str, Any] = copy.deepcopy(dict(spec))
    for patch in patches:
        folded = _merged(folded, patch.spec)
        if patch.container:
            main, *others = folded.get("containers") or [{"name": "model"}]
            folded["containers"] = [_merged(main, patch.container), *others]
    return folded


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(value, Mapping):
            result[key] = _merged(before if isinstance(before, Mapping) else {}, value)
        elif isinstance(value, list | tuple):
            result[key] = _united(before or [], value, _KEYS.get(key, ()))
        else:
            result[key] = value
    return result


def _united(old: Sequence[Any], new: Sequence[Any], keys: tuple[str, ...]) -> list[Any]:
    result = copy.deepcopy(list(old))
    for item in new:
        place = next((at for at, one in enumerate(result) if _same(one, item, keys)), None)
        if place is None:
            result.append(copy.deepcopy(item))
        elif keys == ("name",) and ("value" in item or "valueFrom" in item):
            result[place] = copy.deepcopy(item)  # a variable has one source: the later one
        elif isinstance(item, Mapping):
            result[place] = _merged(result[place], item)
    return result


def _same(one: Any, other: Any, keys: tuple[str, ...]) -> bool:
    if keys and isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(one.get(key) == other.get(key) for key in keys)
    return bool(one == other)
