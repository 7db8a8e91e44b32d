"""The keeper, as a container's first process would be, but for its number."""

from __future__ import annotations

import hashlib
import json
import operator
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fairing_core.cluster.lines import END
from fairing_core.runtime import keep

PROGRAM = [sys.executable, "-IS", keep.__file__]


class Container:
    """A place of its own, with the keeper and what it is asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.room = home / "room"
        self.room.mkdir()
        self.work = home / "work"
        self.work.mkdir()
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, outputs: Sequence[str] = (), keep: float = 30, **more: str) -> Any:
        command = [sys.executable, "-c", code]
        return self.start_command(command, outputs, keep, **more)

    def start_command(
        self, command: Sequence[str], outputs: Sequence[str] = (), keep: float = 30, **more: str
    ) -> subprocess.Popen[bytes]:
        environment = {"TMPDIR": str(self.room), "FAIRING_KEEP": str(keep),
                       "FAIRING_OUTPUTS": json.dumps(outputs), **more}  # fmt: skip
        self.running.append(
            subprocess.Popen(
                [*PROGRAM, "run", *command],
                cwd=self.work,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.running[-1]

    def ask(self, *words: str) -> bytes:
        environment = {**os.environ, "TMPDIR": str(self.room)}
        return subprocess.run([*PROGRAM, *words], env=environment, cwd="/", timeout=30, check=True,
                              stdout=subprocess.PIPE).stdout  # fmt: skip

    def index(self) -> list[dict[str, Any]]:
        deadline = time.monotonic() + 20
        while not (self.room / ".fairing-keep" / "index.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        found: list[dict[str, Any]] = json.loads(self.ask("index"))
        return found


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    container = Container(tmp_path)
    yield container
    for process in container.running:
        process.kill()
        process.communicate()


STARTS = keep.SIGN.encode() + b"the program starts]\n"
WRITE = "open('a.bin', 'wb').write(b'x' * 3_000_000); print('half', end='')"


def test_outputs_are_kept_until_they_are_released(container: Container) -> None:
    run = container.start(f"{WRITE}; raise SystemExit(3)", ["a.bin"])
    (entry,) = container.index()
    content = b"x" * 3_000_000
    assert (entry["path"], entry["size"]) == ("a.bin", len(content))
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert container.ask("send", "0", "0") == content
    assert container.ask("send", "0", "2999990") == content[-10:]
    assert run.poll() is None
    container.ask("release")
    out, err = run.communicate(timeout=20)
    assert run.returncode == 3
    said, mark, told = out.partition(END)
    assert said == STARTS + b"half"
    assert mark
    assert b"with exit code 3; 1 outputs, 3000000 bytes, are kept until " in told
    assert out.count(b"\n") == 2
    assert told.endswith(b"]\n")
    assert err == STARTS + END + told


def test_the_time_is_over_where_nobody_comes(container: Container) -> None:
    run = container.start(WRITE, ["a.bin"], keep=0.2)
    run.communicate(timeout=20)
    assert run.returncode == 0


def test_nothing_is_kept_beyond_the_pods_own_timeout(container: Container) -> None:
    began = time.monotonic()
    run = container.start(WRITE, ["a.bin"], keep=60, FAIRING_TIMEOUT="6")
    run.communicate(timeout=20)
    assert run.returncode == 0
    assert 2 <= time.monotonic() - began < 6


def test_who_waits_already_has_a_chance_however_near_the_timeout_is(container: Container) -> None:
    run = container.start(WRITE, ["a.bin"], keep=60, FAIRING_TIMEOUT="0.1")
    container.index()
    run.communicate(timeout=20)
    assert run.returncode == 0


@pytest.mark.parametrize("outputs", [[], ["gone.bin"], ["*.txt"]])
def test_with_nothing_to_keep_it_ends_at_once_and_says_nothing(
    container: Container, outputs: list[str]
) -> None:
    run = container.start("print('x')", outputs)
    assert run.communicate(timeout=20)[0] == STARTS + b"x\n"
    assert run.returncode == 0


def test_files_folders_patterns_and_what_lies_elsewhere(
    container: Container, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    container.start(
        "import os\n"
        "os.makedirs('runs/deep'); os.makedirs('empty')\n"
        f"os.makedirs({str(away)!r})\n"
        "for name in ('one.txt', 'two.txt', 'three', 'runs/a', 'runs/deep/b', "
        f"{str(away / 'c')!r}): open(name, 'w').write(name)\n"
        "os.symlink('nowhere', 'runs/dangling'); os.mkfifo('runs/pipe')\n",
        ["*.txt", "runs/", "runs", "empty", str(away)],
    )
    found = [entry["path"] for entry in container.index()]
    elsewhere = os.path.relpath(away / "c", "/")
    assert sorted(found) == sorted(["one.txt", "two.txt", "runs/a", "runs/deep/b", elsewhere])


def test_the_exit_code_of_a_signal_is_a_shells(container: Container) -> None:
    run = container.start("import os; os.kill(os.getpid(), 9)")
    run.communicate(timeout=20)
    assert run.returncode == 137


def test_a_shells_pipe_ends_as_it_does_elsewhere(container: Container) -> None:
    script = "yes | head -1; exit ${PIPESTATUS[0]}"
    run = container.start_command(["bash", "-c", script], ["nothing"])
    assert run.communicate(timeout=20) == (STARTS + b"y\n", STARTS)
    assert run.returncode == 128 + signal.SIGPIPE


@pytest.mark.parametrize("ends", [True, False])
def test_a_stop_is_handed_on_and_keeps_nothing(container: Container, ends: bool) -> None:
    code = (
        "import signal, sys, time\n"
        "open('a.bin', 'w').write('x')\n"
        "signal.signal(15, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\n"
    )
    run = container.start(code + ("" if ends else "time.sleep(60)\n"), ["a.bin"])
    assert run.stdout
    assert run.stdout.readline() == STARTS
    assert run.stdout.readline() == b"up\n"
    if ends:
        container.index()
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=20)
    assert run.returncode == (0 if ends else 5)


@pytest.mark.parametrize(("mode", "code", "said"), [(None, 127, "No such file"),
                                                    (0o644, 126, "Permission denied"),
                                                    (0o755, 126, "Exec format")])  # fmt: skip
def test_what_can_not_be_started_is_said_as_a_shell_does(
    container: Container, tmp_path: Path, mode: int | None, code: int, said: str
) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.write_bytes(b"\x7fELF, but no")
        program.chmod(mode)
    run = container.start_command([str(program)], ["a.bin"])
    assert said in run.communicate(timeout=20)[1].decode()
    assert run.returncode == code


def test_children_that_nobody_waits_for_do_not_end_it(container: Container) -> None:
    code = "import os\nif os.fork(): os._exit(4)\nos.setsid(); os._exit(9)"
    run = container.start(code)
    run.communicate(timeout=20)
    assert run.returncode == 4


def test_where_nothing_can_be_written_it_runs_all_the_same(container: Container) -> None:
    run = container.start("print('x')", ["a.bin"], TMPDIR="/proc")
    assert run.communicate(timeout=20)[0] == STARTS + b"x\n"


def test_where_the_list_can_not_be_written_the_programs_end_is_the_runs(
    container: Container,
) -> None:
    taken = "import os; os.makedirs(os.environ['TMPDIR'] + '/.fairing-keep/index.json.tmp')"
    run = container.start(f"{WRITE}; {taken}; raise SystemExit(3)", ["a.bin"])
    err = run.communicate(timeout=20)[1].decode()
    assert "its outputs can't be kept: Is a directory" in err
    assert "Traceback" not in err
    assert run.returncode == 3


def test_the_shim_puts_a_large_result_aside_and_the_keeper_keeps_it(container: Container) -> None:
    record = container.home / "record"
    shim = Path(keep.__file__).with_name("shim.py")
    (container.work / "fn.p").write_bytes(pickle.dumps((operator.mul, ("y", 100_000), {})))
    command = [sys.executable, str(shim), "--serialized_fn_file", "fn.p"]
    run = container.start_command(command, FAIRING_RESULT=str(record), FAIRING_RESULT_LIMIT="4096")
    (entry,) = container.index()
    assert entry["path"] is None
    kept = json.loads(container.ask("send", "0", "0"))
    assert kept["returned"] == "y" * 100_000
    told = json.loads(record.read_bytes())
    assert told["kept"] == {"size": entry["size"], "sha256": entry["sha256"]}
    assert "was not fetched" in told["lost"]
    container.ask("release")
    run.communicate(timeout=20)
    assert run.returncode == 0


def test_a_small_result_needs_nobody(container: Container) -> None:
    record = container.home / "record"
    (container.work / "fn.p").write_bytes(pickle.dumps((operator.mul, ("y", 1), {})))
    command = [sys.executable, str(Path(keep.__file__).with_name("shim.py"))]
    run = container.start_command([*command, "--serialized_fn_file", "fn.p"],
                                  FAIRING_RESULT=str(record),
                                  FAIRING_RESULT_LIMIT="4096")  # fmt: skip
    assert run.communicate(timeout=20)[0] == STARTS
    assert json.loads(record.read_bytes())["returned"] == "y"
