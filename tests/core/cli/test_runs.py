from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from fairing_core import errors
from tests.core.cli.conftest import Fairing

PROGRAM = """
import sys

def train(epochs=1, *, name="x"):
    print("training", epochs, name)
    return {"epochs": epochs, "name": name}

def fail():
    raise ValueError("no data")

if __name__ == "__main__":
    print("argv", sys.argv[1:])
    sys.exit(len(sys.argv) - 1)
"""


@pytest.fixture(autouse=True)
def train_py(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(dedent(PROGRAM))
    return path


def test_run_shows_the_output_and_ends_with_the_runs_exit_code(fairing: Fairing) -> None:
    done = fairing("run", "train.py", "--", "--epochs", "3 $HOME")
    assert done.stdout == "argv ['--epochs', '3 $HOME']\n"
    assert done.returncode == 2
    assert "started fairing://local/default/job/train-" in done.stderr
    assert "failed (exit code 2)" in done.stderr


def test_run_takes_a_function_and_its_arguments_as_json_or_text(fairing: Fairing) -> None:
    done = fairing("run", "train.py::train", "--", "[1, 2]", "name=plain text")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "training [1, 2] plain text\n"
    assert "returned {'epochs': [1, 2], 'name': 'plain text'}" in done.stderr


def test_run_prints_json_alone_on_stdout(fairing: Fairing) -> None:
    done = fairing("run", "train.py::train", "--json", "--", "epochs=4")
    told = json.loads(done.stdout)
    assert told["result"] == {"epochs": 4, "name": "x"}
    assert (told["status"], told["exit_code"]) == ("succeeded", 0)
    assert "training 4 x" in done.stderr


def test_a_function_that_raises_shows_its_traceback(fairing: Fairing) -> None:
    done = fairing("run", "train.py::fail")
    assert done.returncode == 1
    assert "ValueError: no data" in done.stdout
    assert 'File "' in done.stdout
    assert "train.py" in done.stdout


def test_detach_prints_the_uri_that_the_other_commands_take(fairing: Fairing) -> None:
    uri = fairing("run", "train.py", "--detach", "--", "a").stdout.strip()
    assert uri.startswith("fairing://local/default/job/train-")
    waited = fairing("wait", uri)
    assert (waited.stdout, waited.returncode) == ("failed\n", 1)
    name = uri.rpartition("/")[2].partition("?")[0]
    assert fairing("logs", name).stdout == "argv ['a']\n"
    assert fairing("logs", "-f", uri).stdout == "argv ['a']\n"
    fields = dict(line.split("\t") for line in fairing("status", name).stdout.splitlines())
    assert (fields["status"], fields["exit_code"], fields["uri"]) == ("failed", "1", uri)
    rows = [line.split("\t") for line in fairing("ps").stdout.splitlines()]
    assert [row[:3] for row in rows] == [[name, "failed", "1"]]
    assert json.loads(fairing("ps", "--json").stdout)[0]["uri"] == uri
    assert fairing("rm", name).returncode == 0
    gone = fairing("status", name)
    assert gone.returncode == errors.RunNotFound.exit_code
    assert fairing("ps").stdout == ""


def test_cancel_stops_a_run_and_rm_wants_force_before(fairing: Fairing, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(600)")
    uri = fairing("run", "slow.py", "-d").stdout.strip()
    refused = fairing("rm", uri)
    assert refused.returncode == 2
    assert "still running" in refused.stderr
    assert fairing("wait", uri, "--timeout", "0.1").returncode == errors.WaitTimeout.exit_code
    cancelled = fairing("cancel", uri)
    assert cancelled.stdout.endswith("\tcancelled\n")
    assert fairing("wait", uri).returncode == 128 + signal.SIGTERM
    second = fairing("run", "slow.py", "-d").stdout.strip()
    assert fairing("rm", "--force", uri, second).returncode == 0
    assert fairing("ps").stdout == ""


def test_env_input_and_name_reach_the_run(fairing: Fairing, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import os, pathlib; print(os.environ['WORD'], pathlib.Path('data/a.txt').read_text())"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("inside")
    done = fairing("run", "look.py", "-e", "WORD=a=b $x", "-i", "data", "--name", "mine")
    assert done.stdout == "a=b $x inside\n"
    assert "mine succeeded" in done.stderr


def test_backend_options_are_settings(fairing: Fairing, tmp_path: Path) -> None:
    done = fairing("run", "train.py", "-b", "local", "-o", f"root={tmp_path / 'other'}", "-d")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "other").iterdir())
    wrong = fairing("run", "train.py", "-b", "local", "-o", "rot=x")
    assert wrong.returncode == errors.UnknownOption.exit_code
    assert "did you mean 'root'" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("missing.py",), errors.MissingInput, "missing.py"),
        (("train.py::trian",), errors.MissingInput, "did you mean 'train'"),
        (("missing.py::train",), errors.MissingInput, "missing.py"),
        (("train.py:train",), errors.MissingInput, "two colons: train.py::train"),
        (("train.py", "-i", "nothing*"), errors.MissingInput, "nothing*"),
        (("train.py", "-i", "/etc/hostname"), errors.OutsideRoot, "output_map"),
        (("empty.py",), errors.EmptyEntry, "empty.py"),
        (("train.py", "-b", "loacl"), errors.UnknownBackend, "did you mean 'local'"),
        (("train.py", "-b", "kubernetes"), errors.NoCluster, "backend='local'"),
        (("broken.py::f",), errors.InputError, "ZeroDivisionError"),
        (("train.sh",), errors.InputError, "train.sh"),
        (("train.py", "--deploy", "env=3"), errors.SettingsError, "'3' is no None or mapping"),
        (
            ("train.py", "--preprocessor-option", "output_map={'a'"),
            errors.SettingsError,
            "is no None or mapping",
        ),
        (("train.py", "-e", "A" * 131_080 + "=1"), errors.InvalidArgument, "131,071"),
    ],
)
def test_bad_input_is_told_in_one_text_with_an_exit_code_of_its_own(
    fairing: Fairing,
    tmp_path: Path,
    arguments: tuple[str, ...],
    error: type[errors.FairingError],
    text: str,
) -> None:
    (tmp_path / "empty.py").touch()
    (tmp_path / "broken.py").write_text("1 / 0")
    done = fairing("run", *arguments) if len(str(arguments)) < 131_000 else None
    if done is None:  # the kernel refuses the command line itself: so ask in process
        from fairing_core import k8s_utils

        with pytest.raises(error, match=text):
            k8s_utils.add_env({"A" * 131_080: "1"})
        return
    assert done.returncode == error.exit_code, done.stderr
    assert done.stderr.startswith("fairing: ")
    assert text in done.stderr
    assert "Traceback" not in done.stderr or error is errors.InputError
    assert done.stdout == ""


