"""What stands in for IPython and ipykernel in a program that is no kernel."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def kernel(
    monkeypatch: pytest.MonkeyPatch,
    connection: Path,
    *,
    names: Mapping[str, Any] | None = None,
    ran: Sequence[str] = (),
) -> None:
    """Makes this program a kernel that ran those cells and has those variables."""
    shell = SimpleNamespace(
        user_ns=dict(names or {}),
        starting_dir=str(connection.parent),
        history_manager=SimpleNamespace(input_hist_raw=["", *ran]),
    )
    mine = SimpleNamespace(
        get_connection_info=lambda: "{}", get_connection_file=lambda: str(connection)
    )
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "ipykernel", mine)
    for name in ("JPY_SESSION_NAME", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(connection.parent))
