"""Pod-spec helpers under Fairing's own names, as plain data.

Each gives a `Mutator`: a `PodPatch` for ``pod_spec_mutators``, which can also be called as the
original's functions were, ``mutator(kube_manager, pod_spec, namespace)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fairing_core import errors, limits
from fairing_core.cluster.expansion import literal
from fairing_core.types import PodPatch

_VOLUMES: Mapping[str, tuple[str, str]] = {
    "pvc": ("persistentVolumeClaim", "claimName"),
    "secret": ("secret", "secretName"),
    "config_map": ("configMap", "name"),
}


class Mutator(PodPatch):
    """A pod patch that can edit a pod spec in place, as the original's mutators did."""

    __slots__ = ()

    def __call__(self, kube_manager: object, pod_spec: Any, namespace: str) -> None:
        """Merges the patch into `pod_spec`, a ``V1PodSpec`` or a plain dict.

        Args:
            kube_manager: not used.
            pod_spec: edited in place.
            namespace: not used.
        """
        from fairing_core.cluster import mutators, patches

        if isinstance(pod_spec, dict):
            folded = patches.fold(pod_spec, [self])
            pod_spec.clear()
            pod_spec.update(folded)
        else:
            mutators.edit_pod_spec(pod_spec, lambda plain: patches.fold(plain, [self]))


def get_resource_mutator(
    cpu: float | str | None = None,
    memory: float | None = None,
    gpu: int | None = None,
    gpu_vendor: str = "nvidia",
) -> Mutator:
    """Limits for the main container.

    Args:
        cpu: cores.
        memory: decimal gigabytes (10^9 bytes), shown as GB / 1.073741824 in ``Gi``.
        gpu: devices, as ``<gpu_vendor>.com/gpu``.
        gpu_vendor: ``nvidia`` or ``amd``.

    Raises:
        InputError: a number that is not above zero (`gpu` may be 0).
    """
    limits: dict[str, str] = {}
    if cpu is not None:
        limits["cpu"] = str(cpu if isinstance(cpu, str) else _positive("cpu", cpu))
    if memory is not None:
        limits["memory"] = f"{round(_positive('memory', memory) / 1.073741824, 2)}Gi"
    if gpu:
        limits[f"{gpu_vendor}.com/gpu"] = str(_positive("gpu", gpu))
    return Mutator(container={"resources": {"limits": limits}}, origin="get_resource_mutator")


def volume_mounts(
    volume_type: Literal["pvc", "secret", "config_map"],
    volume_name: str,
    mount_path: str,
    sub_path: str | None = None,
) -> Mutator:
    """A claim, Secret or ConfigMap called `volume_name`, mounted at `mount_path`.

    Raises:
        InputError: another `volume_type`.
    """
    if volume_type not in _VOLUMES:
        raise errors.InputError(
            f"volume_type={volume_type!r} is unknown{errors.near(str(volume_type), _VOLUMES)}"
        )
    source, key = _VOLUMES[volume_type]
    name = f"fairing-volume-{volume_name}"
    mount = {"name": name, "mountPath": mount_path}
    if sub_path is not None:
        mount["subPath"] = sub_path
    return Mutator(
        {"volumes": [{"name": name, source: {key: volume_name}}]},
        {"volumeMounts": [mount]},
        origin="volume_mounts",
    )


def mounting_pvc(pvc_name: str, pvc_mount_path: str = "/mnt") -> Mutator:
    """The claim `pvc_name`, mounted at `pvc_mount_path`."""
    return volume_mounts("pvc", pvc_name, pvc_mount_path)


def add_env(env_vars: Mapping[str, str]) -> Mutator:
    """Environment variables for the main container, which is given them as they are.

    Raises:
        InvalidArgument: a name or value that no process can be given.
    """
    given: dict[Any, Any] = dict(env_vars)  # nobody checks a notebook's types
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise errors.InvalidArgument(f"add_env: {name!r} must be a text, and so must its value")
        limits.check_variable(name, value)
    env = [{"name": name, "value": literal(value)} for name, value in env_vars.items()]
    return Mutator(container={"env": env}, origin="add_env")


def get_node_selector(node_selector: Mapping[str, str]) -> Mutator:
    """Labels that the pod's node must have."""
    return Mutator({"nodeSelector": dict(node_selector)}, origin="get_node_selector")


def _positive(what: str, number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
        raise errors.InputError(f"get_resource_mutator: {what}={number!r} must be above zero")
    return number
