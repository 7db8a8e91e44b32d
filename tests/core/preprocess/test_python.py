from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.interfaces import Preprocessor
from fairing_core.preprocess.python import PythonPreprocessor
from fairing_core.types import Source
from tests.core.preprocess.harness import Container, Project, content, named


def test_it_is_a_preprocessor() -> None:
    assert isinstance(PythonPreprocessor(), Preprocessor)


def test_a_script_is_run_by_python_under_app(project: Project) -> None:
    project.write("train.py")
    context = project.script()
    assert context.command == ("python", "/app/train.py")
    assert (context.workdir, context.python) == ("/app", None)


def test_the_script_is_the_entry(project: Project) -> None:
    project.write("train.py", "print('hello')\n")
    file = named(project.script())["train.py"]
    assert (content(file), file.reason, file.mode) == (b"print('hello')\n", "entry", 0o644)


def test_the_root_is_the_scripts_folder(project: Project) -> None:
    project.write("deep/src/train.py", "import helper")
    project.write("deep/src/helper.py")
    assert set(named(project.script("deep/src/train.py"))) == {"train.py", "helper.py"}


def test_the_executable_is_the_script_where_the_source_names_none(project: Project) -> None:
    project.write("train.py")
    assert project.script(None, executable="train.py").command[-1] == "/app/train.py"
    assert project.script(None, executable=Path("train.py")).command[-1] == "/app/train.py"


def test_the_source_wins_over_the_executable(project: Project) -> None:
    project.write("a.py")
    project.write("b.py")
    assert project.script("a.py", executable="b.py").command[-1] == "/app/a.py"


@pytest.mark.parametrize("inputs", [["run"], ["a.py", "b.csv", "c.txt"], ["*"]])
def test_the_only_input_or_the_only_python_file_is_the_script(
    project: Project, inputs: list[str]
) -> None:
    for name in ("b.csv", "c.txt", "run" if inputs == ["run"] else "a.py"):
        project.write(name)
    expected = "run" if inputs == ["run"] else "a.py"
    assert project.script(None, input_files=inputs).command == ("python", f"/app/{expected}")


@pytest.mark.parametrize("inputs", [["a.py", "b.py"], ["c.csv", "d.csv"]])
def test_which_input_is_the_script_must_be_clear(project: Project, inputs: list[str]) -> None:
    for name in inputs:
        project.write(name)
    with pytest.raises(errors.EmptyEntry, match="executable="):
        project.script(None, input_files=inputs)


@pytest.mark.parametrize("options", [{}, {"executable": ""}])
def test_nothing_to_run_is_an_error(project: Project, options: dict[str, Any]) -> None:
    with pytest.raises(errors.EmptyEntry):
        project.script(None, **options)


def test_an_empty_script_is_an_error(project: Project) -> None:
    project.write("train.py", "")
    with pytest.raises(errors.EmptyEntry, match=r"train\.py is empty"):
        project.script()


def test_a_missing_script_is_named_with_the_near_one(project: Project) -> None:
    project.write("train.py")
    with pytest.raises(errors.MissingInput, match=r"did you mean 'train\.py'"):
        project.script("trian.py")


def test_a_folder_is_no_script(project: Project) -> None:
    project.write("src/train.py")
    with pytest.raises(errors.UnreadableInput, match="is a folder"):
        project.script("src")


def test_a_pipe_is_no_script(project: Project) -> None:
    os.mkfifo(project.root / "pipe.py")
    with pytest.raises(errors.UnreadableInput, match="not a script"):
        project.script("pipe.py")


def test_a_function_is_another_preprocessors(project: Project) -> None:
    with pytest.raises(errors.InputError, match="packages scripts, not a function"):
        PythonPreprocessor().preprocess(Source("function", len))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["python", "-u"], ("python", "-u", "/app/train.py")),
        ("python3", ("python3", "/app/train.py")),
        (["torchrun", "--nproc-per-node=2"], ("torchrun", "--nproc-per-node=2", "/app/train.py")),
        ([], ("/app/train.py",)),
    ],
)
def test_the_command_is_the_users(
    project: Project, command: str | list[str], expected: tuple[str, ...]
) -> None:
    project.write("train.py", "import helper")
    project.write("helper.py")
    context = project.script(command=command)
    assert context.command == expected
    assert "helper.py" in named(context)


def test_a_script_of_another_language_is_not_read_as_python(project: Project) -> None:
    project.write("run.sh", "import helper\n")
    project.write("helper.py")
    assert set(named(project.script("run.sh", command=["bash"]))) == {"run.sh"}


def test_the_scripts_arguments_do_not_change_the_digest(project: Project) -> None:
    path = project.write("train.py")
    contexts = [
        PythonPreprocessor().preprocess(Source("script", path, args=args))
        for args in ((), ("--lr", "0.1"))
    ]
    assert contexts[0] == contexts[1]


@pytest.mark.parametrize("prefix", ["/srv/code", "/srv/code/", "srv/./code"])
def test_the_prefix_is_where_the_root_lands(project: Project, prefix: str) -> None:
    project.write("train.py")
    context = project.script(path_prefix=prefix)
    assert context.command[-1] == "/srv/code/train.py"
    assert context.workdir == "/srv/code"
    assert "/srv/code/fairing_core/__init__.py" in {file.destination for file in context.files}


def test_the_prefix_may_be_the_images_root(project: Project) -> None:
    project.write("train.py")
    context = project.script(path_prefix="/")
    assert (context.command[-1], context.workdir) == ("/train.py", "/")


def test_the_users_folder_is_left_as_it_was(project: Project) -> None:
    project.write("train.py")
    before = sorted(project.root.rglob("*"))
    project.script()
    assert sorted(project.root.rglob("*")) == before


def test_a_file_of_the_users_in_the_place_of_our_answers_is_a_conflict(project: Project) -> None:
    project.write("train.py")
    project.write("fairing_core/__init__.py", "mine = 1")
    with pytest.raises(errors.ConflictingInputs, match="fairing_core/__init__"):
        project.script(input_files=["fairing_core"])


def test_a_script_runs_where_fairing_is_not_installed(
    project: Project, container: Container
) -> None:
    project.write("helper.py", "value = 42")
    project.write("data/a.txt", "data")
    project.write(
        "train.py",
        """
        import sys
        import fairing_core as fairing
        from fairing_core import TrainJob, k8s_utils
        from fairing_core.k8s_utils import mounting_pvc
        import helper

        fairing.config.set_builder("append", registry="r")
        fairing.config.run()
        job = TrainJob("train.py", pod_spec_mutators=[mounting_pvc("claim")])
        print(helper.value, open("data/a.txt").read(), sys.argv[1:], bool(job.submit().wait()))
        """,
    )
    ran = container.run(project.script(input_files=["data"]), "--lr", "0.1")
    assert (ran.code, ran.out) == (0, "42 data ['--lr', '0.1'] False\n"), ran.err


def test_importing_the_package_loads_nothing_slow() -> None:
    program = (
        "import sys, fairing_core.preprocess;"
        "print(*{'pluggy', 'importlib.metadata', 'kubernetes', 'asyncio', 'cloudpickle'}"
        " & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"
