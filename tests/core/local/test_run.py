"""What a program finds when it runs, and how its end is told."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

import pytest

from fairing_core import errors
from fairing_core.local import locks
from fairing_core.types import RunStatus
from tests.core.local.harness import Local, env_patch, file_of, output_of, python, text_of


def test_a_program_that_ends_well_succeeds(local: Local) -> None:
    run = local.submit("print('trained')")
    assert run.wait(30) is RunStatus.SUCCEEDED
    assert run.outcome().exit_code == 0
    assert text_of(run) == "trained\n"


def test_an_exit_code_is_kept(local: Local) -> None:
    run = local.submit("raise SystemExit(7)")
    assert run.wait(30) is RunStatus.FAILED
    assert run.outcome().exit_code == 7


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_kept_as_128_and_its_number(local: Local, number: signal.Signals) -> None:
    run = local.submit(f"import os; os.kill(os.getpid(), {int(number)})")
    assert run.wait(30) is RunStatus.FAILED
    outcome = run.outcome()
    assert outcome.exit_code == 128 + number
    assert outcome.reason == f"killed by {number.name}"


def test_start_and_end_are_kept(local: Local) -> None:
    before = datetime.now(UTC)
    run = local.submit("pass")
    run.wait(30)
    assert run.started is not None
    assert run.ended is not None
    assert before < run.created < run.started < run.ended < datetime.now(UTC)


def test_a_traceback_is_in_the_outcome(local: Local) -> None:
    run = local.submit("raise ValueError('too small')")
    failure = run.exception(30)
    assert failure is not None
    assert "ValueError: too small" in str(failure)
    assert failure.returncode == 1


def test_an_outcome_before_the_end_is_an_error(local: Local) -> None:
    run = local.execute("sleep", "60")
    with pytest.raises(errors.RunError, match="still running"):
        run.outcome()


def test_a_wait_that_is_too_short_names_the_status(local: Local) -> None:
    run = local.execute("sleep", "60")
    with pytest.raises(errors.WaitTimeout) as caught:
        run.wait(0.05)
    assert caught.value.status == "running"


def test_an_unknown_command_fails_with_127(local: Local) -> None:
    run = local.execute("no-such-command", "x")
    assert run.wait(30) is RunStatus.FAILED
    outcome = run.outcome()
    assert (outcome.exit_code, outcome.reason) == (127, "command not found: no-such-command")
    assert text_of(run) == "fairing: command not found: no-such-command\n"


def test_a_file_that_is_no_program_fails_with_126(local: Local) -> None:
    built = local.build(file_of("/app/data.csv", b"1,2\n"))
    run = local.deploy(built, ("/app/data.csv",))
    assert run.wait(30) is RunStatus.FAILED
    assert run.outcome().exit_code == 126
    assert "no permission" in text_of(run)


def test_an_executable_file_runs_by_its_first_line(local: Local) -> None:
    built = local.build(file_of("/app/go.sh", b"#!/bin/sh\necho gone\n", 0o755))
    run = local.deploy(built, ("/app/go.sh",))
    assert run.wait(30) is RunStatus.SUCCEEDED
    assert text_of(run) == "gone\n"


@pytest.mark.parametrize("name", ["python", "python3"])
def test_python_is_the_interpreter_that_submits(local: Local, name: str) -> None:
    run = local.execute(name, "-c", "import sys; print(sys.executable)")
    run.wait(30)
    assert text_of(run) == f"{sys.executable}\n"


def test_the_program_starts_in_app(local: Local) -> None:
    run = local.submit("import os; print(os.getcwd(), open('main.py').read()[:6])")
    run.wait(30)
    assert text_of(run) == f"{local.folder(run) / 'app'} import\n"


def test_a_workdir_that_no_file_is_in_is_made(local: Local) -> None:
    run = local.execute("pwd", workdir="/app/out/deep")
    run.wait(30)
    assert text_of(run) == f"{local.folder(run) / 'app/out/deep'}\n"


def test_a_workdir_outside_app_is_refused(local: Local) -> None:
    with pytest.raises(errors.InvalidDestination, match="/srv"):
        local.execute("pwd", workdir="/srv")


def test_paths_in_the_command_are_mapped_and_arguments_are_not(local: Local) -> None:
    code = "import sys; print(sys.argv[1:])"
    command = ("python", "/app/main.py", "/app", "/app/x/y", "/apple", "--at=/app/x", "/app/../etc")
    run = local.submit(code, "/app/x", command=command)
    run.wait(30)
    app = str(local.folder(run) / "app")
    expected = [app, f"{app}/x/y", "/apple", "--at=/app/x", "/app/../etc", "/app/x"]
    assert text_of(run) == f"{expected}\n"


def test_no_shell_looks_at_arguments(local: Local) -> None:
    run = local.execute("echo", "$HOME", "`id`", "$(id)", "a  b", "*", args=("; id", "$$"))
    run.wait(30)
    assert text_of(run) == "$HOME `id` $(id) a  b * ; id $$\n"


def test_standard_input_is_empty(local: Local) -> None:
    run = local.submit("import sys; print(repr(sys.stdin.read()))")
    run.wait(30)
    assert text_of(run) == "''\n"


def test_the_program_has_a_session_and_signals_of_its_own(local: Local) -> None:
    code = """
