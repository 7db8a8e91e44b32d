"""What runs leave behind comes home from a real cluster, whatever happens on the way."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fairing_core import RunHandle, TrainJob, errors, get_run
from fairing_core.cli.entry import load_entry
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.rights import KEEPING
from fairing_core.types import RunStatus
from tests.core.cluster.conftest import Lab, Wire, as_somebody
from tests.core.cluster.test_program_real import FAIRING, program

pytestmark = pytest.mark.real

SCRIPT = """
import os, sys
os.makedirs("runs/deep", exist_ok=True)
open("model.pkl", "wb").write(b"0123456789" * int(sys.argv[1]))
open("runs/deep/loss.txt", "w").write("0.5")
print("first")
print("last, without an end", end="")
sys.exit(int(sys.argv[2]))
"""
OUTPUTS = ["model.pkl", "runs/"]


@pytest.fixture
def script(project: Path) -> Path:
    path = project / "train.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def submitted(
    entry: Any, size: int = 100, code: int = 0, outputs: Any = OUTPUTS, **options: Any
) -> RunHandle:
    args = () if callable(entry) else (str(size), str(code))
    return TrainJob(entry, backend="kubernetes", args=args, outputs=outputs,
                    deployer_options=options).submit()  # fmt: skip


def function(project: Path, body: str) -> Any:
    (project / "fn.py").write_text(f"def train():\n    {body}\n", encoding="utf-8")
    return load_entry("fn.py::train", ())[0]


@pytest.mark.parametrize("code", [0, 3])
def test_outputs_come_home_after_a_success_and_after_a_failure(script: Path, code: int) -> None:
    run = submitted(script, code=code)
    model, loss = run.artifacts(90)
    assert (model.path, loss.path) == ("model.pkl", "runs/deep/loss.txt")
    content = b"0123456789" * 100
    assert model.content.read_bytes() == content
    assert model.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert loss.content.read_text() == "0.5"
    assert run.status is (RunStatus.FAILED if code else RunStatus.SUCCEEDED)
    assert run.outcome().exit_code == code
    assert "".join(run.logs()) == "first\nlast, without an end"
    assert "".join(run.logs(tail=1)) == "last, without an end"
    assert "".join(run.logs(follow=True)) == "first\nlast, without an end"
    assert list(get_run(run.uri).artifacts()) == [model, loss]
    run.delete()
    assert not model.content.exists()


def test_the_command_line_fetches_lists_and_copies(script: Path) -> None:
    words = (FAIRING, "run", script, "-b", "kubernetes", "--name", "one", "--output", "model.pkl")
    done = program(script.parent, *words, "--", "100", "3", exit_code=3)
    assert done.stdout == "first\nlast, without an end"
    assert "fetched 1 output, 1.0 kB" in done.stderr
    done = program(script.parent, FAIRING, "artifacts", "one", "-b", "kubernetes", "--get")
    assert done.stdout.startswith("model.pkl\t1000\tsha256:")
    assert (script.parent / "one" / "model.pkl").stat().st_size == 1000
    again = (FAIRING, "artifacts", "one", "-b", "kubernetes", "--get", "one")
    program(script.parent, *again)
    (script.parent / "one" / "model.pkl").write_text("mine")
    done = program(script.parent, *again, exit_code=errors.InputError.exit_code)
    assert "is there already, and is another file" in done.stderr
    assert (script.parent / "one" / "model.pkl").read_text() == "mine"


@pytest.mark.parametrize("size", [4_000, 5_000, 5_000_000])
def test_a_result_of_any_size_comes_home(project: Path, size: int) -> None:
    run = submitted(function(project, f"return {{'x': 'y' * {size}}}"), outputs=())
    assert run.result(90) == {"x": "y" * size}
    assert get_run(run.uri).result() == {"x": "y" * size}


def test_a_large_pickle_and_outputs_of_a_function(project: Path) -> None:
    body = "open('a.txt', 'w').write('a'); return set(range(100_000))"
    run = submitted(function(project, body), outputs=["a.txt"])
    assert run.result(90, unpickle=True) == set(range(100_000))
    assert [one.path for one in run.artifacts()] == ["a.txt"]


def test_what_a_failed_function_wrote_comes_home(project: Path) -> None:
    run = submitted(function(project, "open('a.txt', 'w').write('a'); 1 / 0"), outputs=["a.txt"])
    with pytest.raises(errors.RunFailed, match="division by zero"):
        run.result(90)
    assert [one.content.read_text() for one in run.artifacts()] == ["a"]


def end_unfetched(run: RunHandle, seconds: float = 60) -> RunStatus:
    deadline = time.monotonic() + seconds
    while not (status := run.status).is_terminal:  # looking fetches nothing
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return status


def test_a_run_in_time_is_not_too_late_for_being_kept(script: Path) -> None:
    run = submitted(script, timeout=25)
    assert end_unfetched(run) is RunStatus.SUCCEEDED
    assert run.why() is None


def test_nobody_comes_in_time(project: Path, script: Path) -> None:
    run = submitted(script, keep=1)
    late = submitted(function(project, "return 'y' * 5_000"), outputs=(), keep=0.5)
    for one in (run, late):
        end_unfetched(one)
    with pytest.raises(errors.ResultUnavailable, match="keep=3600"):
        run.artifacts()
    with pytest.raises(errors.ResultUnavailable, match="was not fetched while its pod was kept"):
        late.result()
    assert run.status is RunStatus.SUCCEEDED


def test_a_transfer_that_breaks_off_again_and_again_is_resumed(
    script: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    execute = Cluster.execute

    def heard(self: Cluster, path: str, command: Any, **more: Any) -> Any:
        if "send" in command:
            asked.append(int(command[-1]))
        return execute(self, path, command, **more)

    monkeypatch.setattr(Cluster, "execute", heard)
    monkeypatch.setenv("KUBECONFIG", str(wire.config))
    run = submitted(script, size=20_000_000)  # 200 MB
    over = threading.Event()

    def cutting() -> None:
        while not over.wait(0.3):
            if asked:
                wire.break_off()
            if len(asked) > 4:
                return

    cutter = threading.Thread(target=cutting)
    cutter.start()
    try:
        model, _ = run.artifacts(300)
    finally:
        over.set()
        cutter.join()
    assert model.content.stat().st_size == 200_000_000
    assert len(asked) > 4
    assert len([offset for offset in asked if offset > 0]) > 1


def test_a_client_that_is_killed_leaves_it_to_the_next_one(script: Path) -> None:
    words = (FAIRING, "run", script, "-b", "kubernetes", "--output", "model.pkl", "--detach",
             "--", "100", "0")  # fmt: skip
    uri = program(script.parent, *words).stdout.strip()
    time.sleep(3)
    done = program(script.parent, FAIRING, "artifacts", uri, "--json")
    (found,) = json.loads(done.stdout)
    assert (found["path"], found["size"]) == ("model.pkl", 1000)


def until_kept(run: RunHandle) -> None:
    deadline = time.monotonic() + 60
    while "last" not in "".join(run.logs()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_two_clients_on_two_machines_both_see_the_runs_end(script: Path) -> None:
    words = (FAIRING, "run", script, "-b", "kubernetes", "--output", "model.pkl", "--detach",
             "--", "8000000", "0")  # fmt: skip
    uri = program(script.parent, *words).stdout.strip()
    until_kept(get_run(uri))

    def client(name: str) -> subprocess.Popen[str]:
        own = {**os.environ, "FAIRING_ARTIFACTS": str(script.parent / name)}
        return subprocess.Popen([FAIRING, "wait", uri], cwd=script.parent, env=own, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip

    first, second = client("one"), client("two")
    for one in (first, second):
        out, err = one.communicate(timeout=100)
        assert (out, one.returncode) == ("succeeded\n", 0), err
    sizes = [one.stat().st_size for one in script.parent.glob("*/*/*/files/model.pkl")]
    assert sizes
    assert set(sizes) == {80_000_000}


def test_what_was_not_there_is_named_in_the_log_and_with_the_artifacts(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = submitted(script, outputs=["model.pkl", "gone/*.txt"])
    assert [one.path for one in run.artifacts(90)] == ["model.pkl"]
    told = "the output 'gone/*.txt' is left out: there is no such file"
    assert f"fairing: {told}\n" in list(run.logs())
    assert f"{run.name}: {told}" in caplog.messages
    none = submitted(script, outputs=["gone"])
    assert none.artifacts(90) == []
    assert f"nothing of what {none.name} was to leave behind is home: gone" in caplog.messages


def test_a_pod_that_is_evicted_while_it_is_kept(
    script: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = "open('/big/x', 'wb').write(bytes(9_000_000)); open('a', 'w').write('a'); print('last')"
    script.write_text(code)
    run = submitted(script, outputs=["a"], volumes={"/big": {"empty_dir": "1Mi"}})
    until_kept(run)
    assert end_unfetched(run, 120) is RunStatus.SUCCEEDED  # as its program had
    assert "Evicted" in [event.name for event in run.events()]
    # Its log may have gone with it.
    with contextlib.suppress(errors.ResultUnavailable):
        assert run.artifacts() == []
        assert f"nothing of what {run.name} was to leave behind is home: a" in caplog.text


def test_a_run_whose_large_outputs_are_kept_is_cancelled_at_once(script: Path) -> None:
    run = submitted(script, size=30_000_000)
    until_kept(run)
    began = time.monotonic()
    run.cancel()
    assert time.monotonic() - began < 20
    assert run.status is RunStatus.CANCELLED


def test_a_run_that_is_kept_can_be_cancelled_and_deleted(script: Path, lab: Lab) -> None:
    run = submitted(script)
    until_kept(run)
    assert str(run.status) == "running"
    run.cancel()
    assert str(run.status) == "cancelled"
    run.delete()
    assert list(lab.runs.list()) == []


def test_restricted_pods_with_nothing_to_write_on_but_memory(
    script: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    lab.bench.kubectl("label", "namespace", lab.namespace, label)
    monkeypatch.setenv("FAIRING_BASE_IMAGE", lab.user_image)
    text = "open('/dev/shm/out.txt', 'w').write('out')"
    script.write_text(text)
    run = submitted(script, outputs=["/dev/shm/out.txt"],
                    security_context={"readOnlyRootFilesystem": True})  # fmt: skip
    (found,) = run.artifacts(90)
    assert (found.path, found.content.read_text()) == ("dev/shm/out.txt", "out")


def test_each_of_several_pods_has_its_own(script: Path) -> None:
    run = submitted(script, outputs=["model.pkl"], runs=2)
    found = run.artifacts(120)
    assert len(found) == 2
    assert len({one.path.partition("/")[0] for one in found}) == 2
    assert all(one.path.endswith("/model.pkl") for one in found)


def test_each_attempt_is_kept_and_the_last_one_counts(script: Path) -> None:
    script.write_text(
        "import os, sys\nopen('host', 'w').write(os.environ['HOSTNAME'])\nprint('try')\nsys.exit(1)"
    )
    run = submitted(script, outputs=["host"], retries=1)
    assert "".join(run.logs(follow=True)) == "try\ntry\n"
    (found,) = run.artifacts(120)
    pods = found.content.parents[2]
    assert len(list(pods.glob("*/files/host"))) == 2
    assert run.status is RunStatus.FAILED


@pytest.mark.parametrize("right", KEEPING, ids=lambda one: f"{one.verb} {one.resource}")
def test_who_may_not_run_commands_in_pods_is_told(
    script: Path, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: Any
) -> None:
    config = as_somebody(lab, tmp_path, pods_exec=right.verb).config
    monkeypatch.setenv("KUBECONFIG", str(config))
    job = TrainJob(script, backend="kubernetes", args=("1", "0"), outputs=["model.pkl"])
    (found,) = [check for check in job.submit(dry_run=True).checks if check.ok is False]
    assert found.detail.startswith(f"you may not {right.verb} pods/exec")
    run = job.submit()
    with pytest.raises(errors.ClusterDenied) as caught:
        run.artifacts(60)
    assert (caught.value.verb, caught.value.resource) == (right.verb, "pods/exec")
    run.delete()


@pytest.mark.parametrize(("kind", "code", "options"), [
    ("out-of-memory", "x = bytearray(300_000_000)", {"resources": {"memory": "64Mi"}}),
    ("deadline", "import time; time.sleep(600)", {"timeout": 2}),
])  # fmt: skip
def test_what_the_cluster_ends_is_its_own_cause_under_the_keeper_too(
    script: Path, kind: str, code: str, options: Any
) -> None:
    script.write_text(f"open('a', 'w').write('a')\n{code}\n")
    run = submitted(script, outputs=["a"], **options)
    assert run.wait(90) is RunStatus.FAILED
    found = run.why()
    assert found
    assert found.kind == kind
    assert kind == "out-of-memory" or list(run.artifacts()) == []
