"""The ``fairing`` command."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

import click

from fairing_core import errors

_COMMANDS = {
    "run": "runs:run_command",
    "ps": "runs:ps_command",
    "status": "runs:status_command",
    "logs": "runs:logs_command",
    "wait": "runs:wait_command",
    "cancel": "runs:cancel_command",
    "rm": "runs:rm_command",
    "build": "build:build_command",
    "backends": "backends:backends_command",
    "plugins": "backends:plugins_command",
}
"""Where each command is; in the order that --help shows. Only the one that runs is imported."""

_EPILOG = """
\b
Examples:
  fairing run train.py -- --epochs 3        a script, with its own arguments
  fairing run train.py::train -- epochs=3   a function, with its keyword arguments
  fairing run train.py --detach             prints the run's URI and leaves it running
  fairing logs -f train-x7k2m9qp            its output, until it ends
  fairing ps                                what ran and what runs
  fairing build train.py -t HOST/train      an image of it, pushed; no Docker is needed

Exit code: the run's own for `run` and `wait`; otherwise 0, or the fault's own code, which
`python -m pydoc fairing_core.errors` lists.
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module, _, name = _COMMANDS.get(cmd_name, "").partition(":")
        if not name:
            return None
        command = getattr(importlib.import_module(f"fairing_core.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="fairing-core", prog_name="fairing")
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
def fairing(verbose: int) -> None:
    """Runs Python functions and scripts as jobs, here or on Kubernetes."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, format="fairing: %(message)s", stream=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line, and ends the process with its exit code."""
    sys.exit(_code(arguments))


def _code(arguments: Sequence[str] | None) -> int:
    try:
        code = fairing.main(arguments, prog_name="fairing", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except errors.FairingError as error:
        colour = "red" if sys.stderr.isatty() else None
        click.secho(f"fairing: {error}", fg=colour, err=True)
        return error.exit_code
    return code if isinstance(code, int) else 0
