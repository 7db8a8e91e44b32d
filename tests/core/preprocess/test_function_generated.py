"""Generated functions give and print in a run what they do when they are called directly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.preprocess.harness import ROOT, Container, Project

# Each defines a function {f} of a number, which calls {g}, the one before it.
FORMS = {
    "plain": "def {f}(x, y={a}):\n    return {g}(x) {op} y",
    "lambda": "{f} = lambda x: {g}(x) {op} {a}",
    "closure": (
        "def make_{f}(n):\n    def inner(x):\n        return {g}(x) {op} n\n    return inner\n"
        "{f} = make_{f}({a})"
    ),
    "decorated": (
        "def deco_{f}(function):\n    @functools.wraps(function)\n"
        "    def inner(x):\n        return function(x) {op} {a}\n    return inner\n"
        "@deco_{f}\n@deco_{f}\ndef {f}(x):\n    return {g}(x)"
    ),
    "decorated by a class": (
        "class Deco_{f}:\n    def __init__(self, function):\n        self.function = function\n"
        "    def __call__(self, x):\n        return self.function(x) {op} {a}\n"
        "@Deco_{f}\ndef {f}(x):\n    return {g}(x)"
    ),
    "partial": (
        "def base_{f}(n, x):\n    return {g}(x) {op} n\n{f} = functools.partial(base_{f}, {a})"
    ),
    "method": (
        "class C_{f}:\n    n = {a}\n    def m(self, x):\n        return {g}(x) {op} self.n\n"
        "{f} = C_{f}().m"
    ),
    "inherited": (
        "class B_{f}:\n    def m(self, x):\n        return {g}(x)\n"
        "class C_{f}(B_{f}):\n    def m(self, x):\n        return super().m(x) {op} {a}\n"
        "{f} = C_{f}().m"
    ),
    "static method": (
        "class S_{f}:\n    @staticmethod\n    def m(x):\n        return {g}(x) {op} {a}\n"
        "{f} = S_{f}.m"
    ),
    "data class": (
        "@dataclasses.dataclass\nclass D_{f}:\n    n: int = {a}\n"
        "    def __call__(self, x):\n        return {g}(x) {op} self.n\n{f} = D_{f}()"
    ),
    "cached": (
        "@functools.lru_cache(maxsize=None)\ndef {f}(x):\n    print('once')\n"
        "    return {g}(x) {op} {a}"
    ),
    "nonlocal": (
        "def {f}(x):\n    def inner():\n        nonlocal x\n        x = x {op} {a}\n"
        "        return x\n    return inner() + {g}(x)"
    ),
    "global": (
        "total_{f} = {a}\ndef {f}(x):\n    global total_{f}\n    total_{f} = total_{f} {op} x\n"
        "    print({text!r}, total_{f})\n    return {g}(x) + total_{f}"
    ),
    "generator": "def {f}(x):\n    return sum(v {op} {a} for v in [{g}(x), {b}])",
    "exception": (
        "def {f}(x):\n    try:\n        return {g}(x) // ({a} - {a})\n"
        "    except ZeroDivisionError as error:\n        print(type(error).__name__)\n"
        "        return {b}"
    ),
    "context": (
        "@contextlib.contextmanager\ndef around_{f}():\n    print({text!r})\n    yield {a}\n"
        "def {f}(x):\n    with around_{f}() as n:\n        return {g}(x) {op} n"
    ),
    "recursive": "def {f}(x):\n    return {g}(x) if x <= 0 else {f}(min(x, 5) - 1) {op} {a}",
    "by its module": (
        "import helper\ndef {f}(x):\n    return helper.twice({g}(x)) {op} {a}"
    ),
}  # fmt: skip

numbers = st.integers(-9, 9)
defined = st.fixed_dictionaries(
    {
        "form": st.sampled_from(sorted(FORMS)),
        "a": numbers,
        "b": numbers,
        "op": st.sampled_from("+-*"),
        "text": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    }
)


def program(definitions: Sequence[dict[str, object]]) -> str:
    lines = ["import contextlib, dataclasses, functools", "def f0(x):\n    return x"]
    for number, one in enumerate(definitions, 1):
        form = FORMS[str(one["form"])]
        lines.append(form.format(f=f"f{number}", g=f"f{number - 1}", **one))
    names = ", ".join(f"f{number}" for number in range(len(definitions) + 1))
    lines.append(f"def train(x):\n    return [f(x) for f in ({names},)] * 2")
    return "\n".join(lines) + "\n"


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(definitions=st.lists(defined, min_size=4, max_size=12), number=numbers)
@pytest.mark.timeout(300)
def test_a_generated_function_does_in_a_run_what_it_does_here(
    definitions: list[dict[str, object]], number: int, container: Container
) -> None:
    text = program(definitions)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder, "project"))
        project.write("helper.py", "def twice(x):\n    return 2 * x\n")
        direct = project.write(
            "direct.py", f"{text}\nimport json, sys\njson.dump(train({number}), sys.stderr)\n"
        )
        here = subprocess.run(
            [sys.executable, direct],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        )
        packaged = project.main(text, args=f"({number},)", PYTHONUTF8="1")
        ran = Container(container.python, Path(folder, "image")).run(packaged, PYTHONUTF8="1")
        assert (ran.value, ran.out) == (json.loads(here.stderr), here.stdout.decode()), text
