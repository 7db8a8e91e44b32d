"""``fairing backends`` and ``fairing plugins``: what is installed, and whether it works."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from fairing_core import errors
from fairing_core.cli.output import show_rows

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


_timeout = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds that --check gives each one to load.",
)


@click.command("backends")
@click.option("--check", is_flag=True, help="Load and make each one, and say what it lacks.")
@_timeout
@_json
def backends_command(check: bool, timeout: float, as_json: bool) -> None:
    """Lists the backends that --backend and TrainJob(backend=...) take.

    Known from the installed packages' metadata: nothing is imported without --check.
    """
    from fairing_core import defaults
    from fairing_core.installed import BACKENDS, installed

    core = [
        {"name": name, "distribution": "fairing-core", "version": None, "state": "installed"}
        for name in sorted(defaults.fairing_register_backends())
    ]
    rows = core + [_row(plugin) for plugin in installed() if plugin.group == BACKENDS]
    columns = ("name", "state", "distribution", "version")
    _show(_checked(rows, timeout) if check else rows, columns, check=check, as_json=as_json)


@click.command("plugins")
@click.option("--check", is_flag=True, help="Load each one, and say which fail and why.")
@_timeout
@_json
def plugins_command(check: bool, timeout: float, as_json: bool) -> None:
    """Lists the installed plugins: backends, and ambient ones, which every run loads.

    Known from the installed packages' metadata: nothing is imported without --check.
    FAIRING_DISABLE_PLUGINS=NAME,... (or * for all ambient ones) blocks plugins.
    """
    from fairing_core.installed import installed

    rows = [_row(plugin) for plugin in installed()]
    columns = ("name", "kind", "state", "distribution", "version", "module")
    _show(_checked(rows, timeout) if check else rows, columns, check=check, as_json=as_json)


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


def _show(
    rows: list[dict[str, Any]], columns: Sequence[str], *, check: bool, as_json: bool
) -> None:
    show_rows(rows, (*columns, "seconds", "offers") if check else columns, as_json=as_json)
    failed = [row for row in rows if row["state"] == "failed"]
    for row in failed:
        click.echo(f"fairing: {row['error']}", err=True)
    if failed:
        click.get_current_context().exit(errors.PluginError.exit_code)


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
