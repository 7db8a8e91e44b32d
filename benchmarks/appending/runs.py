"""Runs a case: pairs for the time, then one run of each that is counted."""

from __future__ import annotations

import shutil
import statistics
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.appending.base import Base
from benchmarks.appending.cases import PEAK_MB, Case, Into
from benchmarks.appending.contents import Content
from benchmarks.appending.measure import timed, weighed
from benchmarks.appending.registries import LINKS, Registries, Sites
from benchmarks.appending.tools import Docker, Ours, Task, Tool

BASE = "base/python:3.11"
APART: frozenset[Into] = frozenset({"first", "second"})
FORGETFUL: frozenset[Into] = frozenset({"cold", "first"})


@dataclass(frozen=True)
class Side:
    """One of a pair: a program, and where it pushes to."""

    tool: Tool
    into: Into


@dataclass(frozen=True)
class Counted:
    """What one run moves, and the memory it takes."""

    requests: dict[str, int]
    peak_mb: float
    sent: int | None
    received: int | None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the sides of a case run: contents, registries, names on a link, a folder of its own."""

    registries: Registries
    base: Base
    content: Content
    sites: Sites
    plain: bool
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def task(self, side: Side) -> Task:
        """The next run of that side, with all that has to be there before it; not timed."""
        if side.into != "again":
            self.content.refresh()
        cache = self.folder / "cache"
        if side.into in FORGETFUL:
            shutil.rmtree(cache, ignore_errors=True)
        if side.into == "first":
            self.registries.stores["other"].wipe()
        repository = f"new/{uuid.uuid4().hex[:12]}"
        if side.into in {"warm", "again"}:
            repository = f"{side.into}/{side.tool.name}-{self.content.name}"
        return self._task(f"{self._host(side)}/{repository}:latest")

    def prime(self, side: Side) -> None:
        """Makes it so that the base is in the other registry, and known to be."""
        if side.into == "second":
            self.content.refresh()
            self.run(side.tool, self._task(f"{self._host(side)}/kept/ours:latest"))

    def run(self, tool: Tool, task: Task) -> float:
        """The seconds that a run takes."""
        tool.prepare(task)
        return sum(timed(command, task.environ) for command in tool.commands(task))

    def weigh(self, tool: Tool, task: Task) -> float:
        """The most memory of a run that is prepared, in MB."""
        commands = tool.commands(task)
        return max(weighed(command, task.environ, self.folder) for command in commands)

    def _host(self, side: Side) -> str:
        return self.sites.other if side.into in APART else self.sites.home

    def _task(self, target: str) -> Task:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        own = {"HOME": str(home), "XDG_CACHE_HOME": str(self.folder / "cache")}
        return Task(
            content=self.content,
            base=f"{self.sites.home}/{BASE}",
            target=target,
            plain=self.plain,
            environ={**own, **self.environ},
            folder=self.folder,
        )


def measure(
    case: Case,
    sides: tuple[Side, Side],
    pairs: int,
    *,
    registries: Registries,
    base: Base,
    content: Content,
    folder: Path,
) -> dict[str, Any]:
    """A row: medians, the ratio of the pairs, and what either side moves."""
    link = LINKS[case.link]

    def setting(sites: Sites) -> Setting:
        environ = registries.environ(link, sites, folder)
        return Setting(
            registries=registries,
            base=base,
            content=content,
            sites=sites,
            plain=link.way == "plain",
            folder=folder,
            environ=environ,
        )

    with registries.sites(link) as sites:
        taken = _pairs(setting(sites), sides, pairs)
    counts = []
    for side in sides:
        # Docker has the base by the name that it was pulled by.
        counted = not isinstance(side.tool, Docker)
        with registries.sites(link, counted=counted) as sites:
            counts.append(_count(case, setting(sites), side))
    ours, peer = counts
    ratio = statistics.median(one / other for one, other in taken)
    return {
        "case": case.name,
        "pairs": len(taken),
        "ours_ms": round(1000 * statistics.median(one for one, _ in taken), 1),
        "peer_ms": round(1000 * statistics.median(other for _, other in taken), 1),
        "ratio": round(ratio, 3),
        "target": case.target,
        "met": None if case.target is None else ratio <= case.target,
        "requests_target": case.requests,
        "requests_met": case.requests and sum(ours.requests.values()) <= case.requests,
        "peak_target_mb": PEAK_MB,
        "peak_met": ours.peak_mb <= PEAK_MB,
        "ours": vars(ours),
        "peer": vars(peer),
    }


def _pairs(setting: Setting, sides: tuple[Side, Side], number: int) -> list[tuple[float, float]]:
    """Seconds of both, by pairs; first one and then the other goes first."""
    for side in sides:
        setting.prime(side)
    taken = []
    for index in range(number + 1):
        seconds = {}
        for place in (0, 1) if index % 2 else (1, 0):
            side = sides[place]
            seconds[place] = setting.run(side.tool, setting.task(side))
        taken.append((seconds[0], seconds[1]))
        if "again" not in {side.into for side in sides}:
            for store in setting.registries.stores.values():
                store.prune(setting.base.blobs)
    return taken[1:]  # the first one warms up


def _count(case: Case, setting: Setting, side: Side) -> Counted:
    setting.prime(side)
    if side.into not in FORGETFUL:
        setting.run(side.tool, setting.task(side))
    task = setting.task(side)
    side.tool.prepare(task)
    setting.sites.carried()
    requests = setting.registries.requests(LINKS[case.link])
    peak = setting.weigh(side.tool, task)
    carried = setting.sites.carried() if setting.sites.lines else None
    return Counted(
        requests=requests.told(requests.seen()),
        peak_mb=round(peak, 1),
        sent=carried.sent if carried else None,
        received=carried.received if carried else None,
    )


def sides_of(case: Case, tools: Mapping[str, Tool]) -> tuple[Side, Side]:
    """Both sides of a case."""
    ours = Side(Ours(), case.into)
    if case.against == "here":
        return ours, Side(Ours(), "new")
    return ours, Side(tools[case.against], case.into)
