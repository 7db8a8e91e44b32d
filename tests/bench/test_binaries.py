"""Binaries are built once and kept by their recipe. A shell script stands for Go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import binaries, tools
from tests.bench.bench import Bench, BenchError

GO = """#!/bin/sh
echo "$*" >> "$0.calls"
case $1 in
mod) mkdir -p "$GOMODCACHE/m@v1" && printf '{"Dir": "%s"}' "$GOMODCACHE/m@v1" ;;
build) while [ "$1" != -o ]; do shift; done; pwd > "$2" ;;
esac
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache", tmp_path / "run")


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "path" / "go"
    found.parent.mkdir()
    found.write_text(GO)
    found.chmod(0o755)
    monkeypatch.setenv("PATH", str(found.parent), prepend=":")
    return found


def test_another_recipe_is_another_binary(tmp_path: Path) -> None:
    others = (
        replace(tools.CRANE, version="v0.22.2"),
        replace(tools.CRANE, ldflags="-X a=b"),
        replace(tools.CRANE, main="package main"),
    )
    paths = {each.path(tmp_path) for each in (tools.CRANE, *others)}
    assert len(paths) == 4


def test_a_binary_is_built_once(bench: Bench, go: Path) -> None:
    for _ in range(2):
        binaries.provide(bench, [tools.CRANE])
    calls = go.with_name("go.calls").read_text().splitlines()
    assert [call.split()[0] for call in calls] == ["mod", "build"]
    assert binaries.missing(bench, [tools.CRANE, tools.REGISTRY]) == [tools.REGISTRY]
    assert (bench.bin / "crane").resolve() == tools.CRANE.path(bench.cache)


def test_it_is_built_in_a_copy_of_the_modules_own_source(bench: Bench, go: Path) -> None:
    binaries.provide(bench, [tools.CRANE])
    assert (bench.bin / "crane").read_text() == f"{bench.cache / 'go' / 'source' / 'm@v1'}\n"


def test_gos_caches_are_emptied_after(bench: Bench, go: Path) -> None:
    binaries.provide(bench, [tools.CRANE])
    assert not (bench.cache / "go").exists()


def test_a_build_that_fails_tells_what_go_said_and_keeps_its_caches(bench: Bench, go: Path) -> None:
    go.write_text("#!/bin/sh\necho >&2 no such module; exit 1\n")
    with pytest.raises(BenchError, match=r"(?s)crane can't be built.*no such module"):
        binaries.provide(bench, [tools.CRANE])
    assert (bench.cache / "go").exists()
    assert binaries.missing(bench, [tools.CRANE]) == [tools.CRANE]


def test_a_build_tells_that_it_goes_on(
    bench: Bench, go: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = replace(bench, telling=0.1)
    go.write_text(GO.replace("case", "sleep 0.7; case", 1))
    binaries.provide(bench, [tools.CRANE])
    assert "crane: go build, " in capsys.readouterr().err
