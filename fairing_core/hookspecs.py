"""Every hook that a plugin can implement.

A plugin is a module that states ``FAIRING_PLUGIN_API = 0`` and has functions of these names,
decorated with `hookimpl`. The ``register`` hooks give names and classes: nothing is created and no
SDK is imported there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pluggy

from fairing_core.interfaces import (
    BackendInterface,
    Builder,
    Deployer,
    Preprocessor,
    Registry,
    Storage,
)
from fairing_core.types import Event, PodPatch, Stage

PLUGIN_API = 0
"""The version of these hooks; 0: they may still change."""

PROJECT = "fairing"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:  # type: ignore[empty-body]
    """Backends, by the name that ``TrainJob(backend=...)`` says.

    Example:
        >>> from fairing_core import BackendInterface, hookimpl
        >>> class Lab(BackendInterface):
        ...     name = "lab"
        >>> @hookimpl
        ... def fairing_register_backends():
        ...     return {"lab": Lab}
    """


@hookspec
def fairing_register_preprocessors() -> Mapping[str, type[Preprocessor]]:  # type: ignore[empty-body]
    """Preprocessors, by the name that ``set_preprocessor`` says (``python``, ``notebook``, ...)."""


@hookspec
def fairing_register_builders() -> Mapping[str, type[Builder]]:  # type: ignore[empty-body]
    """Builders, by the name that ``set_builder`` says."""


@hookspec
def fairing_register_deployers() -> Mapping[str, type[Deployer]]:  # type: ignore[empty-body]
    """Deployers, by the name that ``set_deployer`` says."""


@hookspec
def fairing_register_storages() -> Mapping[str, type[Storage]]:  # type: ignore[empty-body]
    """Storages, by the URL scheme they serve (``s3``, ``gs``)."""


@hookspec
def fairing_register_registries() -> Mapping[str, type[Registry]]:  # type: ignore[empty-body]
    """Registries, by name (``ecr``); the class's `serves` says which hosts it is for."""


@hookspec
def fairing_pod_patches(backend: str, stage: Stage, image: str) -> Sequence[PodPatch]:  # type: ignore[empty-body]
    """Additions to every pod of `stage` that runs `image` on `backend`.

    `image` is empty where runs need none (`local`). Asked of each loaded plugin in turn. One that
    raises stops the run and is named.
    """


@hookspec
def fairing_event(event: Event) -> None:
    """Told of each step of a run. One that raises is logged, and asked no more for this run."""
