"""What the current interpreter lacks is said before anything runs."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.local import requirements
from fairing_core.types import ContextFile, Import
from fairing_core.values import replace
from tests.core.local.harness import Local, context_of, file_of


def _check(text: str, **others: bytes) -> None:
    files = [file_of("/app/requirements.txt", text.encode())]
    files += [file_of(f"/app/{name}.txt", data) for name, data in others.items()]
    requirements.check(context_of(*files))


def _lacking(text: str, **others: bytes) -> tuple[str, ...]:
    with pytest.raises(errors.MissingRequirements) as caught:
        _check(text, **others)
    return caught.value.lacking


def test_what_is_installed_is_no_error() -> None:
    _check("pluggy\npackaging>=20\n")


def test_an_import_that_is_nowhere_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    told = tuple(Import(name, "train.py") for name in ("pluggy", "hypothesis", "no_such_thing"))
    requirements.check(replace(context_of(), imports=told))
    assert f"train.py imports no_such_thing, which {sys.executable} lacks" in caplog.text
    assert "pluggy" not in caplog.text


def test_each_lacking_one_is_named_with_its_cure() -> None:
    with pytest.raises(errors.MissingRequirements) as caught:
        _check("pluggy>=999\nno-such-thing-here ~= 1.0\npackaging\n")
    message = str(caught.value)
    assert caught.value.lacking == ("pluggy>=999", "no-such-thing-here~=1.0")
    assert "no-such-thing-here~=1.0: not installed" in message
    assert "is installed" in message
    assert f"{sys.executable} -m pip install 'pluggy>=999' 'no-such-thing-here~=1.0'" in message


def test_a_requirement_for_others_is_none_here() -> None:
    _check("no-such-thing; sys_platform == 'win32'\nno-such-thing; python_version < '3'\n")


def test_a_requirement_for_this_one_counts() -> None:
    assert _lacking("no-such-thing; python_version >= '3'\n") == ("no-such-thing",)


def test_comments_hashes_and_continued_lines_are_read_as_pip_does() -> None:
    text = (
        "\ufeff# top\n\npluggy>=1 # why\n  # indented\n"
        "pluggy \\\n    >=1 \\\n    --hash=sha256:0 --hash=sha256:1\r\n"
        "no-such#thing\n"
    )
    _check(text)


def test_included_files_are_read() -> None:
    included = b"-r b.txt\n-rrequirements.txt\n"
    assert _lacking("-r a.txt\n", a=included, b=b"no-such-thing\n") == ("no-such-thing",)


def test_an_included_file_that_does_not_travel_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        _check("--requirement=../other.txt\n")
    assert "../other.txt" in caplog.text


@pytest.mark.parametrize(
    "line",
    ["-e .", "--index-url https://x.example", "https://x.example/a.whl", "./wheel.whl", "-c c"],
)
def test_a_line_that_cannot_be_judged_is_logged(
    caplog: pytest.LogCaptureFixture, line: str
) -> None:
    with caplog.at_level(logging.INFO):
        _check(f"{line}\n")
    assert line in caplog.text


def test_a_requirement_by_url_must_be_installed_at_least() -> None:
    _check("pluggy @ https://x.example/pluggy.whl\n")
    assert _lacking("no-such-thing @ https://x.example/a.whl\n")


def test_what_an_extra_needs_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = tmp_path / "with_extra-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(
        "Metadata-Version: 2.1\nName: with-extra\nVersion: 1.0\nProvides-Extra: gpu\n"
        "Requires-Dist: pluggy\nRequires-Dist: no-such-thing>=2; extra == 'gpu'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    _check("with-extra\n")
    with pytest.raises(
        errors.MissingRequirements, match=r"\[gpu\] needs no-such-thing>=2: not inst"
    ):
        _check("with-extra[gpu]==1.0\n")


def test_a_prerelease_that_fits_is_enough() -> None:
    _check("pluggy>=0.1a1\n")


def test_another_python_than_needed_is_an_error() -> None:
    with pytest.raises(errors.MissingRequirements, match=r"needs Python 3\.7"):
        requirements.check(context_of(python="3.7"))


def test_the_current_python_is_no_error() -> None:
    requirements.check(context_of(python=f"{sys.version_info[0]}.{sys.version_info[1]}"))


def test_the_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("no-such-thing\n")
    with pytest.raises(errors.MissingRequirements):
        requirements.check(context_of(file_of("/app/requirements.txt", path)))


def test_a_file_that_is_gone_is_missing_input(tmp_path: Path) -> None:
    gone = ContextFile("/app/requirements.txt", tmp_path / "requirements.txt", size=1)
    with pytest.raises(errors.MissingInput):
        requirements.check(context_of(gone))


def test_a_build_stops_before_it_writes(local: Local) -> None:
    with pytest.raises(errors.MissingRequirements):
        local.build(file_of("/app/requirements.txt", b"no-such-thing\n"))
    assert local.leftovers() == []
