"""What this distribution offers to Fairing; imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping

from fairing_aws.backend import AWSBackend
from fairing_aws.ecr import AnyECR
from fairing_core import BackendInterface, Registry, hookimpl

FAIRING_PLUGIN_API = 0


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    return {"aws": AWSBackend}


@hookimpl
def fairing_register_registries() -> Mapping[str, type[Registry]]:
    return {"ecr": AnyECR}
