"""A test that asks for a part skips where it can't be had, and fails where it is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.bench import Bench
from tests.bench.fixtures import require

ROOT = Path(__file__).parents[2]
SOURCE = """
def test_it(plain_registry): ...
def test_other(prefix): assert prefix.startswith("t-")
"""


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_asking.py").write_text(SOURCE)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = real\n")
    kept = {key: value for key, value in os.environ.items() if key not in {"CI", "FAIRING_BENCH"}}
    nothing = {"PATH": str(folder), "FAIRING_BENCH_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", "pytest", "-p", "tests.bench.fixtures", "-ra", *arguments]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**kept, **nothing, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_go_a_test_skips_and_says_how_to_get_it(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "the bench's part registry can't be had here: it needs" in done.stdout.replace("\n", "")


def test_where_the_bench_is_required_it_fails(tmp_path: Path) -> None:
    done = run(tmp_path, FAIRING_BENCH="require")
    assert done.returncode == 1
    assert "(FAIRING_BENCH=require)" in done.stdout


@pytest.mark.parametrize(("chosen", "name"), [("real", "test_it"), ("not real", "test_other")])
def test_who_asks_for_a_part_is_a_real_test(tmp_path: Path, chosen: str, name: str) -> None:
    done = run(tmp_path, "-m", chosen, "--collect-only", "-q")
    assert f"::{name}" in done.stdout
    assert "1/2 tests collected" in done.stdout


@pytest.mark.real
def test_two_runs_share_the_bench_side_by_side(bench: Bench) -> None:
    require(bench, "registry-token")
    chosen = ["tests/bench/test_registry.py", "-k", "reader or token_is_good or expired"]
    command = [sys.executable, "-m", "pytest", "-m", "real", *chosen]
    runs = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [run.communicate(timeout=100)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
    assert all("3 passed" in text for text in said)
