"""What this distribution offers to Fairing; imports no SDK."""

from __future__ import annotations

from collections.abc import Mapping

from fairing_core import BackendInterface, hookimpl
from fairing_onprem.backend import OnPremBackend

FAIRING_PLUGIN_API = 0


@hookimpl
def fairing_register_backends() -> Mapping[str, type[BackendInterface]]:
    return {"onprem": OnPremBackend}
