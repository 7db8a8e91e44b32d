"""Options that several commands have."""

from __future__ import annotations

import click

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def pairs(_context: object, _parameter: object, values: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping."""
    found = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{value!r} is no NAME=VALUE")
        found[key] = rest
    return found
