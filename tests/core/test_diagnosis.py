"""What the end of a program says of its cause."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairing_core import TrainJob, errors
from fairing_core.diagnosis import of_program
from fairing_core.types import Diagnosis, Outcome

TRACEBACK = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n    x\n'


def script(last: str, code: int = 1) -> Diagnosis:
    return of_program("t", Outcome(code, tail=TRACEBACK + last + "\n"))


def function(kind: str, message: str) -> Diagnosis:
    raised = {"type": kind, "message": message, "traceback": TRACEBACK + f"{kind}: {message}\n"}
    return of_program("t", Outcome(1, record=json.dumps({"raised": raised}).encode()))


def test_a_module_that_this_python_has_is_named_as_its_requirement() -> None:
    found = script("ModuleNotFoundError: No module named 'yaml.nodes'")
    assert found.kind == "import"
    assert "put PyYAML==" in found.next


def test_a_module_beside_the_user_is_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").touch()
    monkeypatch.chdir(tmp_path)
    found = function("ModuleNotFoundError", "No module named 'mine_alone'")
    assert (
        found.next
        == "let it travel: input_files=['mine_alone.py'], or fairing run -i mine_alone.py"
    )


def test_a_module_of_nobody_may_be_either() -> None:
    found = script("ModuleNotFoundError: No module named 'torch_nope'")
    assert "if torch_nope is a package" in found.next
    assert "input_files=['torch_nope.py']" in found.next


@pytest.mark.parametrize(
    ("said", "kind", "cure"),
    [
        ("[Errno 2] No such file or directory: 'data/x.csv'", "missing-file", "-i data/x.csv"),
        ("[Errno 2] No such file or directory: '/nope/x'", "missing-file", "relative"),
        ("[Errno 2] No such file or directory: '/etc/passwd'", "missing-file", "output_map="),
    ],
)
def test_a_file_that_did_not_travel(said: str, kind: str, cure: str) -> None:
    for found in (script(f"FileNotFoundError: {said}"), function("FileNotFoundError", said)):
        assert found.kind == kind
        assert cure in found.next


def test_a_library_of_the_system_and_a_place_that_is_not_the_users() -> None:
    library = "libGL.so.1: cannot open shared object file: No such file or directory"
    assert "libGL.so.1" in script(f"ImportError: {library}").next
    found = script("PermissionError: [Errno 13] Permission denied: '/app/model.pkl'")
    assert found.kind == "not-writable"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (3, "exit code 3"),
        (139, "exit code 139: signal SIGSEGV ended it"),
        (255, "exit code 255"),
        (None, "it ended, and nobody saw its exit code"),
    ],
)
def test_an_exit_code_is_the_cause_where_no_more_is_known(code: int | None, cause: str) -> None:
    found = of_program("t", Outcome(code, tail="a\nb\n"))
    assert (found.kind, found.cause) == ("exit-code", cause)
    assert found.evidence == ("the end of its log:", "a", "b")
    assert found.next == "fairing logs t"


def test_words_like_a_cause_in_a_log_are_none() -> None:
    said = "ModuleNotFoundError: No module named 'x'"
    handled = of_program("t", Outcome(1, tail=f"{said}\n{TRACEBACK}  went on\n"))
    assert handled.kind == "exit-code"
    assert script(said, code=2).kind == "exit-code"


def test_the_text_is_cause_evidence_and_next_step() -> None:
    found = Diagnosis("late", "it is late", evidence=("a", "b"), next="wait")
    assert str(found) == "it is late\n  a\n  b\nnext: wait"
    assert str(Diagnosis("late", "it is late")) == "it is late"


def test_an_exception_carries_what_why_says() -> None:
    def train() -> None:
        open("data/x.csv", encoding="utf-8").close()

    handle = TrainJob(train, backend="local").submit()
    failure = handle.exception(60)
    assert isinstance(failure, errors.RunFailed)
    assert handle.why() is not None
    assert str(handle.why()) in str(failure)
    assert "next: let it travel" in str(failure)
    assert failure.type == "FileNotFoundError"


def test_a_run_that_goes_well_has_no_cause() -> None:
    handle = TrainJob(len, backend="local", args=("four",)).submit()
    handle.wait(60)
    assert handle.why() is None
