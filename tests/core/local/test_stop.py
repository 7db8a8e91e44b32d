"""Cancelling and deleting, with and without a living supervisor."""

from __future__ import annotations

import os
import pickle
import signal

import pytest

from fairing_core import errors
from fairing_core.local import locks
from fairing_core.local.handle import LocalRun
from fairing_core.types import RunStatus
from tests.core.local.harness import Local, output_of, python, text_of, until

# Waits for the file `go`, so that a test decides when it ends.
PATIENT = """
import os, time
print("ready", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)
raise SystemExit(5)
"""

# Ignores SIGTERM, with a child that does so too; each holds a lock while it lives.
STUBBORN = """
import fcntl, os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
name = "child" if os.fork() == 0 else "parent"
lock = open(name, "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print(name, "ready", flush=True)
time.sleep(600)
"""


def test_cancel_ends_the_run(local: Local) -> None:
    run = local.execute("sleep", "60")
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert run.outcome().exit_code == 128 + signal.SIGTERM
    assert run.outcome().reason == "killed by SIGTERM"


def test_cancel_lets_the_program_say_goodbye(local: Local) -> None:
    code = """
import signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(600)
"""
    run = local.submit(code)
    until(lambda: "ready" in text_of(run), "the program's start")
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert run.outcome().exit_code == 0
    assert text_of(run) == "ready\nsaved\n"


def test_cancel_kills_the_whole_tree_after_the_grace_time(local: Local) -> None:
    local.grace = 0.2
    run = local.submit(STUBBORN)
    until(lambda: text_of(run).count("ready") == 2, "the start of both")
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert run.outcome().exit_code == 128 + signal.SIGKILL
    app = local.folder(run) / "app"
    assert not locks.is_held(app / "parent")
    assert not locks.is_held(app / "child")


def test_a_grace_time_of_nothing_kills_at_once(local: Local) -> None:
    local.grace = 0.0
    run = local.submit(STUBBORN)
    until(lambda: text_of(run).count("ready") == 2, "the start of both")
    run.cancel()
    assert run.outcome().exit_code == 128 + signal.SIGKILL


def test_cancel_leaves_an_ended_run_as_it_is(local: Local) -> None:
    run = local.submit("raise SystemExit(3)")
    run.wait(30)
    run.cancel()
    assert run.status is RunStatus.FAILED
    assert run.outcome().exit_code == 3


def test_cancel_of_a_run_that_is_gone_says_so(local: Local) -> None:
    run = local.submit("pass")
    run.delete()
    with pytest.raises(errors.RunNotFound, match=run.name):
        run.cancel()


def test_delete_removes_every_trace(local: Local) -> None:
    run = local.submit("pass")
    run.wait(30)
    run.delete()
    assert local.leftovers() == []
    with pytest.raises(errors.RunNotFound) as caught:
        _ = run.status
    assert caught.value.uri == run.uri


def test_delete_stops_the_run_first(local: Local) -> None:
    run = local.execute("sleep", "60")
    program = local.state(run)["program"]
    run.delete()
    assert local.leftovers() == []
    with pytest.raises(ProcessLookupError):
        os.killpg(program, 0)


def test_delete_twice_is_no_error(local: Local) -> None:
    run = local.submit("pass")
    run.delete()
    run.delete()
    assert "deleted" in repr(run)


def test_delete_removes_folders_that_nobody_may_enter(local: Local) -> None:
    run = local.submit("import os; os.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('a', 0o500)")
    run.wait(30)
    run.delete()
    assert local.leftovers() == []


def test_two_processes_that_delete_one_run_both_succeed(local: Local) -> None:
    code = """
import pickle, sys
run = pickle.loads(bytes.fromhex(sys.argv[1]))
print("ready", flush=True)
run.delete()
"""
    for _ in range(3):
        run = local.execute("sleep", "60")
        both = [python(code, pickle.dumps(run).hex()) for _ in range(2)]
        for process in both:
            output_of(process)
        assert local.leftovers() == []


