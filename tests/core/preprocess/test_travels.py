"""The user's bytes arrive as they are."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.core.preprocess.harness import Container, Project, content, named

NASTY = [
    "$HOME `id` \\ \\n ' \" '' \"\" $(VAR) $(id) $$ $${x} %s {} \t \r\n \x0b \x7f",
    "#!/bin/sh\nEOF\n",
    "é ü 漢字 🚀 \u202e \ufeff \u2028",
    "x" * 1_000_000,
]

SCRIPT = """
import hashlib, pathlib
for path in (__file__, "data.bin"):
    print(hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
"""


@settings(max_examples=60, deadline=None)
@example(data=NASTY[0].encode(), name="a.txt")
@example(data=b"\x00\xff\xfe" * 1000, name="$HOME `id`.txt")
@given(
    data=st.binary(max_size=4096) | st.text().map(lambda text: text.encode("utf-8", "replace")),
    name=st.text(st.sampled_from("ab$`'\"\\() é\n漢"), min_size=1, max_size=20),
)
def test_a_files_bytes_and_name_are_unchanged_in_the_context(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.write("train.py")
        project.write(f"{name}.x", data)
        context = project.script(f"{folder}/train.py", input_files=[folder])
        assert content(named(context)[f"{name}.x"]) == data


@pytest.mark.parametrize("text", NASTY, ids=["shell", "heredoc", "unicode", "large"])
def test_a_script_and_its_data_arrive_byte_for_byte(
    project: Project, container: Container, text: str
) -> None:
    script = (SCRIPT + "'''" + text.replace("'", "") + "'''").encode()
    project.write("train.py", script)
    project.write("data.bin", text.encode())
    ran = container.run(project.script(input_files=["data.bin"]))
    assert ran.out.split() == [
        hashlib.sha256(script).hexdigest(),
        hashlib.sha256(text.encode()).hexdigest(),
    ], ran.err


@pytest.mark.parametrize("text", NASTY, ids=["shell", "heredoc", "unicode", "large"])
def test_a_functions_arguments_and_globals_arrive_as_they_are(
    project: Project, container: Container, text: str
) -> None:
    project.write("train.py", "def train(x, *, y): return x == y == z")
    module = project.load("train")
    vars(module)["z"] = text
    context = project.function(module.train, text, kwargs={"y": text})
    assert container.run(context).value is True
