"""Which notebook runs, by what papermill, VS Code and the environment tell."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fairing_core as fairing
from fairing_core import errors
from fairing_core.preprocess.notebooks.current import current_notebook, is_notebook
from tests.core.preprocess.notebooks.kernels import kernel
from tests.core.preprocess.notebooks.made import write


@pytest.fixture
def connection(tmp_path: Path) -> Path:
    return tmp_path / "kernel-8a7b.json"


def test_a_program_with_ipykernel_imported_is_no_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses() -> str:
        raise RuntimeError("app not specified, and not in a running Kernel")

    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace(get_connection_info=refuses))
    assert not is_notebook()
    monkeypatch.delitem(sys.modules, "ipykernel")
    assert not is_notebook()
    with pytest.raises(errors.NotebookNotFound, match=r"no notebook's kernel.*notebook_file="):
        current_notebook()


def test_config_asks_for_the_name_where_no_notebook_runs() -> None:
    config = fairing.config.Config()
    config.set_preprocessor("notebook")
    with pytest.raises(errors.NotebookNotFound, match="notebook_file="):
        config.run()


def test_papermills_output_is_what_runs(
    tmp_path: Path, connection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "in.ipynb", "1")
    write(tmp_path / "out.ipynb", "1")
    said = {"PAPERMILL_INPUT_PATH": "in.ipynb", "PAPERMILL_OUTPUT_PATH": "out.ipynb"}
    kernel(monkeypatch, connection, names={**said, "__vsc_ipynb_file__": "in.ipynb"})
    assert current_notebook() == tmp_path / "out.ipynb"


def test_papermills_input_will_do_and_its_parameters_are_missed(
    tmp_path: Path,
    connection: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(tmp_path / "in.ipynb", "1")
    said = {"PAPERMILL_INPUT_PATH": str(path), "PAPERMILL_OUTPUT_PATH": "s3://there/out.ipynb"}
    kernel(monkeypatch, connection, names=said)
    assert current_notebook() == path
    assert "parameters don't travel" in caplog.text


def test_papermill_with_notebooks_that_are_elsewhere(
    connection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(monkeypatch, connection, names={"PAPERMILL_INPUT_PATH": "s3://there/in.ipynb"})
    with pytest.raises(errors.NotebookNotFound, match=r"papermill's .* \(s3://there/in.ipynb\)"):
        current_notebook()


def test_vs_code_tells_it_and_comes_before_the_servers_name(
    tmp_path: Path, connection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "train.ipynb", "1")
    kernel(monkeypatch, connection, names={"__vsc_ipynb_file__": str(path)})
    monkeypatch.setenv("JPY_SESSION_NAME", str(write(tmp_path / "other.ipynb", "1")))
    assert current_notebook() == path


@pytest.mark.parametrize("relative", [True, False])
def test_the_name_that_a_server_gave(
    relative: bool, tmp_path: Path, connection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "train.ipynb", "1")
    kernel(monkeypatch, connection)
    monkeypatch.setenv("JPY_SESSION_NAME", "train.ipynb" if relative else str(path))
    assert current_notebook() == path


def test_all_that_was_tried_is_told(connection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, connection, names={"__vsc_ipynb_file__": "/gone/train.ipynb"})
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1-0d7c")
    with pytest.raises(errors.NotebookNotFound) as caught:
        current_notebook()
    told = str(caught.value)
    assert "papermill told nothing" in told
    assert "no file here (/gone/train.ipynb)" in told
    assert "no Jupyter Server runs on this machine" in told
    assert "no notebook's file (console-1-0d7c)" in told
    assert "notebook_file='train.ipynb'" in told


def test_a_name_of_another_programs_kernel_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(monkeypatch, tmp_path / "tmp8a7b.json")
    monkeypatch.setenv("JPY_SESSION_NAME", str(write(tmp_path / "outer.ipynb", "1")))
    with pytest.raises(errors.NotebookNotFound, match="no Jupyter Server started this kernel"):
        current_notebook()


def test_colab_keeps_notebooks_elsewhere(connection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, connection)
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    with pytest.raises(errors.NotebookNotFound, match="Colab keeps notebooks in Drive"):
        current_notebook()
