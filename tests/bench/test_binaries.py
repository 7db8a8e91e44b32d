"""Binaries are kept by their recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.bench import binaries, tools
from tests.bench.bench import Bench


def test_another_recipe_is_another_binary(tmp_path: Path) -> None:
    others = (
        replace(tools.CRANE, version="v0.22.2"),
        replace(tools.CRANE, ldflags="-X a=b"),
        replace(tools.CRANE, main="package main"),
    )
    paths = {each.path(tmp_path) for each in (tools.CRANE, *others)}
    assert len(paths) == 4


def test_what_is_built_is_linked_and_not_built_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cache", tmp_path / "run")
    built = tools.CRANE.path(bench.cache)
    built.parent.mkdir(parents=True)
    built.touch()
    assert binaries.missing(bench, [tools.CRANE, tools.REGISTRY]) == [tools.REGISTRY]
    binaries.provide(bench, [tools.CRANE])
    binaries.provide(bench, [tools.CRANE])
    assert (bench.bin / "crane").resolve() == built
    assert [path.name for path in bench.bin.iterdir()] == ["crane"]
