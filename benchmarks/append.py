"""How long an image takes: `fairing build --push`, beside crane, docker and curl, as ratios.

Whole processes. Each pair runs ours and the other one after the other, the one and then the other
first, so that a drifting machine drifts in both; a ratio is the median of the pairs' ratios. Each
run is a change: a new token is written into the content before the clock starts, and into the tar
that crane is given, which spares crane the work of making it. The base is made here too: 13 layers,
1.3 GB. Requests are counted in the registry's access log, bytes by a proxy, memory as the most of
the largest process (docker's engine is not counted), each in a run of its own that is not timed.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.appending import base as bases
from benchmarks.appending import contents
from benchmarks.appending.cases import AGAINST, CASES, INTO, PACK, Case
from benchmarks.appending.contents import Content
from benchmarks.appending.measure import Failed, timed
from benchmarks.appending.packing import packed
from benchmarks.appending.registries import LINKS, Registries
from benchmarks.appending.runs import BASE, measure, sides_of
from benchmarks.appending.tools import Crane, Docker, Floor, Tool
from tests.bench import docker
from tests.bench.bench import Bench
from tests.bench.locks import locked

GB = 1_000_000_000
ROOM, ROOM_OF_DOCKER = 5 * GB, 3 * GB
CONTENTS: Mapping[str, Callable[[Path], Content]] = {
    "20kb": contents.code,
    "100mb": contents.random_bytes,
    "256mb": contents.packages,
}
HEADS = ("case", "ours ms", "peer ms", "ratio", "target", "", "requests", "sent KB", "peak MB")


def main() -> None:
    chosen = _arguments()
    names = [name for name in (*(case.name for case in CASES), PACK) if _wanted(name, chosen.case)]
    if not names:
        sys.exit(f"no case is named so: {', '.join(chosen.case)}; --list shows them all")
    if chosen.list:
        print("\n".join(names))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    here = Bench.here()
    folder = here.cache / "append"
    with locked(folder / "lock", lambda: _say("another one runs; waiting for it")):
        rows = _rows(Bench(here.cache, folder / "run"), names, chosen)
    if chosen.json:
        print(json.dumps(rows, indent=2))
    else:
        print(_table(rows))
    if any("failed" in row for row in rows):
        sys.exit("some cases failed: see above")


def _arguments() -> argparse.Namespace:
    lines = [f"  {name:<10}{about}" for table in (INTO, AGAINST) for name, about in table.items()]
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="A case is CONTENT-INTO-LINK-AGAINST, such as 20kb-warm-tls-20ms-crane.\n"
        f"Contents: {', '.join(CONTENTS)}. Links: {', '.join(LINKS)}. Into and against:\n"
        + "\n".join(lines)
        + "\n\nIt needs Linux, 5 GB of disk, and root and 3 GB more for docker's cases; it brings"
        "\nregistries and an engine of its own up (tests/bench) and takes them down again.",
    )
    parser.add_argument(
        "--case", action="append", metavar="NAME", help="one case, or those of a pattern: '20kb-*'"
    )
    parser.add_argument("--pairs", type=int, default=25, help="pairs of a case (default: 25)")
    parser.add_argument(
        "--docker-pairs",
        type=int,
        default=5,
        help="pairs with docker, or with all of the base copied (default: 5)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--list", action="store_true", help="list the cases, and run none")
    return parser.parse_args()


def _wanted(name: str, patterns: Sequence[str] | None) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _rows(bench: Bench, names: Sequence[str], chosen: argparse.Namespace) -> list[dict[str, Any]]:
    cases = [case for case in CASES if case.name in names]
    with_docker = any(case.against == "docker" for case in cases)
    need = ROOM + ROOM_OF_DOCKER * with_docker
    bench.cache.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(bench.cache).free) < need:
        sys.exit(f"{bench.cache} has {free / GB:.1f} GB left, and {need / GB:.0f} GB are needed")
    rows = []
    with tempfile.TemporaryDirectory(dir=bench.run.parent) as scratch:
        folder = Path(scratch)
        if cases:
            registries = Registries(bench)
            with registries.up(docker=with_docker):
                rows += _pushed(cases, registries, chosen, folder)
        if PACK in names:
            _say(PACK)
            rows.append(_tried(PACK, lambda: packed(folder, chosen.pairs)))
    return rows


def _pushed(
    cases: Sequence[Case], registries: Registries, chosen: argparse.Namespace, folder: Path
) -> list[dict[str, Any]]:
    bench = registries.bench
    base = bases.made(bases.Recipe(), bench.run.parent, _say)
    made = {name: CONTENTS[name](folder) for name in {case.content for case in cases}}
    tools = _tools(bench)
    with registries.sites(LINKS["loopback"]) as sites:
        image = f"{sites.home}/{BASE}"
    timed([str(bench.bin / "crane"), "push", str(base.folder), image], {})
    if any(case.against == "docker" for case in cases):
        engine = tools["docker"]
        assert isinstance(engine, Docker)
        timed([engine.binary, "pull", "-q", image], engine.environ)

    def row(case: Case) -> dict[str, Any]:
        slow = case.against == "docker" or case.into == "first"
        here = folder / "runs" / case.name
        here.mkdir(parents=True)
        try:
            return measure(
                case,
                sides_of(case, tools),
                chosen.docker_pairs if slow else chosen.pairs,
                registries=registries,
                base=base,
                content=made[case.content],
                folder=here,
            )
        finally:
            shutil.rmtree(here)

    rows = []
    for case in cases:
        _say(case.name)
        rows.append(_tried(case.name, functools.partial(row, case)))
    return rows


def _tried(name: str, row: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The row, or what failed: the other cases are measured all the same."""
    try:
        return row()
    except Failed as exc:
        _say(str(exc))
        return {"case": name, "failed": str(exc)}


def _tools(bench: Bench) -> dict[str, Tool]:
    engine = f"unix://{docker.socket_of(bench)}"
    tools: list[Tool] = [Crane(bench.bin / "crane"), Docker(engine), Floor()]
    return {tool.name: tool for tool in tools}


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Plain text; requests, sent and peak are ours / the other's, and ! marks what is missed."""
    lines = [HEADS, *(_cells(row) for row in rows)]
    wide = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, wide, strict=True))
        )
        for line in lines
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    if "failed" in row:
        return (row["case"], *[""] * 4, "FAILED", *[""] * 3)
    sides = row["ours"], row["peer"]
    asked = [str(sum(side["requests"].values())) if "requests" in side else "-" for side in sides]
    sent = [f"{side['sent'] / 1000:.0f}" if side.get("sent") else "-" for side in sides]
    peaks = [f"{side['peak_mb']:.0f}" for side in sides]
    return (
        row["case"],
        f"{row['ours_ms']:.0f}",
        f"{row['peer_ms']:.0f}",
        f"{row['ratio']:.2f}",
        f"<= {row['target']}" if row["target"] else "",
        {True: "met", False: "MISSED", None: ""}[row["met"]],
        " / ".join(asked) + ("!" if row.get("requests_met") is False else ""),
        " / ".join(sent),
        " / ".join(peaks) + ("" if row["peak_met"] else "!"),
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
