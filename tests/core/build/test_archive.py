"""A build's context as an archive: what is in it, and whose Dockerfile."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.build.archive import archived, generated, users_own
from fairing_core.build.dockerfile import Owner
from fairing_core.build.image import Changes
from fairing_core.types import BuildContext, ContextFile
from tests.core.build.conftest import COMMAND, MAIN, context_of
from tests.core.build.harness import contents, inline, members, on_disk

OWN = inline("/Dockerfile", b"FROM mine\n")
CHANGES = Changes(COMMAND, "/app")


def tar(context: BuildContext, text: str = "FROM b\n", **more: str | bool) -> bytes:
    options = {"is_generated": True, **more}
    return b"".join(archived(context, text, **options).tar())  # type: ignore[arg-type]


def test_files_lie_beside_the_dockerfile_with_their_modes() -> None:
    found = tar(context_of(MAIN, inline("/opt/run", b"x", mode=0o755)))
    modes = {member.name: member.mode for member in members(found) if member.isfile()}
    assert modes == {"./Dockerfile": 0o644, "./app/main.py": 0o644, "./opt/run": 0o755}
    assert {(member.uid, member.gid) for member in members(found)} == {(0, 0)}


def test_below_a_folder_all_is_in_it() -> None:
    assert set(contents(tar(context_of(), below="context"))) == {
        "/context/Dockerfile",
        "/context/app/main.py",
    }


def test_places_that_would_break_an_image_are_a_dockerfile_s_own_affair() -> None:
    found = contents(tar(context_of(MAIN, inline("/tmp/x"), inline("/etc/hosts"))))
    assert {"/./tmp/x", "/./etc/hosts"} <= set(found)


@pytest.mark.parametrize("place", ["/app/../x", "relative", "/", "/a//b"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(errors.InvalidDestination):
        tar(context_of(inline(place)))


def test_names_that_copy_takes_for_patterns_are_others_in_the_archive() -> None:
    context = context_of(MAIN, inline("/opt/a*", b"star"), inline("/app/b*", b"whole"))
    found = contents(tar(context))
    assert b"star" in found.values()
    assert "/./opt/a*" not in found
    assert found["/./app/b*"] == b"whole"  # its folder is copied as it is
    kept = contents(tar(context, is_generated=False))
    assert kept["/./opt/a*"] == b"star"  # an own Dockerfile names it so


def test_the_same_files_give_the_same_bytes_and_another_dockerfile_another_key(
    tmp_path: Path,
) -> None:
    one = context_of(MAIN, inline("/app/x", b"1"))
    two = context_of(on_disk(tmp_path / "x", "/app/x", b"1"), MAIN)
    assert tar(one) == tar(two)
    keys = {
        archived(context, text, below=below, is_generated=True).key
        for context in (one, context_of())
        for text in ("FROM a\n", "FROM b\n")
        for below in (".", "context")
    }
    assert len(keys) == 8
    assert all(len(key) == 64 for key in keys)


def test_compressed_it_is_the_same_archive_and_its_size_is_told() -> None:
    whole = archived(context_of(), "FROM b\n", is_generated=True)
    sink = io.BytesIO()
    layer = whole.gzip(sink)
    assert gzip.decompress(sink.getvalue()) == b"".join(whole.tar())
    assert layer.size == len(sink.getvalue())
    assert whole.size == len(b"FROM b\n") + MAIN.size


# --- whose Dockerfile -----------------------------------------------------------------------------


def test_without_an_own_dockerfile_there_is_none() -> None:
    assert users_own(context_of(MAIN, inline("/app/Dockerfile")), None) is None


def test_the_one_among_the_inputs_is_the_user_s_own() -> None:
    assert users_own(context_of(MAIN, OWN), None) == "FROM mine\n"


def test_the_one_that_is_named_wins(tmp_path: Path) -> None:
    path = tmp_path / "Other"
    path.write_bytes(b"FROM other # \xff\n")
    text = users_own(context_of(MAIN, OWN), path)
    assert text == "FROM other # \udcff\n"
    assert contents(tar(context_of(MAIN, OWN), text))["/./Dockerfile"] == path.read_bytes()


def test_an_own_dockerfile_that_can_t_be_used_says_so(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingInput, match="none does not exist"):
        users_own(context_of(), tmp_path / "none")
    with pytest.raises(errors.UnreadableInput):
        users_own(context_of(), tmp_path)
    with pytest.raises(errors.EmptyEntry, match="is empty"):
        users_own(context_of(MAIN, inline("/Dockerfile", b" \n")), None)


def test_requirements_among_the_files_are_installed(tmp_path: Path) -> None:
    plain = generated(context_of(), "b", CHANGES, Owner(0, 0))
    assert "RUN" not in plain
    listed = on_disk(tmp_path / "r.txt", "/app/requirements.txt", b"numpy\n")
    text = generated(context_of(MAIN, listed), "b", CHANGES, Owner(0, 0))
    assert text.index("RUN") < text.index('["app/", "/app/"]')
    gone = ContextFile("/app/requirements.txt", tmp_path / "gone", size=1)
    with pytest.raises(errors.MissingInput):
        generated(context_of(MAIN, gone), "b", CHANGES, Owner(0, 0))
