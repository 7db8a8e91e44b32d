"""Which notebook runs, as a real Jupyter Server and papermill have it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.preprocess.notebooks import made
from tests.core.preprocess.notebooks.jupyter import Jupyter, Kernel

pytestmark = pytest.mark.real

ASK = """
from fairing_core.preprocess.notebooks.current import current_notebook
try:
    print(current_notebook())
except Exception as exc:
    print(type(exc).__name__, exc)
"""
FORGET = "import os; os.environ.pop('JPY_SESSION_NAME')"


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    folder = tmp_path_factory.mktemp("jupyter")
    server = Jupyter(folder / "root", folder / "home")
    server.start()
    yield server
    server.stop()


def told(kernel: Kernel) -> str:
    return kernel.run(ASK).strip()


def test_two_notebooks_that_are_open_at_once_and_one_in_a_folder(jupyter: Jupyter) -> None:
    paths = [jupyter.save(name, ASK) for name in ("one.ipynb", "two.ipynb", "deep/er/one.ipynb")]
    kernels = [jupyter.open(str(path.relative_to(jupyter.root))) for path in paths]
    assert [told(kernel) for kernel in kernels] == [str(path) for path in paths]


def test_the_server_tells_it_without_the_name_that_the_kernel_got(jupyter: Jupyter) -> None:
    path = jupyter.save("nameless.ipynb", ASK)
    kernel = jupyter.open("nameless.ipynb")
    kernel.run(FORGET)
    assert told(kernel) == str(path)


def test_a_notebook_that_was_renamed_while_another_has_its_former_name(jupyter: Jupyter) -> None:
    jupyter.save("former.ipynb", ASK)
    kernel = jupyter.open("former.ipynb")
    path = jupyter.rename("former.ipynb", "latter.ipynb")
    jupyter.save("former.ipynb", "'another'")
    assert told(kernel) == str(path)


def test_a_console_of_a_notebooks_kernel_is_no_second_notebook(jupyter: Jupyter) -> None:
    path = jupyter.save("watched.ipynb", ASK)
    kernel = jupyter.open("watched.ipynb")
    jupyter.open("console-1", kind="console", kernel=kernel.id)
    assert told(kernel) == str(path)


def test_a_console_alone_runs_no_notebook(jupyter: Jupyter) -> None:
    answer = told(jupyter.open("console-2", kind="console"))
    assert answer.startswith("NotebookNotFound")
    assert "runs this kernel for no notebook" in answer
    assert "notebook_file=" in answer


def test_a_server_that_wants_another_token_is_named_and_no_token_is(jupyter: Jupyter) -> None:
    jupyter.save("locked.ipynb", ASK)
    kernel = jupyter.open("locked.ipynb")
    kernel.run(FORGET)
    before = jupyter.file.read_text()
    jupyter.file.write_text(json.dumps({**json.loads(before), "token": "wr0ng-t0ken"}))
    try:
        answer = told(kernel)
    finally:
        jupyter.file.write_text(before)
    assert answer.startswith("NotebookNotFound")
    assert f"lets nobody in with the token in {jupyter.file} (403)" in answer
    assert "notebook_file=" in answer
    assert "wr0ng-t0ken" not in answer
    assert jupyter.token not in answer


def test_the_name_that_the_kernel_got_will_do_where_no_server_tells(jupyter: Jupyter) -> None:
    path = jupyter.save("alone.ipynb", ASK)
    kernel = jupyter.open("alone.ipynb")
    hidden = jupyter.file.rename(jupyter.file.with_suffix(".hidden"))
    try:
        assert told(kernel) == str(path)
    finally:
        hidden.rename(jupyter.file)


UNSAVED = """
import json
from pathlib import Path
from fairing_core.preprocess.notebooks.unsaved import unsaved
path = Path("unsaved.ipynb")
print(unsaved(path, json.loads(path.read_text())))
"""


def test_what_ran_and_was_not_saved_is_told_with_the_time_of_the_save(jupyter: Jupyter) -> None:
    path = jupyter.save("unsaved.ipynb", "rate = 1", UNSAVED)
    os.utime(path, (0, 1_800_000_000))
    kernel = jupyter.open("unsaved.ipynb")
    kernel.run("rate = 1")
    assert kernel.run(UNSAVED).strip() == "None"
    kernel.run("rate = 2")
    warning = kernel.run(UNSAVED).strip()
    assert warning.startswith("unsaved.ipynb was saved last at 2027-01-15 ")
    assert "In [3] ran here since" in warning
    jupyter.save("unsaved.ipynb", "rate = 2", UNSAVED, counts=(3, 4))
    assert kernel.run(UNSAVED).strip() == "None"


@pytest.mark.parametrize(
    ("option", "wanted", "warned"),
    [
        (["--inject-paths"], "out.ipynb", False),
        (["--inject-input-path"], "in.ipynb", True),
        ([], "NotebookNotFound", False),
    ],
)
def test_papermill_tells_its_output_which_has_the_parameters_or_its_input_or_nothing(
    option: list[str], wanted: str, warned: bool, tmp_path: Path
) -> None:
    made.write(tmp_path / "in.ipynb", ASK)
    environ = {
        **os.environ,
        "HOME": str(tmp_path),
        # As where a notebook starts papermill; it is not this kernel's name.
        "JPY_SESSION_NAME": str(made.write(tmp_path / "outer.ipynb", "")),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "papermill", *option, "in.ipynb", "out.ipynb"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = (tmp_path / "out.ipynb").read_text()
    assert (wanted if wanted == "NotebookNotFound" else f"{tmp_path / wanted}") in answer
    assert ("parameters don't travel" in answer) == warned
    assert ("no Jupyter Server started this kernel" in answer) == (not option)
