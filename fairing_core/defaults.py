"""Core's own plugin, and the choices that core makes when nobody else has.

Each hook imports what it registers: a run without images needs no builder, a build no backend.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairing_core.hookspecs import PLUGIN_API, hookimpl
from fairing_core.interfaces import BackendInterface, Builder, Deployer, Preprocessor, Runs, Storage

if TYPE_CHECKING:
    from fairing_core.cluster.client import Cluster
    from fairing_core.types import Source

FAIRING_PLUGIN_API = PLUGIN_API

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io")


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    from fairing_core.cluster.backend import KubernetesBackend
    from fairing_core.local import LocalBackend

    return {"local": LocalBackend, "kubernetes": KubernetesBackend}


@hookimpl
def fairing_register_preprocessors() -> Mapping[str, type[Preprocessor]]:
    from fairing_core.preprocess.full_notebook import FullNotebookPreprocessor
    from fairing_core.preprocess.function import FunctionPreprocessor
    from fairing_core.preprocess.notebook import NotebookPreprocessor
    from fairing_core.preprocess.python import PythonPreprocessor

    return {
        "python": PythonPreprocessor,
        "notebook": NotebookPreprocessor,
        "full_notebook": FullNotebookPreprocessor,
        "function": FunctionPreprocessor,
    }


@hookimpl
def fairing_register_builders() -> Mapping[str, type[Builder]]:
    from fairing_core.build.append import AppendBuilder
    from fairing_core.build.cluster.builder import ClusterBuilder
    from fairing_core.build.docker.builder import DockerBuilder, PodmanBuilder

    return {
        "append": AppendBuilder,
        "cluster": ClusterBuilder,
        "docker": DockerBuilder,
        "podman": PodmanBuilder,
    }


@hookimpl
def fairing_register_deployers() -> Mapping[str, type[Deployer]]:
    from fairing_core.deploy.job import JobDeployer

    return {"job": JobDeployer}


@hookimpl
def fairing_register_storages() -> Mapping[str, type[Storage]]:
    from fairing_core.s3 import S3Store

    return {"s3": S3Store}


def backend(*, wants_cluster: bool) -> str:
    """A cluster when something of a cluster was named, or inside one; else this machine."""
    return "kubernetes" if wants_cluster or _IN_CLUSTER.is_dir() else "local"


def preprocessor(source: Source) -> str:
    """By the kind of source."""
    kinds = {"function": "function", "notebook": "notebook"}
    return kinds.get(source.kind, "python")


def builders() -> Sequence[str]:
    """What may build where nobody says, the first that can: those that need the least come first.

    `append` needs nothing but the registry. Inside a cluster there is seldom an engine.
    """
    engines = ("cluster", "docker") if _IN_CLUSTER.is_dir() else ("docker", "cluster")
    return ("append", *engines)


def builder(name: str, on: BackendInterface) -> Callable[..., Builder] | None:
    """The builder `name` where it is one that wants to know of the backend; else None."""
    if name != "cluster":
        return None
    from fairing_core.build.cluster.builder import ClusterBuilder

    return partial(ClusterBuilder, _cluster(on))


def deployer(kind: str, on: BackendInterface) -> Callable[..., Deployer] | None:
    """What runs things of `kind` where the backend `on` leaves that to core; None is unknown."""
    if kind != "job":
        return None
    from fairing_core.deploy.job import JobDeployer

    return partial(JobDeployer, _cluster(on), on.name, on.storage)


def runs(of: BackendInterface) -> Runs:
    """Finds the runs of a backend that leaves that to core: by the labels of their objects."""
    from fairing_core.cluster.client import Cluster
    from fairing_core.cluster.runs import ClusterRuns

    return ClusterRuns(Cluster(), backend=of.name, storage=of.storage)


def base_image() -> str:
    """Docker's official image of the Python that runs now."""
    return "docker.io/library/python:{}.{}-slim".format(*sys.version_info[:2])


def _cluster(on: BackendInterface) -> Cluster | None:
    from fairing_core.cluster.backend import KubernetesBackend

    return on.cluster if isinstance(on, KubernetesBackend) else None
