"""The command: `python -m tests.bench`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

import click

from tests.bench import lifecycle, machine, parts
from tests.bench.bench import Bench, BenchError
from tests.bench.part import Part

NAMES = click.Choice([part.name for part in parts.PARTS])


@click.group(epilog="Parts: " + ", ".join(part.name for part in parts.PARTS) + ".")
def main() -> None:
    """A bench of real parts for tests: registries, a Docker engine, a Kubernetes.

    \b
      python -m tests.bench up                    the whole bench
      python -m tests.bench up registry docker    some parts, and what they need
      eval "$(python -m tests.bench env)"         its addresses, for your shell
      python -m tests.bench down                  takes everything away again

    The first `up` builds what is missing from Go modules into FAIRING_BENCH_CACHE (default
    ~/.cache/fairing-bench); later ones take seconds. One bench runs at a time, and every clone
    shares it. FAIRING_BENCH_RUN names another state folder, for a second one.
    """


@main.command()
@click.argument("part", nargs=-1, type=NAMES)
def up(part: tuple[str, ...]) -> None:
    """Brings the named parts up, or all that can be had here; a bench that runs is shared."""
    bench = Bench.here()
    wanted = parts.named(part) if part else _to_be_had(bench)
    lifecycle.up(bench, wanted, parts.named())


@main.command()
def down() -> None:
    """Takes the bench away: processes, mounts, networks, state. The cache stays."""
    lifecycle.down(Bench.here(), parts.named())


@main.command()
def status() -> None:
    """Shows each part, and why one is broken (then it exits with 1)."""
    bench = Bench.here()
    rows = [(part, *lifecycle.status(bench, part)) for part in parts.PARTS]
    _show(("PART", "STATE", "WHAT"), [(part.name, state, part.about) for part, state, _ in rows])
    for part, state, why in rows:
        if state == "broken":
            print(f"\n{part.name}: {why}", file=sys.stderr)
    sys.exit(any(state == "broken" for _, state, _ in rows))


@main.command("parts")
def table() -> None:
    """Shows where each part comes from, with its pinned versions, and what it needs."""
    _show(
        ("PART", "FROM", "NEEDS"), [(p.name, _origin(p), ", ".join(p.needs)) for p in parts.PARTS]
    )


@main.command()
def env() -> None:
    """Prints addresses and credentials of the parts that are up, for `eval` in a shell."""
    bench = Bench.here()
    if bench.bin.exists():
        print(f'export PATH={shlex.quote(str(bench.bin))}:"$PATH"')
    for name, value in environment(bench).items():
        print(f"export {name}={shlex.quote(value)}")


@main.command()
@click.argument("part", type=NAMES)
@click.option("-n", "--lines", default=40, show_default=True, help="Lines of each log.")
def logs(part: str, lines: int) -> None:
    """Shows the last lines of a part's logs."""
    bench = Bench.here()
    records = bench.processes.of(part)
    if not records:
        raise click.ClickException(f"{part} is not up; start it: python -m tests.bench up {part}")
    for record in records:
        print(f"==> {record.log}", bench.processes.tail(record.name, lines), sep="\n")


def environment(bench: Bench) -> dict[str, str]:
    """The variables of the parts that are up."""
    found: dict[str, str] = {}
    for part in parts.PARTS:
        if lifecycle.status(bench, part)[0] == "up":
            found |= part.environment(bench)
    return found


def _to_be_had(bench: Bench) -> list[Part]:
    """All parts but those that this machine can't give; says which and why."""
    found: dict[str, Part] = {}
    for part in parts.named():
        lacks = machine.lacks(bench, part)
        absent = [need for need in part.needs if need not in found]
        if lacks or absent:
            bench.say(f"{part.name}: left out: {lacks or f'it needs {absent[0]}'}")
        else:
            found[part.name] = part
    if not found:
        raise BenchError("no part can be had here")
    return list(found.values())


def _origin(part: Part) -> str:
    """Go modules and Debian packages."""
    modules = dict.fromkeys(f"{binary.module} {binary.version}" for binary in part.binaries)
    packages = f"Debian's {', '.join(part.debian)}" if part.debian else ""
    return "; ".join([*modules, *filter(None, [packages])])


def _show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in a terminal, plain lines in a pipe."""
    if not sys.stdout.isatty():
        for row in rows:
            print(*row, sep="\t")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*heads, box=None, pad_edge=False)
    colours = {"up": "green", "down": "dim", "broken": "red"}
    for row in rows:
        shown.add_row(*(Text(cell, colours.get(cell, "")) for cell in row))
    Console().print(shown)


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(f"bench: {exc}")
