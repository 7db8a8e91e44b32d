from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.interfaces import Preprocessor
from fairing_core.preprocess.full_notebook import OUTPUT, FullNotebookPreprocessor
from fairing_core.types import BuildContext, Source
from tests.core.preprocess.harness import Project, named
from tests.core.preprocess.notebooks.made import PYTHON, code, markdown, texts, write

SETTINGS = "/app/fairing_core/notebook.json"


def packaged(path: Path | str = "train.ipynb", **options: Any) -> BuildContext:
    return FullNotebookPreprocessor(**options).preprocess(Source("notebook", Path(path)))


def settings(**options: Any) -> Any:
    """What the program in the image reads."""
    return json.loads(texts(packaged(**options))[SETTINGS])


def shipped(name: str = "train.ipynb", **options: Any) -> Any:
    return json.loads(texts(packaged(name, **options))[f"/app/{name}"])


@pytest.fixture
def notebook(project: Project) -> Path:
    return write(project.root / "train.ipynb", markdown(), "print(1)")


def test_it_is_a_preprocessor() -> None:
    assert isinstance(FullNotebookPreprocessor(), Preprocessor)


def test_the_notebook_travels_with_what_runs_it(notebook: Path) -> None:
    context = packaged()
    assert context.command == ("python", "/app/fairing_core/notebook_run.py")
    assert context.workdir == "/app"
    assert list(named(context)) == ["train.ipynb"]
    assert settings() == {
        "notebook": "train.ipynb",
        "output": "fairing_output_notebook.ipynb",
        "parameters": {},
        "kernel": None,
    }


def test_the_executed_notebook_is_an_output_that_nobody_has_to_name(notebook: Path) -> None:
    assert packaged().outputs == (OUTPUT,)
    assert packaged(output_file="runs/out[1].ipynb").outputs == ("runs/out[[]1].ipynb",)
    assert packaged(output_file="/app/runs/out.ipynb").outputs == ("runs/out.ipynb",)
    assert packaged(output_file="/mnt/out.ipynb").outputs == ("/mnt/out.ipynb",)
    assert packaged(output_file="s3://bucket/out.ipynb").outputs == ()


def test_it_needs_papermill_of_the_python_that_runs_it(notebook: Path) -> None:
    context = packaged()
    assert context.needs == ("papermill",)
    assert [one.module for one in context.imports] == ["papermill"]
    context = packaged(command="/opt/conda/bin/python")
    assert (context.needs, context.imports) == ((), ())


def test_what_running_leaves_in_a_notebook_stays_here(project: Project) -> None:
    shown = {"output_type": "stream", "name": "stdout", "text": "x"}
    ran = code("print(1)", "keep", outputs=[shown], execution_count=7)
    ran["metadata"] |= {"execution": {"iopub.execute_input": "now"}, "papermill": {"status": "x"}}
    metadata = {**PYTHON, "widgets": {"state": "s" * 1000}, "papermill": {"duration": 1}}
    write(project.root / "train.ipynb", markdown("# é"), ran, metadata=metadata)
    assert shipped()["metadata"] == PYTHON
    text, cell = shipped()["cells"]
    assert text["source"] == "# é"
    assert cell == {**code("print(1)", "keep"), "id": "fairing-2"}


def test_a_hundred_megabytes_of_outputs_do_not_travel(project: Project) -> None:
    shown = {"output_type": "stream", "name": "stdout", "text": "x" * 100_000_000}
    path = write(project.root / "train.ipynb", code("print(1)", outputs=[shown]))
    assert path.stat().st_size > 100_000_000
    assert packaged().size < 100_000


OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {"output_type": st.just("display_data"), "metadata": st.just({}),
         "data": st.dictionaries(st.sampled_from(["text/plain", "image/png"]), st.text())}
    )
)  # fmt: skip


@given(
    sources=st.lists(st.from_regex(r"[a-zé_][a-z]*", fullmatch=True), min_size=1),
    outputs=OUTPUTS,
    count=st.integers(0, 999),
)
def test_the_digest_is_the_same_whatever_the_outputs_are(
    sources: list[str],
    outputs: list[Any],
    count: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("digest", numbered=True)
    fresh = write(folder / "train.ipynb", *sources)
    before = packaged(fresh)
    write(fresh, *(code(one, outputs=outputs, execution_count=count) for one in sources))
    after = packaged(fresh)
    assert after.digest == before.digest
    write(fresh, *sources, "another")
    assert packaged(fresh).digest != before.digest


def test_parameters_travel_in_a_file_and_count_for_the_digest(notebook: Path) -> None:
    values = {"epochs": 3, "rate": 0.5, "names": ["é", None, True], "deep": {"a": [{"b": 1}]}}
    assert settings(parameters=values)["parameters"] == values
    assert packaged(parameters=values).digest != packaged().digest
    assert packaged(parameters=values).command == packaged().command


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"no name": 1}, "'no name', which can't be a variable's name"),
        ({"class": 1}, "'class', which"),
        ({1: 1}, "parameters has 1, which"),
        ({"x": Path()}, r"parameters\['x'\] is a PosixPath"),
        ({"x": [1, {"y": {2}}]}, r"parameters\['x'\]\[1\]\['y'\] is a set"),
        ({"x": {1: 2}}, r"parameters\['x'\] is a dict"),
    ],
)
def test_parameters_that_no_notebook_can_have_are_named(parameters: Any, told: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=told):
        FullNotebookPreprocessor(parameters=parameters)


