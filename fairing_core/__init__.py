"""Fairing runs Python functions, scripts and notebooks as jobs, here or on Kubernetes.

    from fairing_core import TrainJob
    TrainJob(train).submit().result()

The public names, each imported when it is first used.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # typing itself is slow to import

if TYPE_CHECKING:
    from typing import Any

    from fairing_core import config as config
    from fairing_core import errors as errors
    from fairing_core import k8s_utils as k8s_utils
    from fairing_core.cluster.backend import KubernetesBackend as KubernetesBackend
    from fairing_core.errors import FairingError as FairingError
    from fairing_core.hookspecs import PLUGIN_API as PLUGIN_API
    from fairing_core.hookspecs import hookimpl as hookimpl
    from fairing_core.interfaces import BackendInterface as BackendInterface
    from fairing_core.interfaces import Builder as Builder
    from fairing_core.interfaces import Deployer as Deployer
    from fairing_core.interfaces import Preprocessor as Preprocessor
    from fairing_core.interfaces import Registry as Registry
    from fairing_core.interfaces import RunHandle as RunHandle
    from fairing_core.interfaces import Runs as Runs
    from fairing_core.interfaces import Storage as Storage
    from fairing_core.jobs import TrainJob as TrainJob
    from fairing_core.local import LocalBackend as LocalBackend
    from fairing_core.plans import Plan as Plan
    from fairing_core.preprocess.notebooks.filters import FilterIncludeCell as FilterIncludeCell
    from fairing_core.preprocess.notebooks.filters import FilterMagicCommands as FilterMagicCommands
    from fairing_core.runs import get_run as get_run
    from fairing_core.runs import list_runs as list_runs
    from fairing_core.types import Artifact as Artifact
    from fairing_core.types import BuildContext as BuildContext
    from fairing_core.types import BuildRequest as BuildRequest
    from fairing_core.types import Built as Built
    from fairing_core.types import Check as Check
    from fairing_core.types import ContextFile as ContextFile
    from fairing_core.types import Credentials as Credentials
    from fairing_core.types import DeployRequest as DeployRequest
    from fairing_core.types import Diagnosis as Diagnosis
    from fairing_core.types import Event as Event
    from fairing_core.types import Outcome as Outcome
    from fairing_core.types import OwnedSecret as OwnedSecret
    from fairing_core.types import PodPatch as PodPatch
    from fairing_core.types import RegistryAccess as RegistryAccess
    from fairing_core.types import RunStatus as RunStatus
    from fairing_core.types import Snapshot as Snapshot
    from fairing_core.types import Source as Source
    from fairing_core.types import Step as Step
    from fairing_core.types import StoredObject as StoredObject

_ROOMS = {
    "cluster.backend": ("KubernetesBackend",),
    "errors": ("FairingError",),
    "hookspecs": ("PLUGIN_API", "hookimpl"),
    "interfaces": (
        "BackendInterface",
        "Builder",
        "Deployer",
        "Preprocessor",
        "Registry",
        "RunHandle",
        "Runs",
        "Storage",
    ),
    "jobs": ("TrainJob",),
    "local": ("LocalBackend",),
    "plans": ("Plan",),
    "preprocess.notebooks.filters": ("FilterIncludeCell", "FilterMagicCommands"),
    "runs": ("get_run", "list_runs"),
    "types": (
        "Artifact",
        "BuildContext",
        "BuildRequest",
        "Built",
        "Check",
        "ContextFile",
        "Credentials",
        "DeployRequest",
        "Diagnosis",
        "Event",
        "Outcome",
        "OwnedSecret",
        "PodPatch",
        "RegistryAccess",
        "RunStatus",
        "Snapshot",
        "Source",
        "Step",
        "StoredObject",
    ),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}
_MODULES = ("config", "errors", "k8s_utils")

__all__ = sorted((*_HOME, *_MODULES))  # noqa: PLE0605 - a list of texts, computed


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
