"""Finds runs again, from any process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fairing_core import defaults, errors
from fairing_core.interfaces import BackendInterface, RunHandle, Runs


def get_run(
    uri: str,
    *,
    backend: str | BackendInterface | None = None,
    backend_options: Mapping[str, Any] | None = None,
) -> RunHandle:
    """The run that a URI, or the bare name of a run, stands for.

    Args:
        uri: ``fairing://BACKEND/NAMESPACE/KIND/NAME?uid=UID``, or NAME alone.
        backend: where a bare name is looked up; by default the configured backend, else `local`.
        backend_options: the backend's settings.

    Raises:
        RunNotFound: there is no such run.
        UnknownBackend: no plugin offers the URI's backend.
    """
    parts = urlsplit(uri)
    if "://" in uri and (parts.scheme != "fairing" or not parts.hostname or len(parts.path) < 2):
        raise errors.RunNotFound(
            f"{uri!r} is no run: expected fairing://BACKEND/NAMESPACE/KIND/NAME?uid=UID",
            uri=uri,
        )
    named = parts.netloc if parts.scheme and not isinstance(backend, BackendInterface) else backend
    found = backend_of(named, backend_options)
    return _runs(found).get(uri)


def list_runs(
    *,
    backend: str | BackendInterface | None = None,
    backend_options: Mapping[str, Any] | None = None,
) -> list[RunHandle]:
    """A backend's runs, newest first; by default the configured backend's, else `local`'s."""
    return list(_runs(backend_of(backend, backend_options)).list())


def _runs(backend: BackendInterface) -> Runs:
    return backend.runs() or defaults.runs(backend)


def backend_of(
    named: str | BackendInterface | None, options: Mapping[str, Any] | None = None
) -> BackendInterface:
    """The backend that is named, else the configured one, else `local`."""
    from fairing_core.choices import make_backend
    from fairing_core.plugins import Plugins
    from fairing_core.settings import Settings

    settings = Settings.near(Path.cwd())
    return make_backend(
        named or settings.get("backend") or "local",
        options or {},
        settings,
        Plugins(ambient=False),
    )
