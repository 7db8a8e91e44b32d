from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from fairing_core import FilterIncludeCell, FilterMagicCommands, errors
from fairing_core.interfaces import Preprocessor
from fairing_core.preprocess.notebook import NotebookPreprocessor
from fairing_core.preprocess.notebooks import filters
from fairing_core.types import Source
from tests.core.preprocess.harness import Container, Project, content, named
from tests.core.preprocess.notebooks.made import PYTHON, code, markdown, packaged, texts, write

REQUIREMENTS = "/app/requirements.txt"


def program(**options: Any) -> str:
    """The program that train.ipynb becomes."""
    return texts(packaged(**options))["/app/train.ipynb.py"].decode()


# --- what travels ---------------------------------------------------------------------------------


def test_it_is_a_preprocessor() -> None:
    assert isinstance(NotebookPreprocessor(), Preprocessor)


def test_a_notebook_becomes_a_program_that_python_runs(project: Project) -> None:
    write(project.root / "train.ipynb", "print(1)")
    context = packaged()
    assert context.command == ("python", "/app/train.ipynb.py")
    assert (context.workdir, context.python) == ("/app", None)
    assert [file.reason for file in named(context).values()] == ["entry"]


def test_the_program_shows_each_cell_with_its_number_as_it_was_written(project: Project) -> None:
    write(project.root / "train.ipynb", markdown(), "x = '\\n'  # é\nprint(x)", "s = '''a'''")
    assert (
        "\n(2, r'''x = '\\n'  # é\nprint(x)\n'''),\n(3, r\"\"\"s = '''a'''\n\"\"\"),\n" in program()
    )


def test_local_modules_that_cells_import_travel(project: Project) -> None:
    for name in ("helper", "other", "timed", "deep/inner", "unused"):
        project.write(f"{name}.py")
    project.write("deep/__init__.py")
    write(
        project.root / "train.ipynb",
        "%%time\nimport helper",
        "%time import timed\n!ls\nfrom deep import inner",
        "def f():\n    %cd .\n    import other",
    )
    context = packaged()
    assert set(named(context)) == {
        "train.ipynb.py", "helper.py", "other.py", "timed.py", "deep/__init__.py", "deep/inner.py",
    }  # fmt: skip
    assert named(context)["helper.py"].reason == "imported by train.ipynb, cell 1"


def test_what_the_image_has_to_have_is_told_with_the_cell(project: Project) -> None:
    project.write("helper.py", "import torch")
    write(
        project.root / "train.ipynb",
        "import os, numpy as np\nfrom IPython.display import HTML",
        "import fairing_core, helper\ntry:\n    import cupy\nexcept ImportError:\n    pass",
        "%time import pandas\ndef f():\n    import scipy",
    )
    assert [(one.module, one.where) for one in packaged().imports] == [
        ("numpy", "train.ipynb, cell 1"),
        ("pandas", "train.ipynb, cell 3"),
        ("torch", "helper.py"),
    ]


@pytest.mark.parametrize(
    "brings",
    [
        "import sys\nsys.path.append('/opt/lib')",
        "%%writefile model.py\nx = 1",
        "%%bash\npip install torch",
        "!git clone there:lib && mv lib/torch .",
        "%cd lib",
        "import os\nos.chdir('lib')",
    ],
)
def test_once_a_cell_may_bring_modules_itself_no_other_cell_is_known_to_lack_one(
    project: Project, brings: str
) -> None:
    write(project.root / "train.ipynb", "import numpy", brings, "import model, torch")
    assert [one.module for one in packaged().imports] == ["numpy"]


@pytest.mark.parametrize("cell", ["!pip install torch", "%matplotlib inline", "%env A=1", "!ls"])
def test_other_magics_leave_what_cells_import_as_known_as_it_was(
    project: Project, cell: str
) -> None:
    write(project.root / "train.ipynb", cell, "import torch")
    assert [one.module for one in packaged().imports] == ["torch"]


def test_a_secret_travels_only_where_it_is_allowed(project: Project) -> None:
    project.write("keys/id_rsa", "x")
    write(project.root / "train.ipynb", "print(1)")
    with pytest.raises(errors.SecretFile):
        packaged(input_files=["keys"])
    context = packaged(input_files=["keys"], allow_secrets=["keys/id_rsa"])
    assert "keys/id_rsa" in named(context)


def test_inputs_and_the_map_travel_as_a_scripts_do(project: Project) -> None:
    project.write("src/data/a.csv", "1")
    project.write("settings.yaml", "2")
    write(project.root / "src" / "train.ipynb", "print(1)")
    context = packaged(
        "src/train.ipynb",
        input_files=["src/data"],
        output_map={"settings.yaml": "/app/settings.yaml"},
        path_prefix="/app",
        command=["python", "-u"],
    )
    assert set(named(context)) == {"train.ipynb.py", "data/a.csv", "settings.yaml"}
    assert context.command == ("python", "-u", "/app/train.ipynb.py")