def test_importing_the_file_for_its_function_starts_no_run(
    fairing: Fairing, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "import fairing_core as fairing\n"
        "def f():\n    return 1\n"
        "fairing.config.fn(f)()\n"
        "fairing.TrainJob(f).submit()\n"
    )
    done = fairing("run", "own.py::f")
    assert done.returncode == 0, done.stderr
    assert len(fairing("ps").stdout.splitlines()) == 1


def test_inside_a_run_the_command_refuses(fairing: Fairing, environ: dict[str, str]) -> None:
    environ["FAIRING_RUNTIME"] = "1"
    done = fairing("run", "train.py")
    assert done.returncode == errors.Unsupported.exit_code
    assert "inside a run already" in done.stderr


def test_ctrl_c_detaches_and_the_run_goes_on(
    fairing: Fairing, tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "print('up', flush=True)\n"
        f"while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.02)\n"
        "print('done')\n"
    )
    command = [str(Path(sys.executable).with_name("fairing")), "run", "slow.py"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A job in the background of a script ignores it, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "detached" in told
    name = fairing("ps").stdout.split("\t")[0]
    assert f"fairing logs -f {name}" in told
    (tmp_path / "go").touch()
    assert fairing("logs", "-f", name).stdout == "up\ndone\n"
    assert fairing("wait", name).returncode == 0


def test_a_closed_pipe_ends_logs_quietly(
    fairing: Fairing, tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "long.py").write_text("for n in range(200_000): print('line', n)")
    name = json.loads(fairing("run", "long.py", "--json").stdout)["name"]
    line = f"{Path(sys.executable).with_name('fairing')} logs {name} | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("line 0\n", "", 1)


def test_in_a_terminal_ps_is_a_table_with_a_head_and_colours(
    fairing: Fairing, tmp_path: Path, environ: dict[str, str]
) -> None:
    fairing("run", "train.py")
    outer, inner = pty.openpty()
    subprocess.run(
        [Path(sys.executable).with_name("fairing"), "ps"],
        env={**environ, "TERM": "xterm-256color", "COLUMNS": "120", "NO_COLOR": ""},
        stdout=inner, check=True, timeout=60,
    )  # fmt: skip
    os.close(inner)
    shown = os.read(outer, 100_000).decode()
    os.close(outer)
    assert "NAME" in shown
    assert "EXIT CODE" in shown
    assert "\x1b[32msucceeded" in shown


def test_in_a_terminal_a_fault_is_red_but_for_who_wants_no_colours(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    told = []
    for wanted in ("", "1"):
        outer, inner = pty.openpty()
        subprocess.run(
            [Path(sys.executable).with_name("fairing"), "status", "nope"],
            env={**environ, "TERM": "xterm-256color", "NO_COLOR": wanted},
            stderr=inner, check=False, timeout=60,
        )  # fmt: skip
        os.close(inner)
        told.append(os.read(outer, 100_000).decode())
        os.close(outer)
    assert told[0].startswith("\x1b[31mfairing: there is no run 'nope'")
    assert told[1].startswith("fairing: there is no run 'nope'")
    assert "\x1b" not in told[1]


@pytest.mark.parametrize("command", ["", "run", "logs", "wait", "plugins"])
def test_help_teaches(fairing: Fairing, command: str) -> None:
    done = fairing(*command.split(), "--help")
    assert done.returncode == 0
    assert "usage: fairing" in done.stdout
    if command in ("", "run"):
        assert "fairing run train.py::train -- epochs=3" in done.stdout


def test_a_misspelt_command_or_option_ends_with_2(fairing: Fairing) -> None:
    assert fairing("rnu").returncode == 2
    assert fairing("run").returncode == 2
    assert fairing("run", "train.py", "--bakcend", "x").returncode == 2


def test_a_number_is_what_its_option_wants(fairing: Fairing) -> None:
    options = ("--deploy", "job_name=310", "--deploy", "timeout=60", "--deploy", "runs=2")
    done = fairing("run", "train.py", *options)
    assert done.returncode == 0, done.stderr
    assert "job/310?uid=" in done.stderr
    refused = fairing("run", "train.py", "--deploy", "runs=2.5")
    assert refused.returncode == errors.SettingsError.exit_code
    assert "'2.5' is no None or int" in refused.stderr


def test_an_option_of_the_program_s_own_is_told_where_to_stand(fairing: Fairing) -> None:
    done = fairing("run", "train.py", "--epochs", "3")
    assert done.returncode == 2
    assert "no '--epochs' here (the program's own options come after '--')" in done.stderr


def test_only_what_has_to_be_given_is_missed(fairing: Fairing) -> None:
    assert "required: FILE[::FUNCTION] (see" in fairing("run").stderr


@pytest.mark.parametrize("command", ["wait", "artifacts"])
@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_a_time_that_is_none_is_refused(fairing: Fairing, command: str, seconds: str) -> None:
    done = fairing(command, "train-x", f"--timeout={seconds}")
    assert done.returncode == 2
    assert f"{seconds} must be 0 or more seconds" in done.stderr


def test_a_run_that_left_nothing_behind_is_told_of(fairing: Fairing) -> None:
    fairing("run", "train.py", "--name", "a", "--output", "modle.pkl")
    done = fairing("artifacts", "a")
    assert done.stdout == ""
    assert done.stderr == (
        "fairing: a: the output 'modle.pkl' is left out: there is no such file\n"
        "a left nothing behind that it was asked to keep\n"
    )
    assert fairing("artifacts", "a", "--json").stdout == "[]\n"
    assert fairing("run", "train.py", "-e", "NOVALUE").returncode == 2


def test_why_says_the_cause_and_what_to_do(fairing: Fairing) -> None:
    assert fairing("run", "train.py", "--name", "bad", "--", "one").returncode == 1
    done = fairing("why", "bad")
    assert done.returncode == 0
    assert done.stdout.startswith(
        "bad failed: exit code 1\n  the end of its log:\n  argv ['one']\n"
    )
    assert done.stdout.endswith("next: fairing logs bad\n")
    told = json.loads(fairing("why", "bad", "--json").stdout)
    assert told["diagnosis"]["kind"] == "exit-code"


def test_why_says_so_where_nothing_is_wrong(fairing: Fairing) -> None:
    assert fairing("run", "train.py", "--name", "good").returncode == 0
    assert "nothing is wrong" in fairing("why", "good").stdout
    assert json.loads(fairing("why", "good", "--json").stdout)["diagnosis"] is None


def test_plan_prints_yaml_on_stdout_and_the_report_on_stderr(
    fairing: Fairing, tmp_path: Path
) -> None:
    import yaml

    done = fairing("plan", "train.py", "--name", "x", "--", "--epochs", "3")
    (manifest,) = yaml.safe_load_all(done.stdout)
    assert (manifest["name"], manifest["args"]) == ("x", ["--epochs", "3"])
    assert "/app/train.py" in done.stderr
    assert json.loads(fairing("ps", "--json").stdout) == []


def test_plan_in_json_has_files_checks_and_objects(fairing: Fairing) -> None:
    found = json.loads(fairing("plan", "train.py", "--json").stdout)
    assert found["manifests"][0]["kind"] == "LocalRun"
    assert {"destination", "size", "mode", "reason"} == set(found["files"][0])
    assert all(check["ok"] for check in found["checks"])
    assert found["is_built"] is False


def test_plan_ends_with_1_where_something_stands_in_the_way(
    fairing: Fairing, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-distribution\n")
    done = fairing("plan", "train.py", "-i", "requirements.txt")
    assert done.returncode == 1
    assert "FAIL  requirements" in done.stderr
