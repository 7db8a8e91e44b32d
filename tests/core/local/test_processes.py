"""Runs and the processes that submit them, which come and go."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from fairing_core.types import RunStatus
from tests.core.local.harness import Local, output_of, python, text_of

SUBMIT = """
import os, sys
from pathlib import Path
from tests.core.local.harness import Local, file_of
local = Local(Path(sys.argv[1]))
"""


def test_a_run_outlives_the_process_that_submitted_it(local: Local) -> None:
    code = (
        SUBMIT
        + """
run = local.execute("sh", "-c", "while ! test -e go; do sleep 0.01; done; echo done; exit 4")
print(run.uri, flush=True)
os.kill(os.getpid(), 9)
"""
    )
    process = python(code, str(local.root))
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, err
    run = local.runs.get(out.strip())
    assert run.status is RunStatus.RUNNING
    (local.folder(run) / "app" / "go").touch()
    assert run.wait(30) is RunStatus.FAILED
    assert run.outcome().exit_code == 4
    assert text_of(run) == "done\n"


def test_another_process_picks_a_run_up_by_its_uri(local: Local) -> None:
    run = local.submit("print('hello'); raise SystemExit(2)")
    code = (
        SUBMIT
        + """
run = local.runs.get(sys.argv[2])
print(run.wait(30), run.outcome().exit_code, "".join(run.logs(follow=True)), end="")
"""
    )
    assert output_of(python(code, str(local.root), run.uri)) == "failed 2 hello\n"


def test_a_submitter_killed_after_its_build_leaves_what_the_next_build_removes(
    local: Local,
) -> None:
    code = (
        SUBMIT
        + """
print(local.build(file_of("/app/x", b"x" * 100)).image, flush=True)
os.kill(os.getpid(), 9)
"""
    )
    out, _ = python(code, str(local.root)).communicate(timeout=30)
    left = out.strip().rpartition("/")[2]
    assert local.leftovers() == [left]
    built = local.build()
    assert local.leftovers() == [built.image.rpartition("/")[2]]


def test_a_build_of_a_living_process_is_not_removed(local: Local) -> None:
    code = (
        SUBMIT
        + """
built = local.build()
print("built", flush=True)
while not (local.root / "go").exists():
    pass
print(local.deploy(built, ("true",)).wait(30))
"""
    )
    process = python(code, str(local.root))
    assert process.stdout is not None
    assert process.stdout.readline() == "built\n"
    local.runs.sweep()
    (local.root / "go").touch()
    assert output_of(process) == "succeeded\n"


def test_a_process_that_ends_removes_what_it_built_and_did_not_submit(local: Local) -> None:
    output_of(python(SUBMIT + "local.build()", str(local.root)))
    assert local.leftovers() == []


def test_a_forked_child_does_not_keep_a_run_alive(local: Local) -> None:
    code = (
        SUBMIT
        + """
built = local.build()
reader, writer = os.pipe()
if os.fork() == 0:
    os.close(writer)
    os.read(reader, 1)  # lives until its parent is gone
    os._exit(0)
os.close(reader)
run = local.deploy(built, ("sleep", "60"))
state = local.state(run)
os.kill(state["supervisor"], 9)
os.kill(state["program"], 9)
print(run.wait(20), run.outcome().reason)
"""
    )
    out = output_of(python(code, str(local.root)))
    assert out == "failed the supervisor was killed; exit code unknown\n"


def test_a_build_of_another_process_is_not_taken(local: Local) -> None:
    code = (
        SUBMIT
        + """
print(local.build().image, flush=True)
sys.stdin.read()
while not (local.root / "go").exists():
    pass
"""
    )
    process = python(code, str(local.root))
    assert process.stdout is not None
    image = process.stdout.readline().strip()
    taker = (
        SUBMIT
        + """
from fairing_core.errors import StateError
from fairing_core.types import Built
try:
    local.deploy(Built(sys.argv[2]), ("true",))
except StateError as exc:
    print("another process" in str(exc))
"""
    )
    assert output_of(python(taker, str(local.root), image)) == "True\n"
    (local.root / "go").touch()
    output_of(process)


def test_twenty_submits_at_once_all_run(local: Local) -> None:
    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(lambda n: local.submit(f"print({n})"), range(20)))
        assert list(pool.map(lambda run: run.wait(60), runs)) == [RunStatus.SUCCEEDED] * 20
    assert [text_of(run) for run in runs] == [f"{n}\n" for n in range(20)]
    assert len(local.leftovers()) == 20


def test_submits_for_one_name_give_one_run(local: Local) -> None:
    def submit(_: int) -> str:
        try:
            return local.execute("true", name="one").name
        except ValueError:
            return "taken"

    with ThreadPoolExecutor(8) as pool:
        names = sorted(pool.map(submit, range(8)))
    assert names == ["one", *["taken"] * 7]
    assert local.leftovers() == ["one"]