def test_what_lies_outside_the_notebooks_folder_is_refused(project: Project) -> None:
    project.write("src/x.txt")
    write(project.root / "src" / "train.ipynb", "print(1)")
    project.write("b.csv")
    with pytest.raises(errors.OutsideRoot, match="output_map"):
        packaged("src/train.ipynb", input_files=["b.csv"])


def test_outputs_do_not_travel_even_where_the_folder_does(project: Project) -> None:
    output = [{"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000}]
    write(project.root / "train.ipynb", code("print(1)", outputs=output))
    assert packaged(input_files=["."]).size < 100_000


def test_a_hundred_megabytes_of_outputs_do_not_travel(project: Project) -> None:
    output = [{"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}]
    path = write(project.root / "train.ipynb", *[code("print(1)", outputs=output)] * 2)
    assert path.stat().st_size > 100_000_000
    assert packaged().size < 100_000


def test_outputs_counts_and_ids_do_not_change_the_digest(project: Project) -> None:
    digests = set()
    for number in range(3):
        cells = [
            code("print(1)", execution_count=number, id=f"cell{number}", outputs=[{}] * number),
            code(["x = 2\n", "%cd ."] if number else "x = 2\n%cd ."),
        ]
        write(project.root / "train.ipynb", *cells, nbformat_minor=number)
        digests.add(packaged(args=[str(number)]).digest)
    assert len(digests) == 1


def test_nothing_is_written_beside_the_notebook(project: Project) -> None:
    write(project.root / "train.ipynb", "%%writefile x.py\npass\n", "import x")
    before = {path: path.read_bytes() for path in project.root.rglob("*")}
    packaged()
    assert {path: path.read_bytes() for path in project.root.rglob("*")} == before


def test_a_module_called_as_the_notebook_is_another_file(project: Project) -> None:
    project.write("train.py", "value = 1")
    write(project.root / "train.ipynb", "import train")
    assert set(named(packaged())) == {"train.ipynb.py", "train.py"}


def test_the_notebook_may_be_an_option(project: Project) -> None:
    write(project.root / "train.ipynb", "print(1)")
    context = NotebookPreprocessor(notebook_file="train.ipynb").preprocess(Source("notebook"))
    assert context == packaged()


def test_a_script_is_another_preprocessors(project: Project) -> None:
    with pytest.raises(errors.InputError, match="packages notebooks, not a script"):
        NotebookPreprocessor().preprocess(Source("script", Path("a.py")))


def test_an_empty_name_is_an_error(project: Project) -> None:
    with pytest.raises(errors.EmptyEntry, match=r"name the \.ipynb file"):
        NotebookPreprocessor(notebook_file="").preprocess(Source("notebook"))


# --- what is wrong --------------------------------------------------------------------------------


def test_a_cell_that_is_no_python_is_named_with_its_line(project: Project) -> None:
    write(project.root / "train.ipynb", markdown(), "x = 1", "y = 2\nif y\n  pass")
    with pytest.raises(
        errors.InvalidCell, match=r"train\.ipynb, cell 3, line 2: SyntaxError: .*: if y"
    ) as caught:
        packaged()
    assert (caught.value.cell, caught.value.line) == (3, 2)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("def f():\n  x = 1\n y = 2", "line 3: IndentationError"),
        ("x = 'a", "line 1: SyntaxError"),
        ("x = (1,\n\n", "line 1: SyntaxError"),
        ("x = 1\nreturn x", "line 2: SyntaxError: 'return' outside function"),
        ("x = '\0'", "line 1: "),
        ("%time x =", "line 1: SyntaxError"),
        ("x = 1\n\nfrom __future__ import annotations\n1", "line 3: SyntaxError"),
        ("\n%run x.py", "line 2: %run has no place in a job"),
    ],
)
def test_each_fault_of_a_cell_has_its_line(project: Project, cell: str, said: str) -> None:
    write(project.root / "train.ipynb", "print(1)", cell)
    with pytest.raises(errors.InvalidCell) as caught:
        packaged()
    assert f"train.ipynb, cell 2, {said}" in str(caught.value)
    assert "tag it fairing-skip" in str(caught.value)


def test_half_a_character_is_no_python(project: Project) -> None:
    path = write(project.root / "train.ipynb", "PLACE")
    path.write_text(path.read_text().replace("PLACE", "x = '\\ud800'"))
    with pytest.raises(errors.InvalidCell, match="no Python"):
        packaged()


def test_all_faults_are_told_at_once(project: Project) -> None:
    write(project.root / "train.ipynb", "%run a\n%run b", "x =", *["%load c"] * 12)
    with pytest.raises(errors.InvalidCell) as caught:
        packaged()
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines[:3]] == [
        "train.ipynb, cell 1, line 1", "train.ipynb, cell 1, line 2", "train.ipynb, cell 2, line 1",
    ]  # fmt: skip
    assert lines[-2] == "and 5 more"


def test_a_cell_that_awaits_is_python(project: Project) -> None:
    write(project.root / "train.ipynb", "import asyncio\nawait asyncio.sleep(0)")
    assert "await asyncio.sleep(0)" in program()


def test_a_cell_that_python_warns_of_is_fine(project: Project) -> None:
    write(project.root / "train.ipynb", "x = '\\d'\nif x is 'a': pass")
    assert "is 'a'" in program()


# --- which cells ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["fairing-skip", "skip-execution"])
def test_a_cell_with_the_tag_stays_here(project: Project, tag: str) -> None:
    write(project.root / "train.ipynb", "a = 1", code("%run nonsense", tag))
    assert "nonsense" not in program()


def test_where_cells_are_tagged_to_go_no_others_do(project: Project) -> None:
    cells = ["a = 1", code("b = 2", "fairing-include"), "c = ("]
    write(project.root / "train.ipynb", *cells)
    assert "(2, r'''b = 2" in program()
    assert "a = 1" not in program()


def test_only_marked_cells_travel_where_that_is_the_filter(project: Project) -> None:
    write(project.root / "train.ipynb", markdown(), "# fairing:include-cell\nb = 2", "c = 3")
    for chosen in (FilterIncludeCell, FilterIncludeCell()):
        made = program(notebook_preprocessor=chosen)
        assert "(2, r'''# fairing:include-cell\nb = 2" in made
        assert "c = 3" not in made


@pytest.mark.parametrize(
    "options",
    [{"notebook_preprocessor": FilterIncludeCell}, {}],
)
def test_where_no_cell_is_left_there_is_nothing_to_run(
    project: Project, options: dict[str, Any]
) -> None:
    write(project.root / "train.ipynb", code("a = 1", "fairing-skip"))
    with pytest.raises(errors.EmptyEntry):
        packaged(**options)


def test_a_cell_that_only_shows_things_does_not_travel(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cells = ["%matplotlib inline", "%%html\n<b>x</b>", "%matplotlib agg\nx = 1"]
    write(project.root / "train.ipynb", *cells)
    assert "(1, " not in program()
    assert "train.ipynb: %matplotlib is left out (cells 1, 3)" in caplog.messages
    assert "train.ipynb: %%html is left out (cell 2)" in caplog.messages


class Renames(FilterMagicCommands):
    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        if cell.cell_type == "code":
            assert cell["outputs"] == []
            cell.source = cell.source.replace("OLD", f"'{resources['metadata']['name']}'")
        return cell, resources


class Shortens:
    """As nbconvert's, by duck typing."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        assert resources["nobody said"] == ""
        nb.cells = [nb.cells[2], type(nb.cells[2])(code("added = 1"))]
        return nb, resources


@pytest.fixture(params=["nbformat", "none"])
def nbformat(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "none":
        import sys

        monkeypatch.setitem(sys.modules, "nbformat", None)
    return str(request.param)


def test_a_users_own_filter_sees_cells_as_nbconverts_do(project: Project, nbformat: str) -> None:
    write(project.root / "train.ipynb", markdown("OLD"), "x = OLD")
    assert "(2, r'''x = 'train'\n" in program(notebook_preprocessor=Renames)


def test_cells_keep_their_numbers_whatever_a_filter_takes_away(
    project: Project, nbformat: str
) -> None:
    write(project.root / "train.ipynb", "a = OLD", "b = 2", code(["c = OLD\n", "d = 4"]))
    made = program(notebook_preprocessor=[Renames, Shortens()])
    assert "(3, r'''c = 'train'\nd = 4\n'''),\n(4, r'''added = 1\n'''),\n" in made
    assert "b = 2" not in made


def test_a_filter_of_nbconverts_own_works(project: Project) -> None:
    from nbconvert.preprocessors import TagRemovePreprocessor

    write(project.root / "train.ipynb", "a = 1", code("b = 2", "secret"))
    made = program(notebook_preprocessor=TagRemovePreprocessor(remove_cell_tags={"secret"}))
    assert "a = 1" in made
    assert "b = 2" not in made


def test_a_filter_that_fails_is_named(project: Project) -> None:
    class Fails(FilterMagicCommands):
        def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
            raise KeyError("x")

    write(project.root / "train.ipynb", "a = 1")
    with pytest.raises(errors.InputError, match=r"Fails failed on .*train\.ipynb: KeyError: 'x'"):
        packaged(notebook_preprocessor=Fails)


@pytest.mark.parametrize("filter_", [3, "name", object()])
def test_what_is_no_filter_is_refused(filter_: Any) -> None:
    with pytest.raises(errors.InputError, match="is no filter"):
        NotebookPreprocessor(notebook_preprocessor=filter_)


def test_the_notebook_in_memory_is_left_as_it_was(project: Project) -> None:
    document = {"cells": [code("a = 1")], "metadata": PYTHON, "nbformat": 4}
    before = json.dumps(document)
    filters.filtered(document, "/x/train.ipynb", [Renames()])
    assert json.dumps(document) == before


# --- what cells install ---------------------------------------------------------------------------


def test_installations_become_a_requirements_file(project: Project) -> None:
    project.write("more.txt", "scipy\n")
    write(
        project.root / "train.ipynb",
        "!pip install -q pandas>=2",
        "x = 1\n%pip install numpy -r more.txt",
    )
    context = packaged()
    assert texts(context)[REQUIREMENTS].decode() == (
        "# train.ipynb, cell 1\npandas>=2\n# train.ipynb, cell 2\nnumpy\nscipy\n"
    )
    assert named(context)["requirements.txt"].reason == "pip install in cells 1, 2"


def test_the_users_own_requirements_come_first(project: Project) -> None:
    project.write("requirements.txt", "torch==2.*")
    write(project.root / "train.ipynb", "!pip install pandas\nx = 1")
    context = packaged(input_files=["requirements.txt"])
    assert texts(context)[REQUIREMENTS].decode() == ("torch==2.*\n# train.ipynb, cell 1\npandas\n")
    assert (project.root / "requirements.txt").read_text() == "torch==2.*"


def test_one_index_is_asked_for_all(project: Project) -> None:
    write(project.root / "train.ipynb", "!pip install --index-url https://i/cpu torch\nx = 1")
    made = texts(packaged())[REQUIREMENTS].decode()
    assert made == "--index-url https://i/cpu\n# train.ipynb, cell 1\ntorch\n"


def test_two_indexes_are_refused(project: Project) -> None:
    cells = ["!pip install --index-url https://i/cpu torch", "!pip install pandas\nx = 1"]
    write(project.root / "train.ipynb", *cells)
    with pytest.raises(errors.InvalidCell, match="more than one index"):
        packaged()


def test_a_requirements_file_that_is_missing_is_named_with_its_cell(project: Project) -> None:
    write(project.root / "train.ipynb", "x = 1\n!pip install -r nowhere.txt")
    with pytest.raises(errors.InvalidCell, match=r"cell 1, line 2: .*nowhere\.txt can't be read"):
        packaged()


def test_fairing_itself_is_no_requirement(project: Project) -> None:
    write(project.root / "train.ipynb", "!pip install fairing-core\nx = 1")
    assert REQUIREMENTS not in texts(packaged())


def test_a_builder_without_pip_says_which_cells_ask_for_it(project: Project) -> None:
    from fairing_core.build.append import AppendBuilder
    from fairing_core.types import BuildRequest

    write(project.root / "train.ipynb", "!pip install pandas\nx = 1")
    reason = AppendBuilder().supports(BuildRequest(packaged(), registry="r", base_image="b"))
    assert "a notebook asks for packages (pip install in cell 1)" in str(reason)


# --- in an image that has nothing -----------------------------------------------------------------


def test_a_notebook_runs_where_neither_fairing_nor_ipython_is(
    project: Project, container: Container
) -> None:
    project.write("helper.py", "value = 42")
    project.write("data/a.txt", "data")
    write(
        project.root / "train.ipynb",
        "import sys\nimport fairing_core as fairing\nfrom fairing_core import TrainJob\n"
        "import helper\nfairing.config.set_preprocessor('notebook', notebook_file='train.ipynb')",
        "%time x = 1\nfairing.config.run()\njob = TrainJob('train.ipynb')",
        "%%capture held\n!cat data/a.txt",
        "print(helper.value, held.stdout, sys.argv[1:], bool(job.submit().wait()))",
    )
    ran = container.run(packaged(input_files=["data"]), "--lr", "0.1")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "42 data ['--lr', '0.1'] False"), ran.err


def test_what_travels_of_ours_is_what_runs_cells(project: Project) -> None:
    write(project.root / "train.ipynb", "print(1)")
    context = packaged()
    ours = {file.destination for file in context.files if file.reason == "runtime"}
    assert ours == {
        "/app/fairing_core/__init__.py",
        "/app/fairing_core/keep.py",
        *(
            f"/app/fairing_core/runtime/{name}.py"
            for name in ("__init__", "cells", "commands", "displays", "shell")
        ),
    }
    assert b"run(globals(), 'train.ipynb'" in content(named(context)["train.ipynb.py"])
