"""The command, on real parts, in a bench beside the one that the other tests share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench import fixtures, machine
from tests.bench.bench import Bench
from tests.bench.docker import cgroup_of, socket_of
from tests.bench.judges import Judges
from tests.bench.registry import VARIANTS

ROOT = Path(__file__).parents[2]
PARTS = ("registry", "registry-token", "docker")

KILLING = """
import os
def test_it(plain_registry, bench):
    os.kill(bench.processes.find("registry").pid, 9)
    plain_registry.ask("/v2/")
    plain_registry.ask("/v2/")
"""

pytestmark = pytest.mark.real


@dataclass(frozen=True)
class Command:
    """`python -m tests.bench`, for one bench."""

    bench: Bench

    def __call__(self, *arguments: str, clone: Path = ROOT) -> str:
        done = self.run(*arguments, clone=clone)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def run(self, *arguments: str, clone: Path = ROOT) -> subprocess.CompletedProcess[str]:
        cache, run = str(self.bench.cache), str(self.bench.run)
        return subprocess.run(
            [sys.executable, "-m", "tests.bench", *arguments],
            cwd=clone,
            env={**os.environ, "FAIRING_BENCH_CACHE": cache, "FAIRING_BENCH_RUN": run},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def pids(self) -> dict[str, int]:
        return {record.name: record.pid for record in self.bench.processes.of()}


@pytest.fixture
def command(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    for part in PARTS:
        fixtures.require(bench, part)  # their binaries are built then
    # Unix sockets have short paths, so not the test's own long one.
    own = Command(Bench(bench.cache, tmp_path_factory.mktemp("b") / "run"))
    yield own
    own("down")
    assert not own.bench.processes.strays()


def test_up_twice_is_one_bench_and_down_leaves_nothing(command: Command) -> None:
    run = command.bench.run
    command("up", *PARTS)
    before = command.pids()
    assert set(before) == {"registry", "registry-token", "registry-token-front", "dockerd"}
    assert "already up" in command("up", *PARTS)
    assert command.pids() == before
    assert command.bench.processes.strays()
    command("down")
    assert not command.bench.processes.strays()
    assert list(run.parent.iterdir()) == []
    assert str(run) not in Path("/proc/self/mountinfo").read_text()
    assert not machine.cgroups(cgroup_of(command.bench))


def test_a_second_clone_shares_the_running_bench(command: Command, tmp_path: Path) -> None:
    command("up", "registry")
    before = command.pids()
    shutil.copytree(ROOT / "tests", tmp_path / "clone" / "tests")
    said = command("up", "registry", clone=tmp_path / "clone")
    assert "already up: registry" in said
    assert "other code" not in said
    assert command.pids() == before


def test_a_bench_of_other_code_is_said_to_be_one(command: Command, tmp_path: Path) -> None:
    command("up", "registry")
    shutil.copytree(ROOT / "tests", tmp_path / "clone" / "tests")
    with (tmp_path / "clone" / "tests" / "bench" / "tools.py").open("a") as file:
        file.write("# changed\n")
    said = command("up", "registry", clone=tmp_path / "clone")
    assert "started by other code than this: registry" in said


def test_up_after_a_crash_cleans_up_and_starts(command: Command, judges: Judges) -> None:
    import docker

    bench = command.bench
    command("up", *PARTS)
    plain = VARIANTS[0].at(bench)
    busybox = Path(shutil.which("busybox") or "").read_bytes()
    image = plain.image("sleeper:1")
    judges.push(plain, image, {"bin/busybox": busybox}, "/bin/busybox")
    with closing(docker.DockerClient(base_url=f"unix://{socket_of(bench)}")) as client:
        client.images.pull(image)
        client.containers.run(image, ["sleep", "600"], network_mode="host", detach=True)
    before = command.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert machine.mounts(bench.run), "the container's mounts are left behind"
    assert machine.cgroups(cgroup_of(bench))
    command("up", *PARTS)
    after = command.pids()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    assert not [pid for pid in bench.processes.strays() if b"sleep" in _command_of(pid)]
    assert command.run("status").returncode == 0


def test_a_part_that_dies_is_named_with_the_end_of_its_log(command: Command) -> None:
    command("up", "registry")
    os.kill(command.pids()["registry"], signal.SIGKILL)
    done = command.run("status")
    assert done.returncode == 1
    assert "registry\tbroken" in done.stdout
    assert "registry (process" in done.stderr
    assert "listening on 127.0.0.1" in done.stderr
    assert "listening on 127.0.0.1" in command("logs", "registry")


def test_a_test_that_fails_of_a_dead_part_names_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = real\n")
    (tmp_path / "test_it.py").write_text(KILLING)
    environ = {"FAIRING_BENCH_RUN": str(command.bench.run), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.bench.fixtures", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert "the bench's part registry died" in done.stdout
    assert "listening on 127.0.0.1" in done.stdout


def test_env_gives_what_a_shell_needs(command: Command) -> None:
    command("up", "registry-token")
    program = f'eval "{command("env")}"; env'.replace('"$PATH"', "$PATH")
    told = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout
    variables = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    assert variables["FAIRING_BENCH_REGISTRY_TOKEN"] == VARIANTS[2].at(command.bench).name
    assert Path(variables["FAIRING_BENCH_REGISTRY_TOKEN_CA"]).exists()
    assert shutil.which("crane", path=variables["PATH"].split(":")[0])
    assert "FAIRING_BENCH_DOCKER" not in variables


def test_all_listens_on_loopback_only(command: Command) -> None:
    command("up", *PARTS)
    ports = json.loads((command.bench.run / "ports.json").read_text()).values()
    listening = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == "0A" and int(port, 16) in ports:
                listening[int(port, 16)] = address
    assert set(listening) == set(ports)
    assert set(listening.values()) == {"0100007F"}


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
