from __future__ import annotations

from pathlib import Path

from tests.core.cli.conftest import Fairing
from tests.core.preprocess.notebooks.made import markdown, write


def test_a_notebook_is_run_as_a_script_is(fairing: Fairing, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("value = 42")
    write(
        tmp_path / "train.ipynb",
        "%matplotlib inline\nimport sys, helper",
        "words = !printf 'a\\nb\\n'\nprint(words.s, helper.value, sys.argv[1:])",
    )
    done = fairing("run", "train.ipynb", "--", "--epochs", "3")
    assert (done.returncode, done.stdout) == (0, "a b 42 ['--epochs', '3']\n"), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helper.py", "state", "train.ipynb"]


def test_a_notebook_that_fails_ends_as_its_program_and_names_the_cell(
    fairing: Fairing, tmp_path: Path
) -> None:
    write(tmp_path / "train.ipynb", markdown(), "import sys", "sys.exit(7)")
    assert fairing("run", "train.ipynb").returncode == 7
    write(tmp_path / "train.ipynb", markdown(), "x = 1\nnonsense")
    done = fairing("run", "train.ipynb")
    assert done.returncode == 1
    assert 'File "train.ipynb, cell 2", line 2, in <module>\n    nonsense\n' in done.stdout


def test_a_cell_that_can_not_run_is_told_before_anything_does(
    fairing: Fairing, tmp_path: Path
) -> None:
    write(tmp_path / "train.ipynb", "print('started')", "%run other.ipynb", "x = = 1")
    done = fairing("run", "train.ipynb")
    assert (done.returncode, done.stdout) == (118, "")
    assert "train.ipynb, cell 2, line 1: %run has no place in a job" in done.stderr
    assert "train.ipynb, cell 3, line 1: SyntaxError: invalid syntax: x = = 1" in done.stderr


def test_what_is_no_notebook_is_told_by_name(fairing: Fairing, tmp_path: Path) -> None:
    (tmp_path / "train.ipynb").write_text("print(1)")
    done = fairing("run", "train.ipynb")
    assert done.returncode == 117
    assert "train.ipynb is no notebook: it is not JSON" in done.stderr


def test_a_notebook_is_not_built_as_a_script(fairing: Fairing, tmp_path: Path) -> None:
    write(tmp_path / "train.ipynb", "%run other.ipynb")
    done = fairing("build", "train.ipynb", "--output", "image")
    assert done.returncode == 118
    assert "train.ipynb, cell 1, line 1: %run has no place in a job" in done.stderr
