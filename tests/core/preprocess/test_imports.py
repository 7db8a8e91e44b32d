from __future__ import annotations

import logging
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from fairing_core.preprocess.imports import absolute
from tests.core.preprocess.harness import Project, named


def travelling(project: Project, program: str) -> dict[str, str]:
    """What travels beside `program`, and why."""
    project.write("train.py", program)
    files = named(project.script())
    return {name: file.reason for name, file in files.items() if name != "train.py"}


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import helper", {"helper.py"}),
        ("import helper as h, other", {"helper.py", "other.py"}),
        ("from helper import x", {"helper.py"}),
        ("def f():\n    import helper", {"helper.py"}),
        ("if True:\n    try:\n        import helper\n    except ImportError: pass", {"helper.py"}),
        ("import pkg", {"pkg/__init__.py"}),
        ("import pkg.a", {"pkg/__init__.py", "pkg/a.py"}),
        ("from pkg import a", {"pkg/__init__.py", "pkg/a.py"}),
        ("from pkg.a import thing", {"pkg/__init__.py", "pkg/a.py"}),
        ("import pkg.deep.c", {"pkg/__init__.py", "pkg/deep/__init__.py", "pkg/deep/c.py"}),
        ("from pkg import *", {"pkg/__init__.py", "pkg/a.py"}),
        ("import space.a", {"space/a.py"}),
        ("from space import a", {"space/a.py"}),
        ("from space.more import b", {"space/more/b.py"}),
        ("import os, numpy, no.such", set()),
        ("import space", set()),
    ],
)
def test_a_local_module_that_is_imported_travels(
    project: Project, program: str, expected: set[str]
) -> None:
    for name in (
        *("helper.py", "other.py", "unused.py", "space/a.py", "space/more/b.py"),
        *("pkg/__init__.py", "pkg/a.py", "pkg/deep/__init__.py", "pkg/deep/c.py"),
    ):
        project.write(name)
    assert set(travelling(project, program)) == expected


def test_imports_of_imports_travel_and_say_who_imports_them(project: Project) -> None:
    project.write("helper.py", "import deeper")
    project.write("deeper.py", "import helper, pkg.a")
    project.write("pkg/__init__.py")
    project.write("pkg/a.py", "import last")
    project.write("last.py")
    assert travelling(project, "import helper") == {
        "helper.py": "imported by train.py",
        "deeper.py": "imported by helper.py",
        "pkg/__init__.py": "imported by deeper.py",
        "pkg/a.py": "imported by deeper.py",
        "last.py": "imported by pkg/a.py",
    }


def test_relative_imports_are_followed(project: Project) -> None:
    project.write("pkg/__init__.py", "from . import one")
    project.write("pkg/one.py", "from .two import x")
    project.write("pkg/two.py", "from .sub import three")
    project.write("pkg/sub/__init__.py")
    project.write("pkg/sub/three.py", "from ..four import x\nfrom ...outside import y")
    project.write("pkg/four.py")
    project.write("outside.py")
    assert set(travelling(project, "import pkg")) == {
        *("pkg/__init__.py", "pkg/one.py", "pkg/two.py", "pkg/four.py"),
        *("pkg/sub/__init__.py", "pkg/sub/three.py"),
    }


@pytest.mark.parametrize(
    ("name", "level", "package", "expected"),
    [
        ("a.b", 0, "pkg", "a.b"),
        ("a", 1, "pkg", "pkg.a"),
        ("", 1, "pkg.sub", "pkg.sub"),
        ("a", 2, "pkg.sub", "pkg.a"),
        ("a", 1, "", None),
        ("a", 3, "pkg.sub", None),
    ],
)
def test_a_relative_name_means_one_in_the_package(
    name: str, level: int, package: str, expected: str | None
) -> None:
    assert absolute(name, level, package) == expected


def test_a_package_wins_over_a_module_and_a_module_over_a_bare_folder(project: Project) -> None:
    project.write("one/__init__.py")
    project.write("one.py")
    project.write("two/inner.py")
    project.write("two.py")
    assert set(travelling(project, "import one, two.inner")) == {"one/__init__.py", "two.py"}


def test_a_compiled_module_travels(project: Project) -> None:
    name = f"fast{EXTENSION_SUFFIXES[0]}"
    project.write(name, b"\x7fELF")
    assert set(travelling(project, "import fast")) == {name}


@pytest.mark.parametrize("broken", ["def f(:", "\0", "(" * 1000])
def test_a_file_that_can_not_be_parsed_travels_and_is_logged(
    project: Project, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    project.write("helper.py", broken)
    with caplog.at_level(logging.WARNING):
        assert set(travelling(project, "import helper")) == {"helper.py"}
    assert "helper.py travels, but what it imports is unknown" in caplog.text


def test_a_file_in_another_encoding_is_read(project: Project) -> None:
    project.write("helper.py")
    project.write("train.py", "# coding: latin-1\nimport helper  # é\n".encode("latin-1"))
    assert "helper.py" in named(project.script())


def test_warnings_of_the_users_code_are_not_raised_while_it_is_read(project: Project) -> None:
    project.write("helper.py")
    assert set(travelling(project, r"import helper; x = '\d'")) == {"helper.py"}


def test_fairing_itself_is_never_local(project: Project) -> None:
    project.write("fairing_core/jobs.py")
    assert travelling(project, "import fairing_core.jobs") == {}


def test_an_imported_module_that_is_an_input_too_travels_once(project: Project) -> None:
    project.write("helper.py")
    project.write("train.py", "import helper")
    assert named(project.script(input_files=["helper.py"]))["helper.py"].reason == "input_files"
