from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.build.key import FRESH, stat_key
from fairing_core.types import ContextFile
from fairing_core.values import replace
from tests.core.build.harness import inline, on_disk

LATER = time.time_ns() + 3600 * 10**9


def key(*files: ContextFile, uid: int = 0, gid: int = 0, folder: str = "/app/") -> str:
    found = stat_key(files, uid=uid, gid=gid, folders=[folder], now=LATER)
    assert found is not None
    return found


@pytest.fixture
def file(tmp_path: Path) -> ContextFile:
    return on_disk(tmp_path / "a", "/app/a", b"one")


def path_of(file: ContextFile) -> Path:
    assert isinstance(file.content, Path)
    return file.content


def test_files_that_stay_as_they_are_have_one_key(file: ContextFile) -> None:
    assert key(file, inline("/app/b")) == key(inline("/app/b"), file)


def test_the_key_needs_no_contents(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.touch()
    os.truncate(big, 1 << 40)
    began = time.monotonic()
    key(ContextFile("/app/big", big, size=1 << 40))
    assert time.monotonic() - began < 10


def test_other_bytes_with_the_same_size_and_time_have_another_key(file: ContextFile) -> None:
    before = key(file)
    status = path_of(file).stat()
    time.sleep(0.05)  # a tick of the file system's clock
    path_of(file).write_bytes(b"two")
    os.utime(path_of(file), ns=(status.st_atime_ns, status.st_mtime_ns))
    assert key(file) != before


def test_a_file_put_in_the_place_of_another_has_another_key(
    file: ContextFile, tmp_path: Path
) -> None:
    before = key(file)
    shutil.copy2(path_of(file), tmp_path / "copy")
    (tmp_path / "copy").replace(path_of(file))
    assert key(file) != before


def test_destination_mode_size_owner_and_folders_are_in_the_key(file: ContextFile) -> None:
    keys = {
        key(file),
        key(replace(file, destination="/app/b")),
        key(replace(file, mode=0o755)),
        key(replace(file, size=4)),
        key(file, uid=1),
        key(file, gid=1),
        key(file, folder="/opt/code/"),
        key(),
        key(inline("/app/a", b"one")),
        key(inline("/app/a", b"two")),
    }
    assert len(keys) == 10


def test_a_file_that_has_just_changed_has_no_key(file: ContextFile) -> None:
    assert stat_key([file], uid=0, gid=0) is None
    changed = path_of(file).stat().st_ctime_ns
    assert stat_key([file], uid=0, gid=0, now=changed + FRESH - 1) is None
    assert stat_key([file], uid=0, gid=0, now=changed + FRESH) is not None


def test_a_file_that_changed_in_the_future_has_no_key(file: ContextFile) -> None:
    changed = path_of(file).stat().st_ctime_ns
    assert stat_key([file], uid=0, gid=0, now=changed - 3600 * 10**9) is None


def test_a_date_in_the_future_that_somebody_set_does_no_harm(file: ContextFile) -> None:
    os.utime(path_of(file), (4e9, 4e9))
    assert key(file)


def test_bytes_that_are_no_file_are_never_too_fresh() -> None:
    assert stat_key([inline("/app/a")], uid=0, gid=0) is not None


def test_a_name_that_is_no_utf8_has_a_key() -> None:
    assert key(inline(os.fsdecode(b"/app/\xff")))


def test_a_file_that_is_gone_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingInput, match="gone does not exist"):
        key(ContextFile("/app/a", tmp_path / "gone", size=1))
