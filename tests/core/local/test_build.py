"""Unpacking: what is refused, and what is left when it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.types import BuildRequest, ContextFile
from tests.core.local.harness import Local, context_of, file_of, output_of, python


@pytest.mark.parametrize(
    "destination",
    [
        "/srv/x",
        "/apple",
        "/app",
        "/app/",
        "app/x",
        "/app/../x",
        "/app/a/../../x",
        "/app//x",
        "/app/.",
    ],
)
def test_a_destination_outside_app_is_refused(local: Local, destination: str) -> None:
    with pytest.raises(errors.InvalidDestination) as caught:
        local.build(file_of(destination, b""))
    assert repr(destination) in str(caught.value)
    assert "/app/ only" in str(caught.value)
    assert local.leftovers() == []


def test_a_name_that_no_file_can_have_is_refused(local: Local) -> None:
    with pytest.raises(errors.InvalidDestination, match="output_map"):
        local.build(file_of("/app/" + "x" * 300, b""))
    assert local.leftovers() == []


def test_two_files_for_one_place_are_refused(local: Local) -> None:
    with pytest.raises(errors.ConflictingInputs, match="/app/x"):
        local.build(file_of("/app/x", b"1"), file_of("/app/x", b"2"))
    assert local.leftovers() == []


def test_a_place_that_is_file_and_folder_is_refused(local: Local) -> None:
    with pytest.raises(errors.ConflictingInputs, match="/app/x/y"):
        local.build(file_of("/app/x", b"1"), file_of("/app/x/y", b"2"))
    assert local.leftovers() == []


def test_a_file_that_is_gone_is_missing_input(local: Local, tmp_path: Path) -> None:
    with pytest.raises(errors.MissingInput, match=r"gone\.csv"):
        local.build(ContextFile("/app/x", tmp_path / "gone.csv", size=1))
    assert local.leftovers() == []


def test_a_folder_in_place_of_a_file_is_unreadable_input(local: Local, tmp_path: Path) -> None:
    with pytest.raises(errors.UnreadableInput, match=str(tmp_path)):
        local.build(ContextFile("/app/x", tmp_path, size=1))
    assert local.leftovers() == []


def test_a_file_that_changed_meanwhile_is_refused(local: Local, tmp_path: Path) -> None:
    source = tmp_path / "growing.log"
    source.write_bytes(b"1")
    file = file_of("/app/x", source)
    source.write_bytes(b"12")
    with pytest.raises(errors.InputError, match="changed from 1 to 2 bytes"):
        local.build(file)
    assert local.leftovers() == []


def test_the_umask_changes_nothing(local: Local) -> None:
    old = os.umask(0o077)
    try:
        built = local.build(file_of("/app/a/go", b"", 0o755), file_of("/app/a/x", b""))
    finally:
        os.umask(old)
    run = local.deploy(built, ("true",))
    folder = local.folder(run) / "app" / "a"
    assert [(folder / name).stat().st_mode & 0o777 for name in ("go", "x")] == [0o755, 0o644]


def test_what_is_built_runs_once(local: Local) -> None:
    built = local.build()
    local.deploy(built, ("true",))
    with pytest.raises(errors.StateError, match="build again"):
        local.deploy(built, ("true",))


def test_the_builder_supports_every_context_here(local: Local) -> None:
    request = BuildRequest(context_of())
    assert local.backend.builder(request).supports(request) is None


def test_a_root_that_cannot_be_written_is_a_state_error(local: Local, tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from fairing_core import errors
from tests.core.local.harness import Local
Local(Path(sys.argv[1])).build()  # imports all there is, as nobody may not read it
if os.geteuid() == 0:
    os.setuid(65534)  # root may write everywhere
try:
    Local(Path(sys.argv[2], "runs")).build()
except errors.StateError as exc:
    print("make it writable" in str(exc), "FAIRING_LOCAL__ROOT" in str(exc))
"""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert output_of(python(code, str(local.root), str(locked))) == "True True\n"


def test_a_root_that_is_a_file_is_a_state_error(local: Local) -> None:
    local.root.write_bytes(b"")
    with pytest.raises(errors.StateError, match=str(local.root)):
        local.build()
    local.root.unlink()