@pytest.mark.parametrize("name", ["", "../out.ipynb", "a/../../out.ipynb", ".", "runs/", "a\0b"])
def test_an_output_file_that_is_no_file_of_the_run_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidDestination, match="output_file="):
        FullNotebookPreprocessor(output_file=name)


def test_the_executed_notebook_can_not_take_the_notebooks_place(notebook: Path) -> None:
    with pytest.raises(errors.InvalidDestination, match="is the notebook itself"):
        packaged(output_file="./train.ipynb")


def test_arguments_are_refused_as_there_is_no_argv(notebook: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"parameters={'epochs': 3}"):
        FullNotebookPreprocessor().preprocess(Source("notebook", notebook, args=("3",)))


def test_local_modules_that_cells_import_travel_whatever_else_is_in_them(project: Project) -> None:
    for name in ("helper", "other", "unused"):
        project.write(f"{name}.py")
    write(project.root / "train.ipynb", "%run x.py\nimport helper", "import other", "this is no (")
    assert set(named(packaged())) == {"train.ipynb", "helper.py", "other.py"}


def test_inputs_and_the_map_travel_too(project: Project) -> None:
    project.write("src/data/a.csv", "1")
    project.write("settings.yaml", "2")
    write(project.root / "src" / "train.ipynb", "print(1)")
    context = packaged(
        "src/train.ipynb",
        input_files=["src/data", "src/train.ipynb"],
        output_map={"settings.yaml": "/app/settings.yaml"},
        command=["python", "-u"],
    )
    assert set(named(context)) == {"train.ipynb", "data/a.csv", "settings.yaml"}
    assert context.command == ("python", "-u", "/app/fairing_core/notebook_run.py")


def test_a_secret_among_the_inputs_is_stopped(project: Project, notebook: Path) -> None:
    project.write(".env", "TOKEN=1")
    with pytest.raises(errors.SecretFile):
        packaged(input_files=[".env"])
    assert ".env" in named(packaged(input_files=[".env"], allow_secrets=[".env"]))


def test_a_notebook_in_another_language_travels(project: Project) -> None:
    project.write("helper.py")
    spec = {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}}
    write(project.root / "train.ipynb", "import helper", metadata=spec)
    assert set(named(packaged())) == {"train.ipynb"}
    assert shipped()["metadata"] == spec


def test_the_file_may_be_an_option(notebook: Path) -> None:
    context = FullNotebookPreprocessor(notebook_file="train.ipynb").preprocess(Source("notebook"))
    assert context.digest == packaged().digest


def test_where_no_notebook_is_known_the_error_says_how_to_name_one(project: Project) -> None:
    with pytest.raises(errors.NotebookNotFound, match="notebook_file="):
        FullNotebookPreprocessor().preprocess(Source("notebook"))
    with pytest.raises(errors.EmptyEntry, match="name is empty"):
        FullNotebookPreprocessor(notebook_file="").preprocess(Source("notebook"))


@pytest.mark.parametrize(
    ("content", "fault", "told"),
    [
        ("print(1)", errors.InvalidNotebook, "is not JSON"),
        ('{"nbformat": 3, "worksheets": []}', errors.InvalidNotebook, "nbformat 3"),
        ('{"nbformat": 4, "metadata": {}, "cells": []}', errors.EmptyEntry, "no cell with code"),
        ('{"nbformat": 4, "metadata": {}, "cells": [{}]}', errors.InvalidNotebook, "cell 1"),
    ],
)
def test_what_is_no_notebook_is_refused(
    project: Project, content: str, fault: type[Exception], told: str
) -> None:
    project.write("train.ipynb", content)
    with pytest.raises(fault, match=told):
        packaged()


def test_scripts_and_functions_are_not_its_business() -> None:
    with pytest.raises(errors.InputError, match="packages notebooks, not a script"):
        FullNotebookPreprocessor().preprocess(Source("script", Path(os.devnull)))
