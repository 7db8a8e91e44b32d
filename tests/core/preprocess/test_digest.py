"""The same files give the same digest, on any machine."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.preprocess.harness import ROOT, Project
from tests.core.preprocess.test_inputs import as_nobody

PROGRAM = """
import os, sys
os.umask(int(sys.argv[1], 8))
from fairing_core.preprocess.function import FunctionPreprocessor
from fairing_core.preprocess.python import PythonPreprocessor
from fairing_core.types import Source
sys.path.insert(0, os.getcwd())
import train
script = PythonPreprocessor(input_files=["data"]).preprocess(Source("script", train.__file__))
function = FunctionPreprocessor(input_files=["data"]).preprocess(
    Source("function", train.train, args=({"lr": 0.1, "n\\u00e9": "\\u00fc"},))
)
print(script.digest, function.digest)
"""

TRAIN = """
import functools
import helper

NAMES = ("a", "b")

@functools.lru_cache
def cached(n):
    return n

@helper.decorated
def train(config, flag=None):
    def inner(x):
        return x in {"alpha", "beta", "gamma", "delta"} or __file__
    return [inner(helper.value), cached(2), [word for word in NAMES], "a b", config]
"""

HELPER = """
import functools

value = 1

def decorated(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return f(*args, **kwargs)
    return wrapper
"""


def write(project: Project) -> None:
    project.write("train.py", TRAIN)
    project.write("helper.py", HELPER)
    project.write("data/a.csv", "1")
    project.write("data/ü.csv", "2")
    project.write("data/run.sh", "3").chmod(0o755)


def digests(folder: Path, umask: str = "022", **environ: str) -> list[str]:
    """The digests of a script and a function, as another process finds them."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, umask],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("usual")
    write(Project(folder))
    return digests(folder)


@pytest.mark.parametrize(
    "other",
    [
        {"umask": "077"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "2"},
        {"PYTHONDONTWRITEBYTECODE": "1"},
        {"TZ": "Asia/Tokyo", "HOME": "/nowhere", "USER": "somebody"},
    ],
    ids=str,
)
def test_the_digest_is_the_same_in_another_folder_and_process(
    usual: list[str], project: Project, other: dict[str, str]
) -> None:
    write(project)
    assert digests(project.root, **other) == usual


def test_the_digest_is_the_same_when_modules_come_from_their_cache(
    usual: list[str], project: Project
) -> None:
    write(project)
    digests(project.root)
    assert (project.root / "__pycache__").exists()
    assert digests(project.root) == usual


def test_the_digest_is_the_same_on_another_day(usual: list[str], project: Project) -> None:
    write(project)
    for path in project.root.rglob("*"):
        os.utime(path, (1, 1))
    assert digests(project.root) == usual


def test_the_digest_is_the_same_for_another_user() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        project = Project(Path(folder))
        project.write("train.py", "import helper")
        project.write("helper.py")
        mine = project.script(f"{folder}/train.py").digest

        def theirs() -> None:
            raise AssertionError(project.script(f"{folder}/train.py").digest)

        assert as_nobody(theirs) == f"AssertionError: {mine}"


def test_the_digest_of_a_program_is_the_same_in_every_process(project: Project) -> None:
    program = "KINDS = {}\ndef train(x=1):\n    return x in {'a', 'b', 'c'}, KINDS\n"
    one = project.main(program, PYTHONHASHSEED="1")
    two = project.main(program, PYTHONHASHSEED="2")
    assert one.digest == two.digest


def test_another_argument_is_another_digest(project: Project) -> None:
    write(project)
    train = project.load("train").train
    assert project.function(train, 1).digest != project.function(train, 2).digest


@settings(max_examples=30, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
        .filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
        .map(lambda name: f"{name}.x"),
        min_size=2,
        max_size=5,
        unique=True,
    ),
    data=st.data(),
)
def test_the_order_of_inputs_and_their_folder_do_not_matter(
    names: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(names))
    found = set()
    for order in (names, shuffled):
        with tempfile.TemporaryDirectory() as folder:
            project = Project(Path(folder))
            project.write("train.py")
            for name in order:
                project.write(name, name.encode())
            inputs = [f"{folder}/{name}" for name in order]
            context = project.script(f"{folder}/train.py", input_files=inputs)
            found.add((context.digest, tuple(file.destination for file in context.files)))
    assert len(found) == 1


def test_a_context_pickles_with_its_digest(project: Project) -> None:
    project.write("train.py")
    context = project.script()
    assert pickle.loads(pickle.dumps(context)) == context


def test_a_name_that_is_no_utf8_does_not_depend_on_the_locale(project: Project) -> None:
    project.write("train.py")
    (project.root / os.fsdecode(b"\xff.csv")).write_text("1")
    destinations = {file.destination for file in project.script(input_files=["."]).files}
    assert "/app/\udcff.csv" in destinations
