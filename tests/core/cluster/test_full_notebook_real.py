"""Whole notebooks on a real cluster: what papermill has executed comes home."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from fairing_core import RunHandle, TrainJob, errors, k8s_utils
from fairing_core.types import RunStatus
from tests.bench.bases import Base
from tests.bench.registry import Registry
from tests.core.cluster.test_program_real import FAIRING, program
from tests.core.preprocess.notebooks.made import code, write

pytestmark = pytest.mark.real

OUTPUT = "fairing_output_notebook.ipynb"
PACKAGES = {"/packages": {"host_path": sysconfig.get_paths()["purelib"], "read_only": True}}
WITH_PACKAGES = {"volumes": PACKAGES, "allow_host_path": True}
"""base/ml has the X.Y of the tests' own Python, and so can use its papermill."""
PYTHON = "python"
"""Said, so that nobody looks for papermill in the base itself."""


@pytest.fixture(autouse=True)
def base(
    project: Path, base_ml: Base, cluster_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRING_BASE_IMAGE", base_ml.at(cluster_registry))


def submitted(
    *cells: Any, deployer: Any = WITH_PACKAGES, command: Any = PYTHON, **options: Any
) -> RunHandle:
    write(Path("train.ipynb"), *cells)
    return TrainJob(
        "train.ipynb",
        backend="kubernetes",
        builder="append",
        preprocessor="full_notebook",
        preprocessor_options={"command": command, **options},
        pod_spec_mutators=[k8s_utils.add_env({"PYTHONPATH": "/packages"})],
        deployer_options=deployer,
    ).submit()


def executed(run: RunHandle) -> str:
    """What its cells have shown."""
    artifacts = run.artifacts(90)
    assert [one.path for one in artifacts] == [OUTPUT], "".join(run.logs())
    cells = json.loads(artifacts[0].content.read_bytes())["cells"]
    outputs = [one for cell in cells for one in cell.get("outputs", ())]
    return "".join("".join(one.get("text", one.get("evalue"))) for one in outputs)


def test_the_executed_notebook_comes_home(project: Path) -> None:
    cells = (code("n = 1", "parameters"), "import os\nprint('é' * n, os.getcwd())")
    run = submitted(*cells, parameters={"n": 3})
    assert executed(run) == "ééé /app\n"
    assert run.status is RunStatus.SUCCEEDED
    assert "".join(run.logs()) == "ééé /app\n"


def test_the_notebook_of_a_failing_run_comes_home(project: Path) -> None:
    run = submitted("print('before')", "1 / 0", "print('after')")
    assert executed(run) == "before\ndivision by zero"
    assert run.status is RunStatus.FAILED
    assert run.outcome().exit_code == 1
    assert "train.ipynb, cell 2 failed: ZeroDivisionError" in "".join(run.logs())


def test_the_command_line_brings_it_home(project: Path) -> None:
    write(project / "train.ipynb", "raise SystemExit(3)")
    words: list[str | Path] = [
        FAIRING,
        "run",
        "train.ipynb",
        "-b",
        "kubernetes",
        "--preprocessor",
        "full_notebook",
    ]
    words += ["--name", "one", "-e", "PYTHONPATH=/packages", "--deploy", "allow_host_path=true"]
    words += ["--preprocessor-option", f"command={PYTHON}"]
    done = program(project, *words, "--deploy", f"volumes={json.dumps(PACKAGES)}", exit_code=3)
    assert "fetched 1 output" in done.stderr
    program(project, FAIRING, "artifacts", "one", "-b", "kubernetes", "--get")
    assert "SystemExit" in (project / "one" / OUTPUT).read_text()


def test_an_image_without_papermill_is_told_before_the_build_else_by_the_run(project: Path) -> None:
    with pytest.raises(
        errors.ImageError, match=r"'full_notebook' imports papermill, which .* lacks"
    ):
        submitted("print(1)", deployer=None, command=None)
    run = submitted("print(1)", deployer=None)
    assert run.wait(90) is RunStatus.FAILED
    assert run.outcome().exit_code == 69
    assert "No module named 'papermill'; put papermill and ipykernel" in "".join(run.logs())
    assert run.artifacts() == []
