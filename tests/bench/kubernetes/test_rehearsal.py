"""The bench comes up after a crash, `down` leaves nothing of it, and nothing leaves the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.bench import Bench
from tests.bench.fixtures import ROOT, require
from tests.bench.kubernetes import network
from tests.bench.kubernetes.rehearsal import PARTS

# A second bench starts every part once more: that takes the machine for itself.
pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def rehearsal(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    for part in PARTS:
        require(bench, part.name)  # so that all binaries are built
    folder = tmp_path_factory.mktemp("rehearsal")
    module = "tests.bench.kubernetes.rehearsal"
    done = subprocess.run(
        ["unshare", "--net", "--mount", sys.executable, "-m", module, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_pod_runs_before_and_after_a_crash(rehearsal: dict[str, Any]) -> None:
    assert [rehearsal["first"], rehearsal["second"]] == ["hello\n", "hello\n"]


def test_not_a_packet_leaves_the_machine(rehearsal: dict[str, Any]) -> None:
    # It has no internet either: `up` needs none where the cache is filled.
    assert rehearsal["left before"] == 4, "what is sent before the bench is up is counted"
    assert rehearsal["left after"] == rehearsal["left before"]


def test_a_second_bench_is_told_whose_the_addresses_are(rehearsal: dict[str, Any]) -> None:
    assert "/run has the addresses" in rehearsal["refused"]
    assert "/run python -m tests.bench down" in rehearsal["refused"]


@pytest.mark.parametrize(
    "what",
    [
        "routes",
        "rules",
        "links",
        "iptables",
        "mounts",
        "places",
        "cgroups",
        "processes",
        "containers",
        "files",
    ],
)
def test_down_leaves_nothing(rehearsal: dict[str, Any], what: str) -> None:
    assert rehearsal["after"][what] == rehearsal["before"][what]


def test_the_rehearsal_saw_what_there_is_to_leave(rehearsal: dict[str, Any]) -> None:
    seen = rehearsal["while"]
    assert any(network.VETH in line for line in seen["links"])
    assert any(line.startswith("blackhole") for line in seen["routes"])
    for what in ("mounts", "places", "cgroups", "processes", "containers", "files"):
        assert len(seen[what]) > len(rehearsal["before"][what])
