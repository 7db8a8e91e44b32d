"""Finds runs again, from any process."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from fairing_core import errors
from fairing_core.interfaces import BackendInterface, RunHandle, Runs


def get_run(uri: str, *, backend: str | BackendInterface | None = None) -> RunHandle:
    """The run that a URI, or the bare name of a run, stands for.

    Args:
        uri: ``fairing://BACKEND/NAMESPACE/KIND/NAME?uid=UID``, or NAME alone.
        backend: where a bare name is looked up; by default the configured backend, else `local`.

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
    found = _backend(parts.netloc if parts.scheme else backend)
    return _runs(found).get(uri)


def list_runs(*, backend: str | BackendInterface | None = None) -> list[RunHandle]:
    """A backend's runs, newest first; by default the configured backend's, else `local`'s."""
    return list(_runs(_backend(backend)).list())


def _runs(backend: BackendInterface) -> Runs:
    runs = backend.runs()
    if runs is None:
        raise errors.Unsupported(
            f"this version can't look up runs of the backend {backend.name!r}; "
            "it knows those of 'local'"
        )
    return runs


def _backend(named: str | BackendInterface | None) -> BackendInterface:
    from fairing_core.choices import make_backend
    from fairing_core.plugins import Plugins
    from fairing_core.settings import Settings

    settings = Settings.near(Path.cwd())
    return make_backend(
        named or settings.get("backend") or "local", {}, settings, Plugins(ambient=False)
    )
