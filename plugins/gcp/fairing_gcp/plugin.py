"""What this distribution offers to Fairing; imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping

from fairing_core import BackendInterface, Deployer, Registry, Storage, hookimpl
from fairing_gcp.backend import GCPBackend
from fairing_gcp.gcs import GCSStore
from fairing_gcp.original import GCPJob
from fairing_gcp.registry import GoogleRegistries

FAIRING_PLUGIN_API = 0


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    return {"gcp": GCPBackend}


@hookimpl
def fairing_register_storages() -> Mapping[str, type[Storage]]:
    return {"gs": GCSStore}


@hookimpl
def fairing_register_registries() -> Mapping[str, type[Registry]]:
    return {"artifact-registry": GoogleRegistries}


@hookimpl
def fairing_register_deployers() -> Mapping[str, type[Deployer]]:
    return {"gcp": GCPJob}
