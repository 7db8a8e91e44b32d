from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import LocalBackend, RunStatus, Source, TrainJob, errors, get_run, k8s_utils
from fairing_core.jobs import as_source, folder_of
from fairing_core.names import random_name
from tests.core.preprocess.notebooks.made import markdown, write


class Trainer:
    def train(self) -> str:
        return "trained"


@pytest.fixture
def backend(tmp_path: Path) -> LocalBackend:
    return LocalBackend(root=tmp_path / "runs")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(len, "function"), (Trainer, "function"), (Trainer(), "function"), ("a.py", "script"),
     (Path("a.py"), "script"), ("a.ipynb", "notebook"), (lambda: 0, "function")],
)  # fmt: skip
def test_the_kind_of_source_is_guessed_from_the_entry(entry: Any, kind: str) -> None:
    assert as_source(entry).kind == kind


@pytest.mark.parametrize("entry", ["", "train", "train.sh", 3, None, b"train.py"])
def test_what_can_not_be_run_is_refused_when_the_job_is_made(entry: Any) -> None:
    with pytest.raises(errors.InputError, match="entry_point"):
        TrainJob(entry)


def test_a_notebook_runs_with_its_arguments_and_is_named_after_its_file(
    tmp_path: Path, backend: LocalBackend
) -> None:
    path = write(tmp_path / "Digits.ipynb", "import sys\nprint(sys.argv[1:])")
    run = TrainJob(path, args=["--epochs", "3"], backend=backend).submit()
    assert run.wait(60) is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == "['--epochs', '3']\n"
    assert run.name.startswith("digits-")


def test_a_notebook_that_fails_names_the_cell(tmp_path: Path, backend: LocalBackend) -> None:
    path = write(tmp_path / "a.ipynb", markdown(), "x = 0\n1 / x")
    run = TrainJob(path, backend=backend).submit()
    assert run.wait(60) is RunStatus.FAILED
    assert '  File "a.ipynb, cell 2", line 2, in <module>\n    1 / x\n' in "".join(run.logs())


def test_what_a_notebook_installs_has_to_be_here_where_it_runs_here(
    tmp_path: Path, backend: LocalBackend
) -> None:
    path = write(tmp_path / "a.ipynb", "!pip install no-such-package pluggy\nx = 1")
    with pytest.raises(errors.MissingRequirements) as caught:
        TrainJob(path, backend=backend).submit()
    assert caught.value.lacking == ("no-such-package",)


def test_a_plan_of_a_notebook_says_why_each_file_travels(
    tmp_path: Path, backend: LocalBackend
) -> None:
    (tmp_path / "helper.py").touch()
    path = write(tmp_path / "a.ipynb", "import helper\n!pip install pluggy")
    plan = TrainJob(path, backend=backend).submit(dry_run=True)
    reasons = {file.destination: file.reason for file in plan.context.files}
    assert reasons["/app/a.ipynb.py"] == "entry"
    assert reasons["/app/helper.py"] == "imported by a.ipynb, cell 1"
    assert reasons["/app/requirements.txt"] == "pip install in cell 1"


@pytest.mark.parametrize("entry", ["a.py", len])
def test_arguments_in_one_text_are_no_list_of_letters(entry: Any) -> None:
    with pytest.raises(errors.InputError, match=re.escape("args=['--epochs', '3']")):
        TrainJob(entry, args="--epochs 3")


def test_keyword_arguments_for_a_script_are_refused() -> None:
    with pytest.raises(errors.InputError, match="args="):
        TrainJob("train.py", kwargs={"a": 1})


@pytest.mark.parametrize("argument", [3, "a\0b", "x" * 131_072])
def test_an_argument_that_no_process_can_take_is_refused(
    argument: Any, tmp_path: Path, backend: LocalBackend
) -> None:
    script = tmp_path / "a.py"
    script.write_text("pass")
    with pytest.raises(errors.InvalidArgument, match=r"args\[0\]"):
        TrainJob(script, args=[argument], backend=backend).submit()


