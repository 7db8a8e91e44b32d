"""The knobs of a pod in declarative form, as one `PodPatch`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fairing_core import errors, limits
from fairing_core.cluster.expansion import literal
from fairing_core.types import PodPatch

_RESOURCES = ("cpu", "memory", "gpu", "gpu_vendor", "requests", "limits")
_SOURCES: Mapping[str, tuple[str, str]] = {
    "pvc": ("persistentVolumeClaim", "claimName"),
    "secret": ("secret", "secretName"),
    "config_map": ("configMap", "name"),
}
_VOLUMES = (*_SOURCES, "empty_dir", "shm", "host_path")
_BESIDE = ("sub_path", "read_only")
_QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
"""Source: Kubernetes v1.36, apimachinery, resource.Quantity."""


def pod_patch(
    *,
    resources: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    volumes: Mapping[str, Mapping[str, Any]] | None = None,
    allow_host_path: bool = False,
    node_selector: Mapping[str, str] | None = None,
    tolerations: Sequence[Mapping[str, Any]] | None = None,
    affinity: Mapping[str, Any] | None = None,
    service_account: str | None = None,
    image_pull_secrets: Sequence[str] | None = None,
    security_context: Mapping[str, Any] | None = None,
    priority: str | None = None,
) -> PodPatch:
    """What the knobs add to a pod; those that are None add nothing.

    Args:
        resources: ``{"cpu": 2, "memory": "4Gi", "gpu": 1}`` is asked for and is the limit, too;
            ``"requests"`` and ``"limits"`` say either by itself, in Kubernetes' own names. ``gpu``
            counts devices of ``gpu_vendor`` (``"nvidia"``).
        env: variables of the main container, which is given them as they are.
        secrets: variables whose values stay in the cluster: ``{"TOKEN": "secret-name/key"}``.
        volumes: by mount path, ``{"pvc": NAME}``, ``{"secret": NAME}``, ``{"config_map": NAME}``,
            ``{"empty_dir": SIZE or None}``, ``{"shm": SIZE}`` (in memory, as ``/dev/shm`` is) or
            ``{"host_path": PATH}``; beside it ``sub_path`` and ``read_only``.
        allow_host_path: whether a volume may be a path of the node.
        node_selector: labels that the node has to have.
        tolerations: as Kubernetes writes them.
        affinity: as Kubernetes writes it.
        service_account: what the pod runs as.
        image_pull_secrets: names of Secrets with credentials of registries.
        security_context: of the main container, as Kubernetes writes it.
        priority: a PriorityClass.

    Raises:
        InputError: a knob is set to what it can't be.

    Source: Kubernetes API v1.36, PodSpec, Container.
    """
    spec: dict[str, Any] = {
        "nodeSelector": _given(node_selector, dict),
        "tolerations": _given(tolerations, list),
        "affinity": _given(affinity, dict),
        "serviceAccountName": service_account,
        "imagePullSecrets": _named(image_pull_secrets),
        "priorityClassName": priority,
    }
    container: dict[str, Any] = {
        "resources": _resources(resources),
        "env": [*_env(env), *_secrets(secrets)],
        "securityContext": _given(security_context, dict),
    }
    if volumes:
        spec["volumes"], container["volumeMounts"] = _volumes(volumes, allow_host_path)
    return PodPatch(_filled(spec), _filled(container), origin="the deployer's options")


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, [], {})}


def _given(value: Any, kind: type) -> Any:
    return None if value is None else kind(value)


def _named(names: Sequence[str] | None) -> list[dict[str, str]] | None:
    if isinstance(names, str):
        raise errors.InputError(
            f"image_pull_secrets={names!r} is a text; name the Secrets in a list: [{names!r}]"
        )
    return None if names is None else [{"name": name} for name in names]


def _resources(said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if said is None:
        return None
    _check_keys("resources", said, _RESOURCES)
    both = {name: _quantity(name, said[name]) for name in ("cpu", "memory") if name in said}
    if "gpu" in said:
        both[f"{said.get('gpu_vendor', 'nvidia')}.com/gpu"] = _quantity("gpu", said["gpu"])
    found = {}
    for part in ("requests", "limits"):
        own = said.get(part) or {}
        found[part] = {**both, **{name: _quantity(name, own[name]) for name in own}}
    return _filled(found)


def _quantity(name: str, amount: object) -> str:
    if isinstance(amount, str) and _QUANTITY.fullmatch(amount):
        return amount
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not amount >= 0:
        raise errors.InputError(
            f"resources: {name}={amount!r} is no quantity; write 2, 0.5, '500m', '4Gi'"
        )
    return str(amount)


def _env(env: Mapping[str, str] | None) -> Iterable[dict[str, Any]]:
    for name, value in (env or {}).items():
        if not isinstance(value, str):
            raise errors.InputError(
                f"env: {name} is {type(value).__name__}; a variable's value is a text"
            )
        limits.check_variable(name, value)
        yield {"name": name, "value": literal(value)}


def _secrets(secrets: Mapping[str, str] | None) -> Iterable[dict[str, Any]]:
    for name, place in (secrets or {}).items():
        secret, slash, key = str(place).partition("/")
        if not (secret and slash and key):
            raise errors.InputError(
                f"secrets: {name} must say where the value is, as 'SECRET/KEY', not the value"
            )
        limits.check_variable(name, "")
        yield {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _volumes(
    said: Mapping[str, Mapping[str, Any]], allow_host_path: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    volumes: dict[str, dict[str, Any]] = {}
    mounts = []
    for number, (place, volume) in enumerate(said.items()):
        if not isinstance(volume, Mapping) or not place.startswith("/"):
            raise errors.InputError(
                f"volumes: {place!r}: {volume!r} must be an absolute path and what is mounted "
                "there: {'/data': {'pvc': 'my-claim'}}"
            )
        _check_keys(f"volumes[{place!r}]", volume, (*_VOLUMES, *_BESIDE))
        kinds = [kind for kind in _VOLUMES if kind in volume]
        if len(kinds) != 1:
            raise errors.InputError(f"volumes: {place} needs one of {', '.join(_VOLUMES)}")
        source = _source(kinds[0], volume[kinds[0]], place, allow_host_path)
        name = f"fairing-volume-{number}"
        name = next((one for one, known in volumes.items() if known == source), name)
        volumes[name] = source
        mount: dict[str, Any] = {"name": name, "mountPath": place}
        if "sub_path" in volume:
            mount["subPath"] = volume["sub_path"]
        if volume.get("read_only"):
            mount["readOnly"] = True
        mounts.append(mount)
    return [{"name": name, **source} for name, source in volumes.items()], mounts


def _source(kind: str, value: Any, place: str, allow_host_path: bool) -> dict[str, Any]:
    if kind in _SOURCES:
        source, key = _SOURCES[kind]
        return {source: {key: value}}
    if kind == "shm":
        return {"emptyDir": _filled({"medium": "Memory", "sizeLimit": value})}
    if kind == "empty_dir":
        return {"emptyDir": _filled({"sizeLimit": value or None})}
    if not allow_host_path:
        raise errors.InputError(
            f"volumes: {place} would be the node's own {value}, which lets the pod out of its "
            "box; say allow_host_path=True if that is meant, or use a pvc"
        )
    return {"hostPath": {"path": value}}


def _check_keys(what: str, said: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in said:
        if key not in known:
            raise errors.InputError(f"{what} has no {key!r}{errors.near(str(key), known)}")
