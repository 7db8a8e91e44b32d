"""Whole notebooks, by real kernels: on this machine, as the image's program runs them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fairing_core import RunHandle, TrainJob, errors
from fairing_core.runtime import notebook_run
from fairing_core.types import RunStatus
from tests.core.cli.conftest import Fairing, environ, fairing
from tests.core.preprocess.notebooks.made import code, markdown, write

__all__ = ["environ", "fairing"]

OUTPUT = "fairing_output_notebook.ipynb"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAIRING_LOCAL__ROOT", str(tmp_path / "state"))
    return tmp_path


def submitted(*cells: Any, options: Any = None, **more: Any) -> RunHandle:
    write(Path("train.ipynb"), *cells, **more)
    return TrainJob(
        "train.ipynb",
        backend="local",
        preprocessor="full_notebook",
        preprocessor_options=options,
    ).submit()


def executed(run: RunHandle) -> list[Any]:
    """The cells of the notebook that came home, without those that papermill adds."""
    (artifact,) = run.artifacts(60)
    assert artifact.path == OUTPUT
    cells = json.loads(artifact.content.read_bytes())["cells"]
    return [one for one in cells if notebook_run._ADDED[1] not in one["metadata"].get("tags", ())]


def shown(cell: Any) -> str:
    return "".join(
        "".join(output.get("text") or output["data"]["text/plain"]) for output in cell["outputs"]
    )


def test_a_notebook_runs_whole_and_comes_home_with_its_outputs() -> None:
    Path("helper.py").write_text("value = 42")
    run = submitted(
        markdown("# Ünïcode"),
        code("epochs = 1\nname = ''", "parameters"),
        "import helper, sys\nprint(name, 'naïve 🙂')",
        "print('to stderr', file=sys.stderr)\nepochs + helper.value",
        "words = !printf 'a\\nb\\n'\nwords.s",
        "import fairing_core\nrun = fairing_core.TrainJob('train.ipynb').submit()\nassert not run",
        options={"parameters": {"epochs": 3, "name": "é"}},
    )
    assert run.wait(60) is RunStatus.SUCCEEDED, "".join(run.logs())
    assert "".join(run.logs()) == "é naïve 🙂\nto stderr\n45\n'a b'\n"
    text, _, given, said, value, words, _ = executed(run)
    assert text["source"] == ["# Ünïcode"]
    assert given["metadata"]["tags"] == ["injected-parameters"]
    assert (shown(said), shown(value), shown(words)) == ("é naïve 🙂\n", "to stderr\n45", "'a b'")


def test_what_cells_print_is_in_the_log_while_they_run() -> None:
    run = submitted("import time\nprint('going', flush=True)\ntime.sleep(60)")
    for piece in run.logs(follow=True):
        assert piece == "going\n"
        assert run.status is RunStatus.RUNNING
        break
    run.cancel()
    assert run.outcome().exit_code == 143
    (cell,) = executed(run)
    assert cell["outputs"][0]["text"] == ["going\n"]
    assert "stopped by SIGTERM; the notebook is written as far as it came" in "".join(run.logs())


def test_a_failing_cell_ends_the_run_with_its_traceback_and_the_notebook_comes_home() -> None:
    run = submitted(
        markdown(),
        code("rate = 1", "parameters"),
        "print('before')",
        "def f():\n    raise ValueError('nö')\nf()",
        "print('after')",
        options={"parameters": {"rate": 2}},
    )
    assert run.wait(60) is RunStatus.FAILED
    assert run.outcome().exit_code == 1
    log = "".join(run.logs())
    assert log.startswith("before\n----")
    assert log.count("----> 2     raise ValueError('nö')") == 1
    assert "\x1b" not in log
    assert log.endswith("\nValueError: nö\nfairing: train.ipynb, cell 4 failed: ValueError: nö\n")
    *_, before, failed, after = executed(run)
    assert shown(before) == "before\n"
    assert failed["outputs"][0]["evalue"] == "nö"
    assert (after["source"], after["outputs"]) == (["print('after')"], [])


@pytest.mark.parametrize(("code_", "exit_code"), [("0", 0), ("3", 3), ("'text'", 1), ("256", 1)])
def test_a_cell_that_exits_ends_the_run_so(code_: str, exit_code: int) -> None:
    run = submitted(f"import sys\nsys.exit({code_})", "print('after')")
    run.wait(60)
    assert run.outcome().exit_code == exit_code
    assert "after" not in "".join(run.logs())
    assert len(executed(run)) == 2


def test_a_kernel_that_dies_is_told_with_its_cell() -> None:
    run = submitted("print('before')", "import os\nos.kill(os.getpid(), 9)")
    assert run.wait(60) is RunStatus.FAILED
    assert run.outcome().exit_code == 1
    assert "fairing: train.ipynb, cell 2: DeadKernelError: Kernel died; " in "".join(run.logs())
    assert shown(executed(run)[0]) == "before\n"


def test_a_kernel_that_is_not_there_gives_way_to_the_only_one_of_its_language() -> None:
    spec = {"kernelspec": {"name": "conda-env-é", "language": "python", "display_name": "x"}}
    run = submitted("print(1)", metadata=spec)
    assert run.wait(60) is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == (
        "fairing: the notebook's kernel 'conda-env-é' is not in this image; 'python3', the image's "
        "only one for python, runs it\n1\n"
    )


def test_a_kernel_that_was_named_has_to_be_there() -> None:
    run = submitted("print(1)", options={"kernel_name": "other"})
    assert run.wait(60) is RunStatus.FAILED
    assert run.outcome().exit_code == notebook_run.UNAVAILABLE
    assert "has no kernel 'other' (it has: python3); name one" in "".join(run.logs())
    assert run.artifacts() == []


def test_a_home_that_is_not_there_and_braces_in_names_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    write(Path("a {b} [c].ipynb"), "import os\nprint(sorted(os.listdir('.')))")
    run = TrainJob(
        "a {b} [c].ipynb",
        backend="local",
        preprocessor="full_notebook",
        preprocessor_options={"output_file": "out/{b} [c].ipynb"},
        outputs=["out/"],
    ).submit()
    assert run.wait(60) is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == "['a {b} [c].ipynb', 'fairing_core', 'out']\n"
    assert [one.path for one in run.artifacts()] == ["out/{b} [c].ipynb"]


def test_the_command_line_runs_it_and_fetches_it(fairing: Fairing, here: Path) -> None:
    write(here / "train.ipynb", code("n = 1", "parameters"), "print(n)\nassert n < 5")
    words = ("run", "train.ipynb", "--preprocessor", "full_notebook", "--name", "one")
    done = fairing(*words, "--preprocessor-option", 'parameters={"n": 5}')
    assert done.returncode == 1
    assert done.stdout.startswith("5\n")
    assert "train.ipynb, cell 2 failed: AssertionError" in done.stdout
    fairing("artifacts", "one", "--get", "home")
    assert "n = 5" in (here / "home" / OUTPUT).read_text()


def test_papermill_is_missed_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def nothing(name: str) -> Any:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(errors.MissingRequirements, match="lacks papermill") as caught:
        submitted("print(1)")
    assert caught.value.lacking == ("papermill",)
    assert not list(Path("state").glob("train-*"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("ModuleNotFoundError: No module named 'papermill'", "; put papermill"),
        ("ImportError: libstdc++.so.6: cannot open shared object file", "\n"),
    ],
)
def test_an_image_that_can_not_load_papermill_says_what_to_do(
    here: Path, fault: str, told: str
) -> None:
    kind, _, text = fault.partition(": ")
    (here / "papermill.py").write_text(f"raise {kind}({text!r})")
    write(here / "train.ipynb", "print(1)")
    run = TrainJob(
        "train.ipynb", backend="local", preprocessor="full_notebook",
        preprocessor_options={"command": ["env", f"PYTHONPATH={here}", "python3"]},
    ).submit()  # fmt: skip
    assert run.wait(60) is RunStatus.FAILED
    assert run.outcome().exit_code == notebook_run.UNAVAILABLE
    assert "".join(run.logs()).startswith(f"fairing: this image can't run a notebook: {text}{told}")


# --- which kernel ---------------------------------------------------------------------------------

TWO = {"python3": "python", "gpu": "Python", "ir": "R"}


def metadata(name: str, language: str = "") -> dict[str, Any]:
    return {"kernelspec": {"name": name, **({"language": language} if language else {})}}


def test_the_kernel_that_was_named_comes_first_then_the_notebooks() -> None:
    assert notebook_run.chosen("gpu", metadata("python3"), TWO) == "gpu"
    assert notebook_run.chosen(None, metadata("python3"), TWO) == "python3"


def test_else_the_only_one_of_its_language_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    assert notebook_run.chosen(None, metadata("other", "R"), TWO) == "ir"
    one = {"python3": "python", "ir": "R"}
    assert notebook_run.chosen(None, {"language_info": {"name": "ipython"}}, one) == "python3"
    assert notebook_run.chosen(None, {}, one) == "python3"
    assert (
        "it names no kernel; 'python3', the image's only one for python" in capfd.readouterr().err
    )


@pytest.mark.parametrize(
    ("found", "kernels", "told"),
    [
        (
            metadata("other"),
            TWO,
            "kernel is 'other', and this image has these kernels: gpu, ir, py",
        ),
        ({}, {}, r"in python, and .* kernels: none; .* \(for Python: install ipykernel\)"),
        (metadata("x", "Julia"), TWO, "'x', and .*: gpu, ir, python3; name one"),
    ],
)
def test_else_what_there_is_is_told(found: Any, kernels: Any, told: str) -> None:
    with pytest.raises(LookupError, match=told):
        notebook_run.chosen(None, found, kernels)


def test_the_cell_is_counted_as_the_user_does(here: Path) -> None:
    injected = code("n = 2", "injected-parameters")
    failed = code("1 / 0", outputs=[{"output_type": "error", "ename": "E", "evalue": ""}])
    marker = {**markdown(), "metadata": {"tags": ["papermill-error-cell-tag"]}}
    wanted = {"notebook": "in.ipynb", "output": "out.ipynb"}
    write(here / "in.ipynb", "n = 1", "1 / 0")
    write(here / "out.ipynb", marker, code("n = 1"), injected, marker, failed)
    assert notebook_run._fault(wanted)[0] == 2
    write(here / "in.ipynb", "n = 1", injected, "1 / 0")
    assert notebook_run._fault(wanted)[0] == 3
    os.remove("out.ipynb")
    assert notebook_run._fault(wanted) == (0, None)