import os, signal
ignored = [n for n in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}
           if signal.getsignal(n) == signal.SIG_IGN]
print(os.getsid(0) == os.getpgid(0) == os.getpid(), ignored, signal.pthread_sigmask(0, []))
"""
    run = local.submit(code)
    run.wait(30)
    assert text_of(run) == "True [] set()\n"


@pytest.mark.parametrize("start", ["", "setsid "])
def test_what_the_program_leaves_running_is_killed(local: Local, start: str) -> None:
    if start and sys.platform != "linux":
        pytest.skip("only Linux lets the supervisor adopt what leaves the program's group")
    code = "import fcntl, time; f = open('left', 'w'); fcntl.flock(f, 2); print(1); time.sleep(600)"
    script = f'{start}"$1" left.py & while ! test -s "$0"; do sleep 0.01; done'
    built = local.build(file_of("/app/left.py", code.encode()))
    run = local.deploy(built, ("sh", "-c", script, "../log", sys.executable))
    assert run.wait(30) is RunStatus.SUCCEEDED
    assert text_of(run) == "1\n"
    assert not locks.is_held(local.folder(run) / "app" / "left")


def test_a_result_record_comes_back(local: Local) -> None:
    code = "import os; open(os.environ['FAIRING_RESULT'], 'w').write('{\"returned\": [4]}')"
    run = local.submit(code, returns=True)
    assert run.result(30) == [4]


def test_a_run_that_returns_nothing_is_given_no_place_for_it(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRING_RESULT", "/of/another/run")
    run = local.submit("import os; print(os.environ.get('FAIRING_RESULT'))")
    assert run.result(30) is None
    assert text_of(run) == "None\n"


def test_the_environment_is_the_users_and_the_runs(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "1")
    monkeypatch.setenv("CHANGED", "1")
    patches = (env_patch({"CHANGED": "2"}), env_patch({"CHANGED": "3", "NEW": ""}))
    code = "import os; print([os.environ.get(n) for n in ('MINE', 'CHANGED', 'NEW', %r)])"
    run = local.submit(code % "FAIRING_RUNTIME", patches=patches)
    run.wait(30)
    assert text_of(run) == "['1', '3', '', '1']\n"


def test_nothing_else_is_added_to_the_environment(local: Local) -> None:
    code = """
import sys
from pathlib import Path
from tests.core.local.harness import Local, text_of
local = Local(Path(sys.argv[1]))
run = local.execute("/usr/bin/env")
run.wait(30)
print(text_of(run), end="")
"""
    out = output_of(python(code, str(local.root), env={"PATH": os.environ["PATH"], "A": "ä"}))
    lines = [line for line in out.splitlines() if not line.startswith("COVERAGE")]
    names = {line.partition("=")[0] for line in lines}
    # LC_CTYPE is what Python itself sets in the C locale (PEP 538), for the submitter as well.
    assert names - {"LC_CTYPE"} == {
        "PATH",
        "A",
        "PYTHONPATH",
        "FAIRING_RUNTIME",
        "PYTHONUNBUFFERED",
    }
    assert "A=ä" in lines


def test_lc_ctype_stays_unset(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    run = local.execute("/usr/bin/env")
    run.wait(30)
    assert "LC_CTYPE" not in text_of(run)


def test_secrets_of_the_environment_are_in_no_file(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-of-the-user")
    run = local.submit("pass", patches=(env_patch({"KEY": "s3cret-of-a-patch"}),))
    run.wait(30)
    files = [path for path in local.folder(run).rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"run.json", "state.json", "log", "main.py"}
    assert not [path for path in files if b"s3cret" in path.read_bytes()]


def test_others_can_look_at_nothing(local: Local) -> None:
    run = local.submit("pass")
    assert local.folder(run).stat().st_mode & 0o777 == 0o700
    assert local.root.stat().st_mode & 0o777 == 0o700


def test_the_record_says_what_was_asked_for(local: Local) -> None:
    run = local.submit("pass", "a", "b", name="told")
    record = json.loads((local.folder(run) / "run.json").read_bytes())
    assert record["schema"] == 1
    assert (record["name"], record["uid"]) == ("told", run.uid)
    assert (record["command"], record["args"]) == (["python", "/app/main.py"], ["a", "b"])
    assert (record["workdir"], record["returns"]) == ("/app", False)


def test_no_zombie_stays_in_the_submitting_process(local: Local) -> None:
    local.submit("pass").wait(30)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
