"""Which modules of others the code can't do without."""

from __future__ import annotations

import functools
import sys
import textwrap
from typing import Any

import pytest

from fairing_core.preprocess.bytecode import first_imports
from fairing_core.types import BuildContext
from tests.core.preprocess.harness import Project


def wanted(context: BuildContext) -> dict[str, str]:
    return {each.module: each.where for each in context.imports}


# --- scripts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "modules"),
    [
        ("import numpy", {"numpy"}),
        ("import os, numpy.linalg as la", {"numpy"}),
        ("from sklearn.svm import SVC", {"sklearn"}),
        ("with open(__file__):\n    import numpy", {"numpy"}),
        ("class A:\n    import numpy", {"numpy"}),
        ("if __name__ == '__main__':\n    import numpy", {"numpy"}),
        ('if __name__ == "__main__":\n    import numpy\nelse:\n    import pandas', {"numpy"}),
        ("try:\n    import numpy\nexcept ImportError:\n    numpy = None", set()),
        ("if False:\n    import numpy", set()),
        ("def f():\n    import numpy", set()),
        ("from __future__ import annotations\nimport sys", set()),
        ("import fairing_core", set()),
        ("import sys, numpy\nsys.path.insert(0, '/opt')\nimport pandas", {"numpy"}),
        ("import os, numpy\nos.system('pip install pandas')\nimport pandas", {"numpy"}),
        ("import subprocess\nsubprocess.run(['python', '-m', 'pip'])\nimport pandas", set()),
        ('"Needs: pip install numpy"\nimport numpy', {"numpy"}),
        ("import helper", {"pandas"}),
        ("import package.inner", {"scipy"}),
        ("try:\n    import helper\nexcept ImportError:\n    pass", set()),
    ],
)
def test_a_scripts_imports_under_no_condition(
    project: Project, program: str, modules: set[str]
) -> None:
    project.write("helper.py", "import pandas\n")
    project.write("package/__init__.py", "import scipy\n")
    project.write("package/inner.py", "pass\n")
    project.write("train.py", f"{program}\n")
    assert set(wanted(project.script())) == modules


def test_what_an_older_python_has_is_not_wanted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdlib_module_names", sys.stdlib_module_names - {"distutils", "cgi"})
    project.write("train.py", "import cgi, distutils.version, numpy")
    assert set(wanted(project.script())) == {"numpy"}


def test_it_says_what_imports_them(project: Project) -> None:
    project.write("train.py", "import helper, numpy\n")
    project.write("helper.py", "import numpy, pandas\n")
    assert wanted(project.script()) == {"numpy": "train.py", "pandas": "helper.py"}


def test_what_travels_is_not_wanted(project: Project) -> None:
    project.write("train.py", "import numpy, pandas, scipy\n")
    project.write("lib/numpy/__init__.py")
    project.write("pandas.zip", "x")
    context = project.script(input_files=["lib"], output_map={"pandas.zip": "/opt/pandas.zip"})
    assert set(wanted(context)) == {"scipy"}


def test_another_program_imports_nothing(project: Project) -> None:
    project.write("train.sh", "import numpy\n")
    assert wanted(project.script("train.sh", command=["bash"])) == {}


def test_a_script_that_can_t_be_parsed_wants_nothing(project: Project) -> None:
    project.write("train.py", "import numpy\n(\n")
    assert wanted(project.script()) == {}


# --- functions ------------------------------------------------------------------------------------


def defined(source: str) -> Any:
    space: dict[str, Any] = {"functools": functools}
    exec(textwrap.dedent(source), space)
    return space["f"]


FIRST = """
def f():
    import numpy
    from pandas.io import sql
    if numpy:
        import scipy
"""
INSTALLS = """
def f():
    '''Needs what pip installs.'''
    import os, numpy
    {}
    import pandas
"""
METHOD = """
class f:
    def train(self):
        import numpy
"""


@pytest.mark.parametrize(
    ("function", "modules"),
    [
        (defined(FIRST), {"numpy", "pandas"}),
        (defined("async def f():\n    return 1"), set()),
        (
            defined("def f():\n    import numpy\n    try:\n        import a\n    except E: pass"),
            {"numpy"},
        ),
        (defined("def f():\n    import numpy\n    with numpy:\n        import a"), {"numpy"}),
        (defined("def f(flag):\n    if flag:\n        import numpy"), set()),
        (defined("def f():\n    from . import numpy"), set()),
        (defined(INSTALLS.format("os.system('pip install pandas')")), {"os", "numpy"}),
        (defined(INSTALLS.format("os.spawnlp(0, 'python', '-m', 'pip')")), {"os", "numpy"}),
        (defined(INSTALLS.format("os.execv('x', ['python', '-m', 'pip'])")), {"os", "numpy"}),
        (defined(INSTALLS.format("os.sys.path.append('/opt/lib')")), {"os", "numpy"}),
        (defined(INSTALLS.format("os.system('ls')")), {"os", "numpy", "pandas"}),
        (defined(METHOD), {"numpy"}),
        (defined(METHOD)(), {"numpy"}),
        (defined(METHOD)().train, {"numpy"}),
        (functools.partial(defined(FIRST), 1), {"numpy", "pandas"}),
        (functools.wraps(defined(FIRST))(lambda: 1), {"numpy", "pandas"}),
        (lambda: __import__("numpy"), set()),
        (len, set()),
    ],
)
def test_a_functions_first_imports(function: Any, modules: set[str]) -> None:
    assert {name.partition(".")[0] for name in first_imports(function)} == modules


def test_what_a_function_refers_to_is_wanted(project: Project) -> None:
    program = """
    import hypothesis
    import json
    import helper

    def train():
        return json, hypothesis.given, helper
    """
    project.write("helper.py", "import pluggy\n")
    found = wanted(project.main(program))
    assert found == {"hypothesis": "train", "pluggy": "helper.py"}


def test_a_function_without_modules_of_others_wants_none(project: Project) -> None:
    assert wanted(project.function(len, "four")) == {}
