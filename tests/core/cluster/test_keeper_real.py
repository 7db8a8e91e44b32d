"""Scripts under their keeper on a real cluster: where a log begins, how a program is stopped."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairing_core import RunHandle, TrainJob
from fairing_core.types import RunStatus

pytestmark = pytest.mark.real

GAP = "[fairing: lines may be missing here: the log was rotated before anybody had read it]\n"


def submitted(project: Path, code: str) -> RunHandle:
    (project / "train.py").write_text(code, encoding="utf-8")
    return TrainJob(project / "train.py", backend="kubernetes").submit()


def test_a_log_that_was_rotated_before_anybody_looked_begins_with_one_gap_line(
    project: Path,
) -> None:
    # The kubelet looks every 10 s whether a log has more than 16 MiB (tests/bench says so).
    run = submitted(
        project,
        "import time\n"
        "for n in range(130_000): print(f'{n:099}')\n"
        "time.sleep(22); print('late', flush=True)\n"
        "time.sleep(3); print('last', flush=True)\n",
    )
    deadline = time.monotonic() + 60
    while run.started is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(20)
    first, *following = run.logs(follow=True)
    assert first == GAP
    assert GAP not in following
    *numbers, late, last = following
    assert (late, last) == ("late\n", "last\n")
    found = [int(line) for line in numbers]
    assert found == list(range(130_000 - len(found), 130_000))
    assert run.wait(60) is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == "".join([first, *following])
    assert "".join(run.logs(tail=2)) == "late\nlast\n"


def test_a_log_that_is_whole_has_no_gap_line_and_every_byte(project: Path) -> None:
    run = submitted(
        project,
        "import sys\n"
        "for n in range(80_000): print(f'{n:07} ' + 'grüße 🌍 ' * 9)\n"
        "sys.stdout.write('no end')\n",
    )
    expected = "".join(f"{n:07} " + "grüße 🌍 " * 9 + "\n" for n in range(80_000)) + "no end"
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: "".join(run.logs(follow=True)), range(2)))
    assert both == [expected, expected]


def test_what_both_streams_say_is_there(project: Path) -> None:
    run = submitted(
        project,
        "import sys\n"
        "for n in range(2_000):\n"
        "    print(n, file=sys.stderr if n % 2 else sys.stdout)\n"
        "sys.exit('over')\n",
    )
    lines = "".join(run.logs(follow=True)).splitlines()
    assert sorted(lines) == sorted([*map(str, range(2_000)), "over"])
    assert run.wait(60) is RunStatus.FAILED


def test_a_script_ends_at_once_when_it_is_cancelled(project: Path) -> None:
    run = submitted(project, "import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    assert next(iter(run.logs(follow=True))) == "up\n"
    began = time.monotonic()
    run.cancel()
    assert time.monotonic() - began < 15  # the grace period has 30 s
    assert run.status is RunStatus.CANCELLED


def test_the_program_has_its_own_arguments_folder_and_modules(project: Path) -> None:
    (project / "json.py").write_text("MINE = True\n")
    run = submitted(
        project,
        "import json, os, sys\nprint(json.MINE, os.getcwd(), sys.argv, sys.path[0])\n"
        "print(sorted(name for name in os.environ if name.startswith('FAIRING')))\n",
    )
    told = "".join(run.logs(follow=True)).splitlines()
    assert told == ["True /app ['/app/train.py'] /app", "['FAIRING_RUNTIME']"]
