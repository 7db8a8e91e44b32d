"""`up`, `down` and `status`, with parts that are small Python programs: no root, no Go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import lifecycle, parts
from tests.bench.bench import Bench, BenchError
from tests.bench.part import Part

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the bench needs Linux's /proc")

SLEEPER = "import time; print('at work', flush=True); time.sleep(600)"


def part_of(name: str, *needs: str, program: str = SLEEPER) -> Part:
    def start(bench: Bench, name: str) -> None:
        bench.processes.start(name, [sys.executable, "-c", program], part=name)

    def ready(bench: Bench, name: str) -> str | None:
        return None if "at work" in bench.processes.tail(name) else "it has not said a word"

    return Part(name=name, about="", start=start, ready=ready, needs=needs, patience=20)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "cache", tmp_path / "run")
    yield bench
    strays = bench.processes.strays()
    bench.processes.end_strays()
    assert not strays, "the test left processes"


def pids(bench: Bench) -> list[int]:
    return [record.pid for record in bench.processes.of()]


def crash(bench: Bench) -> None:
    for pid in pids(bench):
        os.kill(pid, signal.SIGKILL)
    bench.wait(lambda: "alive" if alive(bench) else None, seconds=10, what="the crash")


def alive(bench: Bench) -> list[str]:
    return [record.name for record in bench.processes.of() if record.alive]


def test_up_twice_is_one_bench(own: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = [part_of("one"), part_of("two", "one")]
    lifecycle.up(own, wanted)
    before = pids(own)
    lifecycle.up(own, wanted)
    assert pids(own) == before
    assert "already up: one, two" in capsys.readouterr().err
    lifecycle.down(own, wanted)


def test_two_commands_at_once_give_one_bench(own: Bench) -> None:
    wanted = [part_of("one"), part_of("two")]
    threads = [threading.Thread(target=lifecycle.up, args=(own, wanted)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(own.processes.strays()) == 2
    lifecycle.down(own, wanted)


def test_down_leaves_no_process_and_no_file(own: Bench) -> None:
    child = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time;"
    program = f"{child} time.sleep(600)'], start_new_session=True)\n{SLEEPER}"
    lifecycle.up(own, [part_of("parent", program=program)])
    assert len(own.processes.strays()) == 2
    lifecycle.down(own, [part_of("parent")])
    assert not own.processes.strays()
    assert list(own.run.parent.iterdir()) == [own.cache]


def test_down_is_nothing_where_nothing_is_up(own: Bench) -> None:
    lifecycle.down(own, [part_of("one")])
    assert not own.run.exists()


def test_a_part_starts_after_what_it_needs(own: Bench) -> None:
    order: list[str] = []

    def noting(part: Part) -> Part:
        def start(bench: Bench, name: str) -> None:
            order.append(name)
            part.start(bench, name)

        return replace(part, start=start)

    wanted = [noting(part) for part in (part_of("first"), part_of("second", "first"))]
    lifecycle.up(own, wanted)
    assert order == ["first", "second"]
    lifecycle.down(own, wanted)


def test_parts_start_side_by_side(own: Bench) -> None:
    both = threading.Barrier(2)

    def start(bench: Bench, name: str) -> None:
        both.wait(timeout=20)  # passes only if the other one is starting, too

    wanted = [replace(part_of(name), start=start, ready=lambda *_: None) for name in "ab"]
    lifecycle.up(own, wanted)
    lifecycle.down(own, wanted)


def test_up_after_a_crash_cleans_up_and_starts(own: Bench) -> None:
    wanted = [part_of("one"), part_of("two", "one")]
    lifecycle.up(own, wanted)
    left = own.folder("one") / "left-behind"
    left.touch()
    crash(own)
    lifecycle.up(own, wanted)
    assert not left.exists()
    assert alive(own) == ["one", "two"]
    lifecycle.down(own, wanted)


def test_what_needs_a_part_that_fell_is_started_anew(own: Bench) -> None:
    wanted = [part_of("one"), part_of("two", "one"), part_of("three")]
    lifecycle.up(own, wanted)
    before = {record.name: record.pid for record in own.processes.of()}
    os.kill(before["one"], signal.SIGKILL)
    own.wait(lambda: "alive" if "one" in alive(own) else None, seconds=10, what="its end")
    lifecycle.up(own, wanted)
    after = {record.name: record.pid for record in own.processes.of()}
    assert [name for name in before if before[name] == after[name]] == ["three"]
    lifecycle.down(own, wanted)


def test_so_is_one_that_was_not_asked_for(own: Bench) -> None:
    one, two = part_of("one"), part_of("two", "one")
    lifecycle.up(own, [one, two])
    crash(own)
    lifecycle.up(own, [one], [one, two, part_of("never-up", "one")])
    assert alive(own) == ["one", "two"]
    lifecycle.down(own, [one, two])


def test_down_goes_on_where_a_part_can_not_be_stopped(own: Bench) -> None:
    def stop(bench: Bench, name: str) -> None:
        raise BenchError("it clings")

    one, two = part_of("one"), replace(part_of("two"), stop=stop)
    lifecycle.up(own, [one, two])
    with pytest.raises(BenchError, match="two could not be stopped: it clings"):
        lifecycle.down(own, [one, two])
    assert alive(own) == []
    lifecycle.down(own, [one, part_of("two")])
    assert not own.run.exists()


def test_a_part_that_dies_is_named_with_the_end_of_its_log(own: Bench) -> None:
    part = part_of("weak", program="import sys; sys.exit('no disk left')")
    with pytest.raises(BenchError, match=r"weak \(process \d+\) ended") as fault:
        lifecycle.up(own, [part, part_of("well")])
    assert "no disk left" in str(fault.value)
    state, why = lifecycle.status(own, part)
    assert state == "broken"
    assert "no disk left" in why
    assert lifecycle.status(own, part_of("well")) == ("up", "")
    lifecycle.down(own, [part, part_of("well")])


def test_a_part_that_is_never_ready_says_what_it_waits_for(own: Bench) -> None:
    part = replace(part_of("slow", program="import time; time.sleep(600)"), patience=0.3)
    with pytest.raises(BenchError, match="not ready after 0 s: it has not said a word"):
        lifecycle.up(own, [part])
    lifecycle.down(own, [part])


def test_a_pid_that_is_someone_elses_now_is_left_alone(own: Bench) -> None:
    lifecycle.up(own, [part_of("one")])
    crash(own)
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.DEVNULL) as other:
        file = own.run / "processes" / "one.json"
        file.write_text(file.read_text().replace(str(pids(own)[0]), str(other.pid)))
        lifecycle.down(own, [part_of("one")])
        time.sleep(0.1)
        assert other.poll() is None
        other.kill()


def test_every_part_needs_parts_that_there_are() -> None:
    names = [part.name for part in parts.PARTS]
    assert len(set(names)) == len(names)
    assert {need for part in parts.PARTS for need in part.needs} <= set(names)


def test_named_gives_needs_first() -> None:
    for part in parts.PARTS:
        found = [each.name for each in parts.named((part.name,))]
        assert found[-1] == part.name
        assert set(part.needs) <= set(found[:-1])
