"""``fairing backends`` and ``fairing plugins``: what is installed, and whether it works."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fairing_core import errors
from fairing_core.cli.command import UsageError, argument, as_json, command
from fairing_core.cli.output import show_rows

_check = argument("--check", action="store_true", help="Load and make each one; say what it lacks.")
_timeout = argument(
    "--timeout",
    type=float,
    default=20.0,
    metavar="SECONDS",
    help="What --check gives each one to load (default: 20).",
)


@command(_check, _timeout, as_json)
def backends_command(given: Namespace) -> int:
    """Lists the backends that --backend and TrainJob(backend=...) take.

    Known from the installed packages' metadata: nothing is imported without --check.
    One that is `not ready` loads, and lacks something here: a cluster, room on the disk.
    """
    from fairing_core import defaults
    from fairing_core.installed import BACKENDS, installed

    core = [
        {"name": name, "distribution": "fairing-core", "version": None, "state": "installed"}
        for name in sorted(defaults.fairing_register_backends())
    ]
    rows = core + [_row(plugin) for plugin in installed() if plugin.group == BACKENDS]
    columns = ("name", "state", "distribution", "version")
    return _show(rows, columns, given)


@command(_check, _timeout, as_json)
def plugins_command(given: Namespace) -> int:
    """Lists the installed plugins: backends, and ambient ones, which every run loads.

    Known from the installed packages' metadata: nothing is imported without --check.
    FAIRING_DISABLE_PLUGINS=NAME,... (or * for all ambient ones) blocks plugins.
    """
    from fairing_core.installed import installed

    rows = [_row(plugin) for plugin in installed()]
    columns = ("name", "kind", "state", "distribution", "version", "module")
    return _show(rows, columns, given)


def _row(plugin: Any) -> dict[str, Any]:
    from fairing_core.installed import BACKENDS, is_blocked

    return {
        "name": plugin.name,
        "kind": "backend" if plugin.group == BACKENDS else "ambient",
        "state": "blocked" if is_blocked(plugin) else "installed",
        "distribution": plugin.distribution,
        "version": plugin.version,
        "module": plugin.module,
    }


def _show(rows: list[dict[str, Any]], columns: Sequence[str], given: Namespace) -> int:
    if not given.timeout > 0:
        raise UsageError(f"--timeout {given.timeout:g} must be above zero")
    if given.check:
        rows, columns = _checked(rows, given.timeout), (*columns, "seconds", "offers")
    show_rows(rows, columns, as_json=given.as_json)
    for row in rows:
        if "error" in row:
            print(f"fairing: {row['error']}", file=sys.stderr)
    failed = any(row["state"] == "failed" for row in rows)
    return errors.PluginError.exit_code if failed else 0


def _checked(rows: list[dict[str, Any]], timeout: float) -> list[dict[str, Any]]:
    """The rows with what became of loading each, in a process of its own."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(functools.partial(_probed, timeout=timeout), rows))


def _probed(row: dict[str, Any], *, timeout: float) -> dict[str, Any]:
    if row["state"] == "blocked":
        return row
    command = [sys.executable, "-m", "fairing_core.cli.probe", row["distribution"], row["name"]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        return {**row, **json.loads(done.stdout.splitlines()[-1])}
    except subprocess.TimeoutExpired:
        error = f"did not load within {timeout:g} s"
    except (ValueError, IndexError):
        error = f"ended the process with exit code {done.returncode} when loaded"
    text = f"plugin {row['name']!r} of {row['distribution']} {row['version']} {error}"
    return {**row, "state": "failed", "error": text, "type": "PluginLoadError"}
