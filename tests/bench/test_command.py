"""What the command says where nothing is up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import parts

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bench needs Linux")


def bench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        cwd=ROOT,
        env={**os.environ, "FAIRING_BENCH_CACHE": str(folder), "FAIRING_BENCH_RUN": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_parts_gives_a_line_a_part_with_its_pinned_versions(tmp_path: Path) -> None:
    lines = bench(tmp_path, "parts").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == [part.name for part in parts.PARTS]
    for part, line in zip(parts.PARTS, lines, strict=True):
        assert all(f"{binary.module} {binary.version}" in line for binary in part.binaries)
        assert all(name in line for name in (*part.debian, *part.needs))


def test_status_and_env_touch_nothing(tmp_path: Path) -> None:
    done = bench(tmp_path, "status")
    assert done.returncode == 0
    assert {line.split("\t")[1] for line in done.stdout.splitlines()} == {"down"}
    assert bench(tmp_path, "env").stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_logs_of_a_part_that_is_down_says_how_to_start_it(tmp_path: Path) -> None:
    done = bench(tmp_path, "logs", "docker")
    assert done.returncode == 1
    assert "python -m tests.bench up docker" in done.stderr


def test_an_unknown_part_is_refused_with_those_there_are(tmp_path: Path) -> None:
    done = bench(tmp_path, "up", "nonsense")
    assert done.returncode == 2
    assert "registry-token" in done.stderr


def test_help_teaches(tmp_path: Path) -> None:
    said = bench(tmp_path, "--help").stdout
    assert "FAIRING_BENCH_CACHE" in said
    unwrapped = "".join(said.split())
    assert all(part.name in unwrapped for part in parts.PARTS)