@pytest.mark.parametrize(
    ("entry", "slug"),
    [("Train_Model.py", "train-model"), (len, "len"), (lambda: 0, "lambda"), (Trainer, "trainer"),
     (functools.partial(len, "x"), "len"), (Trainer(), "trainer"), ("ж.py", "run")],
)  # fmt: skip
def test_a_fresh_name_is_a_dns_label_that_begins_as_the_entry(entry: Any, slug: str) -> None:
    assert re.fullmatch(rf"{slug}-[a-z2-9]{{8}}", random_name(as_source(entry).title))


def test_settings_are_looked_for_beside_the_entry(tmp_path: Path) -> None:
    assert folder_of(Source("script", tmp_path / "a.py")) == tmp_path
    assert folder_of(as_source(Trainer)) == Path(__file__).parent
    assert folder_of(as_source(len)) == Path.cwd()


def test_a_class_of_a_notebook_lives_in_the_working_directory(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    made = type("Made", (), {"__module__": "__main__", "train": lambda self, x: x + 1})
    assert folder_of(as_source(made)) == Path.cwd()
    assert TrainJob(made, kwargs={"x": 6}, backend=backend).submit().result(60) == 7


def test_a_class_with_train_runs(backend: LocalBackend) -> None:
    assert TrainJob(Trainer, backend=backend).submit().result(timeout=60) == "trained"


def test_the_callers_lists_are_left_as_they_are(tmp_path: Path, backend: LocalBackend) -> None:
    script = tmp_path / "a.py"
    script.write_text("print(open('data.txt').read())")
    data = tmp_path / "data.txt"
    data.write_text("42")
    inputs, mutators = [data], [k8s_utils.add_env({"A": "1"})]
    run = TrainJob(script, input_files=inputs, pod_spec_mutators=mutators, backend=backend).submit()
    assert run.wait(60) is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == "42\n"
    assert (inputs, len(mutators)) == ([data], 1)


def test_what_means_nothing_here_is_said(
    backend: LocalBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def own(manager: object, spec: object, namespace: str) -> None: ...

    run = TrainJob(
        len,
        "image",
        "registry",
        args=("x",),
        backend=backend,
        pod_spec_mutators=[k8s_utils.get_resource_mutator(cpu=1), own],
    ).submit()
    run.wait(60)
    for ignored in ("base_image", "registry", "resources", "own"):
        assert ignored in caplog.text


def test_a_second_submit_is_a_second_run(backend: LocalBackend) -> None:
    job = TrainJob(len, args=("four",), backend=backend)
    first, second = job.submit(), job.submit()
    assert first.uri != second.uri
    assert first.result(60) == second.result(60) == 4


def test_a_name_is_taken_or_refused(backend: LocalBackend) -> None:
    run = TrainJob(len, args=("four",), backend=backend, name="mine").submit()
    assert run.name == "mine"
    run.wait(60)
    with pytest.raises(errors.FairingError, match="mine"):
        TrainJob(len, args=("four",), backend=backend, name="mine").submit()


def test_nothing_happens_inside_a_run(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAIRING_RUNTIME", "1")
    assert not TrainJob(len, backend=backend).submit()
    assert not (tmp_path / "runs").exists()


def test_a_run_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "from fairing_core import TrainJob\n"
        "def slow():\n    time.sleep(0.5)\n    return 'done'\n"
        "print(TrainJob(slow).submit(), flush=True)\n"
    )
    script = tmp_path / "submit.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    run = get_run(done.stdout.strip())
    assert run.result(timeout=60) == "done"
    run.delete()


@pytest.mark.parametrize("uri", ["fairing://", "http://x/y", "fairing://local", "nothing-such"])
def test_a_uri_of_no_run_is_not_found(uri: str) -> None:
    with pytest.raises(errors.RunNotFound):
        get_run(uri)


def test_a_uri_of_an_unknown_backend_says_what_to_install() -> None:
    with pytest.raises(errors.UnknownBackend, match="no backend is called 'lcoal'"):
        get_run("fairing://lcoal/default/job/x?uid=x")


@pytest.mark.parametrize("name", ["Upper", "a b", "-a", "x" * 64, "../up"])
def test_a_name_that_is_no_dns_label_is_refused_before_anything_is_written(
    name: str, backend: LocalBackend, tmp_path: Path
) -> None:
    with pytest.raises(errors.InvalidArgument, match="can't name a run"):
        TrainJob(len, backend=backend, name=name).submit()
    assert not (tmp_path / "runs").exists()
