"""Bytes go through as they are: arguments, environment, files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairing_core import errors
from fairing_core.limits import ARGUMENT as ARGUMENT_LIMIT
from fairing_core.types import PodPatch, RunStatus
from tests.core.local.harness import Local, env_patch, file_of

# Any bytes but NUL, as Python spells them: what is no UTF-8 comes as lone surrogates.
NATIVE = st.binary(max_size=60).map(lambda data: os.fsdecode(data.replace(b"\0", b"")))
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
TRICKY = [
    "",
    " ",
    "$HOME",
    "$(VAR)",
    "$$",
    "`id`",
    "\\",
    "'",
    '"',
    "a\nb",
    "\r\n",
    "é🚀",
    "-c",
    "=",
    "*",
]
NAMES = st.text("ABCxyz_09.-é ", min_size=1, max_size=8).map(lambda name: f"T_{name}")
FEW = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

ARGUMENTS = "import os, sys; open('out', 'wb').write(b'\\0'.join(map(os.fsencode, sys.argv[1:])))"
VARIABLES = """
import os
pairs = [name + b"=" + value for name, value in os.environb.items() if name.startswith(b"T_")]
open("out", "wb").write(b"\\0".join(sorted(pairs)))
"""


def _out(local: Local, code: str, *args: str, **more: Any) -> bytes:
    run = local.submit(code, *args, **more)
    assert run.wait(30) is RunStatus.SUCCEEDED, run.outcome().tail
    data = (local.folder(run) / "app" / "out").read_bytes()
    run.delete()
    return data


@FEW
@given(st.lists(st.one_of(NATIVE, TEXT, st.sampled_from(TRICKY)), max_size=8))
@example(TRICKY)
@example(["\udcff\udc80", "\udcc3\udca9"])
def test_arguments_arrive_byte_for_byte(local: Local, args: list[str]) -> None:
    assert _out(local, ARGUMENTS, *args) == b"\0".join(map(os.fsencode, args))


@FEW
@given(st.dictionaries(NAMES, st.one_of(NATIVE, TEXT, st.sampled_from(TRICKY)), max_size=8))
def test_variables_arrive_byte_for_byte(local: Local, variables: dict[str, str]) -> None:
    pairs = sorted(os.fsencode(f"{name}={value}") for name, value in variables.items())
    assert _out(local, VARIABLES, patches=(env_patch(variables),)) == b"\0".join(pairs)


def test_an_argument_of_the_kernels_limit_arrives(local: Local) -> None:
    assert _out(local, ARGUMENTS, "x" * ARGUMENT_LIMIT) == b"x" * ARGUMENT_LIMIT


def test_a_variable_of_the_kernels_limit_arrives(local: Local) -> None:
    value = "x" * (ARGUMENT_LIMIT - len("T_BIG="))
    assert (
        _out(local, VARIABLES, patches=(env_patch({"T_BIG": value}),)) == f"T_BIG={value}".encode()
    )


@pytest.mark.parametrize(
    "argument", ["x" * (ARGUMENT_LIMIT + 1), "é" * (ARGUMENT_LIMIT // 2 + 1), "a\0b", "\ud800"]
)
def test_an_argument_that_no_process_can_take_is_refused(local: Local, argument: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="argument 3"):
        local.submit("pass", "fine", argument)
    assert _runs(local) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("BIG", "x" * ARGUMENT_LIMIT), ("NUL", "a\0b"), ("A=B", "x"), ("", "x"), ("A\0B", "x")],
)
def test_a_variable_that_no_process_can_have_is_refused(
    local: Local, name: str, value: str
) -> None:
    with pytest.raises(errors.InvalidArgument):
        local.submit("pass", patches=(env_patch({name: value}),))
    assert _runs(local) == []


def test_a_refused_value_is_not_shown(local: Local) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        local.submit("pass", patches=(env_patch({"TOKEN": "s3cret\0"}),))
    assert "TOKEN" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_variable_that_is_no_text_is_refused(local: Local) -> None:
    patch = PodPatch(container={"env": [{"name": "EPOCHS", "value": 3}]})
    with pytest.raises(errors.InvalidArgument, match="EPOCHS must be text, not int"):
        local.submit("pass", patches=(patch,))


def test_a_patch_says_what_kubernetes_would_make_of_it(local: Local) -> None:
    given = {"T_A": "a", "T_B": "$(T_A) $$(T_A) $(T_NONE)"}
    env = [{"name": name, "value": value} for name, value in given.items()]
    found = _out(local, VARIABLES, patches=(PodPatch(container={"env": env}),))
    assert found == b"T_A=a\0T_B=a $(T_A) $(T_NONE)"


def test_too_many_arguments_are_refused_and_leave_nothing(local: Local) -> None:
    with pytest.raises(errors.InvalidArgument, match="input_files"):
        local.submit("pass", *["x" * 131_000] * 60)
    assert local.leftovers() == []


def test_too_large_an_environment_is_refused_and_leaves_nothing(local: Local) -> None:
    variables = {f"T_{n}": "x" * 131_000 for n in range(60)}
    with pytest.raises(errors.InvalidArgument, match="input_files"):
        local.submit("pass", patches=(env_patch(variables),))
    assert local.leftovers() == []


@FEW
@given(content=st.binary(max_size=5000), mode=st.sampled_from([0o644, 0o755]))
def test_files_arrive_byte_for_byte(local: Local, content: bytes, mode: int) -> None:
    run = local.deploy(local.build(file_of("/app/data/x.bin", content, mode)), ("true",))
    path = local.folder(run) / "app" / "data" / "x.bin"
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == mode
    run.delete()


def test_a_file_of_a_megabyte_arrives_from_disk(local: Local, tmp_path: Path) -> None:
    source = tmp_path / "big file $HOME 🚀.bin"
    source.write_bytes(os.urandom(1 << 20))
    run = local.deploy(local.build(file_of(f"/app/{source.name}", source)), ("true",))
    assert (local.folder(run) / "app" / source.name).read_bytes() == source.read_bytes()


def _runs(local: Local) -> list[str]:
    return [name for name in local.leftovers() if not name.startswith(".staging-")]