def test_a_program_outlives_its_killed_supervisor(local: Local) -> None:
    run = local.submit(PATIENT)
    until(lambda: "ready" in text_of(run), "the program's start")
    os.kill(local.state(run)["supervisor"], signal.SIGKILL)
    lock = local.folder(run) / "lock"
    until(lambda: not locks.is_held(lock), "the supervisor's end")
    assert run.status is RunStatus.RUNNING
    (local.folder(run) / "app" / "go").touch()
    assert run.wait(30) is RunStatus.FAILED
    outcome = run.outcome()
    assert outcome.exit_code is None
    assert outcome.reason == "the supervisor was killed; exit code unknown"
    assert outcome.tail == "ready\n"


def test_looking_at_a_lost_run_changes_nothing(local: Local) -> None:
    run = _orphan(local, PATIENT)
    (local.folder(run) / "app" / "go").touch()
    run.wait(30)
    before = sorted(path.name for path in local.folder(run).iterdir())
    assert run.status is run.status is RunStatus.FAILED
    assert local.state(run)["state"] == "running"
    assert sorted(path.name for path in local.folder(run).iterdir()) == before


def test_cancel_ends_a_program_without_supervisor(local: Local) -> None:
    local.grace = 0.2
    run = _orphan(local, STUBBORN)
    run.cancel()
    assert run.status is RunStatus.CANCELLED
    assert run.outcome().exit_code is None
    app = local.folder(run) / "app"
    until(lambda: not locks.is_held(app / "parent"), "the program's end")
    until(lambda: not locks.is_held(app / "child"), "its child's end")


def test_cancel_ends_what_a_program_without_supervisor_started(local: Local) -> None:
    # The child has closed all that it inherited, so no lock tells of it.
    code = """
import subprocess, sys
child = "import fcntl, signal, sys, time; signal.signal(15, signal.SIG_IGN);" \\
        "f = open('child', 'w'); fcntl.flock(f, 2); print('ready', flush=True); time.sleep(600)"
subprocess.run([sys.executable, "-c", child], close_fds=True)
"""
    local.grace = 5.0
    run = _orphan(local, code)
    run.cancel()
    until(lambda: not locks.is_held(local.folder(run) / "app" / "child"), "the child's end")


def test_delete_ends_and_removes_a_program_without_supervisor(local: Local) -> None:
    local.grace = 0.2
    run = _orphan(local, STUBBORN)
    program = local.state(run)["program"]
    run.delete()
    assert local.leftovers() == []
    until(lambda: not _group_lives(program), "the end of the program's group")


def test_a_supervisor_that_hangs_is_killed_in_the_end(local: Local) -> None:
    local.grace = 0.1
    run = local.execute("sleep", "60")
    os.kill(local.state(run)["supervisor"], signal.SIGSTOP)
    run.cancel()
    assert run.status is RunStatus.CANCELLED


def test_a_run_of_another_machine_is_not_signalled(local: Local) -> None:
    run = local.execute("sleep", "60")
    state = local.folder(run) / "state.json"
    true = state.read_bytes()
    place = local.state(run)["place"].encode()
    assert place
    state.write_bytes(true.replace(place, b"another boot"))
    with pytest.raises(errors.StateError, match="another machine"):
        run.delete()
    state.write_bytes(true)
    assert run.status is RunStatus.RUNNING


def test_a_program_that_keeps_writing_does_not_stop_a_delete(local: Local) -> None:
    code = """
import itertools, pathlib
print("ready", flush=True)
for n in itertools.count():
    pathlib.Path(f"{n % 100}.txt").write_text("x")
"""
    run = local.submit(code)
    until(lambda: "ready" in text_of(run), "the program's start")
    run.delete()
    assert local.leftovers() == []


def _orphan(local: Local, code: str) -> LocalRun:
    """A run whose program is ready and whose supervisor was killed."""
    run = local.submit(code)
    wanted = 2 if code is STUBBORN else 1
    until(lambda: text_of(run).count("ready") == wanted, "the program's start")
    os.kill(local.state(run)["supervisor"], signal.SIGKILL)
    until(lambda: not locks.is_held(local.folder(run) / "lock"), "the supervisor's end")
    return run


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
