"""What this distribution offers to Fairing; imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping

from fairing_core import BackendInterface, Storage, hookimpl
from fairing_onprem.backend import OnPremBackend
from fairing_onprem.s3 import S3Store

FAIRING_PLUGIN_API = 0


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    return {"onprem": OnPremBackend}


@hookimpl
def fairing_register_storages() -> Mapping[str, type[Storage]]:
    return {"s3": S3Store}
