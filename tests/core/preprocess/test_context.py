from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.preprocess.context import LARGE, pack
from fairing_core.types import BuildContext, ContextFile


def text(destination: str, content: bytes = b"x", mode: int = 0o644) -> ContextFile:
    return ContextFile(destination, content, mode=mode, size=len(content), reason="test")


def packed(*files: ContextFile, command: tuple[str, ...] = ("python", "/app/a.py")) -> BuildContext:
    return pack(files, command, workdir="/app")


def test_files_are_sorted_by_destination() -> None:
    context = packed(text("/app/b"), text("/app/a"), text("/app/B"))
    assert [file.destination for file in context.files] == ["/app/B", "/app/a", "/app/b"]


def test_the_digest_is_a_sha256_in_hex() -> None:
    kind, _, value = packed(text("/app/a")).digest.partition(":")
    assert kind == "sha256"
    assert len(bytes.fromhex(value)) == hashlib.sha256().digest_size


def test_the_digest_of_a_known_context_never_changes() -> None:
    context = packed(text("/app/a.py", b"print()\n"), text("/app/run.sh", b"", 0o755))
    # Computed by hand, from the framing that context.py describes.
    known = "2ed334695ff7bbfae1b1e7d67a49bef87e3e4fd63b74b5fd45a87256590e6a2c"
    assert context.digest == f"sha256:{known}"


def test_the_order_in_which_files_are_given_does_not_matter() -> None:
    files = [text(f"/app/{name}", name.encode()) for name in "abc"]
    assert packed(*files).digest == packed(*reversed(files)).digest


@pytest.mark.parametrize(
    "other",
    [
        packed(text("/app/a", b"xy")),
        packed(text("/app/a", b"x", 0o755)),
        packed(text("/app/b", b"x")),
        packed(text("/app/a", b"x"), text("/app/b", b"")),
        packed(text("/app/a", b"x"), command=("python", "/app/a.py", "")),
        packed(text("/app/a", b"x"), command=("python /app/a.py",)),
        packed(),
    ],
)
def test_the_digest_sees_every_part(other: BuildContext) -> None:
    assert packed(text("/app/a", b"x")).digest != other.digest


def test_bytes_can_not_pass_for_another_file() -> None:
    one = packed(text("/app/a", b"1"), text("/app/b", b"2"))
    size = (1).to_bytes(8, "big")
    forged = b"1" + (6).to_bytes(8, "big") + b"/app/b" + (0o644).to_bytes(8, "big") + size + b"2"
    assert packed(text("/app/a", forged)).digest != one.digest


def test_a_file_and_the_same_bytes_have_one_digest(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    file = ContextFile("/app/a", path, size=1)
    assert packed(file).digest == packed(text("/app/a", b"x")).digest


def test_the_same_file_twice_travels_once() -> None:
    assert len(packed(text("/app/a"), text("/app/a")).files) == 1


@pytest.mark.parametrize("other", [text("/app/a", b"y"), text("/app/a", b"x", 0o755)])
def test_two_sources_of_one_destination_are_an_error_that_names_both(
    tmp_path: Path, other: ContextFile
) -> None:
    path = tmp_path / "mine"
    path.write_bytes(b"x")
    with pytest.raises(errors.ConflictingInputs) as caught:
        packed(ContextFile("/app/a", path, size=1), other)
    assert str(path) in str(caught.value)
    assert "/app/a (test)" in str(caught.value)


def test_a_file_where_another_wants_a_folder_is_an_error() -> None:
    with pytest.raises(errors.ConflictingInputs, match="/app/a is a file"):
        packed(text("/app/a/b/c"), text("/app/a"))


def test_a_file_over_100_mb_is_warned_about_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large, limit = tmp_path / "large.bin", tmp_path / "limit.bin"
    for path, size in ((large, LARGE + 1), (limit, LARGE)):
        with path.open("wb") as file:
            file.truncate(size)
    with caplog.at_level(logging.WARNING):
        packed(
            ContextFile("/app/large", large, size=LARGE + 1),
            ContextFile("/app/limit", limit, size=LARGE),
        )
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "large.bin is large (100 MB)" in caplog.text
    assert "limit.bin" not in caplog.text


@pytest.mark.parametrize("size", [1, 3])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"ab")
    with pytest.raises(errors.UnreadableInput, match=r"log\.txt changed while it was read"):
        packed(ContextFile("/app/a", path, size=size))


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingInput, match="gone does not exist"):
        packed(ContextFile("/app/a", tmp_path / "gone", size=1))


def test_a_name_that_is_no_utf8_has_a_digest() -> None:
    name = os.fsdecode(b"/app/\xff.txt")
    context = packed(text(name))
    assert context.files[0].destination == name
    assert context.digest.startswith("sha256:")
