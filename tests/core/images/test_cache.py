"""What is remembered: shared by processes, readable by one user, and never missed."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fairing_core.images.cache import Cache, digest_of
from tests.core.local.test_full_disk import _namespace


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "home" / "cache")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_put_is_got(cache: Cache) -> None:
    cache.put("kind", "key", b"one")
    cache.put("kind", "key", b"two")
    assert (cache.get("kind", "key"), cache.get("kind", "other")) == (b"two", None)
    assert cache.get("other", "key") is None


def test_plain_values_are_kept(cache: Cache) -> None:
    cache.save("kind", "key \udcff\0", {"a": [1, None]})
    assert cache.load("kind", "key \udcff\0") == {"a": [1, None]}


def test_what_was_dropped_is_gone(cache: Cache) -> None:
    cache.put("kind", "key", b"one")
    cache.drop("kind", "key")
    cache.drop("kind", "key")
    assert cache.get("kind", "key") is None


def test_without_a_folder_nothing_is_kept() -> None:
    cache = Cache(None)
    cache.put("kind", "key", b"one")
    cache.drop("kind", "key")
    cache.sweep()
    assert cache.load("kind", "key") is None


def test_only_the_user_can_read_it(cache: Cache, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        cache.put("tokens", "key", b"secret")
        cache.sweep()
    finally:
        os.umask(before)
    folder = tmp_path / "home" / "cache"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files(folder)}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "tokens")}
    assert (modes, folders) == ({0o600}, {0o700})


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_garbage_is_not_there(cache: Cache, tmp_path: Path, garbage: bytes) -> None:
    cache.save("kind", "key", 1)
    (path,) = files(tmp_path)
    path.write_bytes(garbage)
    assert cache.load("kind", "key") is None


def test_a_folder_in_the_place_of_an_entry_is_not_there(cache: Cache, tmp_path: Path) -> None:
    cache.save("kind", "key", 1)
    (path,) = files(tmp_path)
    path.unlink()
    path.mkdir()
    assert cache.load("kind", "key") is None
    cache.save("kind", "key", 2)


def test_a_blob_is_checked_against_its_digest(cache: Cache, tmp_path: Path) -> None:
    cache.keep_blob(b"content", digest_of(b"content"))
    assert cache.blob(digest_of(b"content")) == b"content"
    (path,) = files(tmp_path)
    path.write_bytes(b"other")
    assert cache.blob(digest_of(b"content")) is None


def test_it_may_be_deleted_at_any_time(cache: Cache, tmp_path: Path) -> None:
    for count in range(3):
        cache.save("kind", "key", count)
        assert cache.load("kind", "key") == count
        shutil.rmtree(tmp_path / "home")


def test_a_place_that_cant_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        cache.save("kind", "key", 1)
        cache.save("kind", "key", 2)
        cache.sweep()
    assert cache.load("kind", "key") is None
    assert len(caplog.records) == 1
    assert "going on without" in caplog.text


def test_old_entries_are_swept(cache: Cache, tmp_path: Path) -> None:
    cache.put("kind", "old", b"1")
    (old,) = files(tmp_path)
    os.utime(old, (0, 0))
    cache.put("kind", "new", b"1")
    cache.sweep()
    assert (cache.get("kind", "old"), cache.get("kind", "new")) == (None, b"1")


def test_it_is_swept_once_a_day(cache: Cache, tmp_path: Path) -> None:
    cache.sweep()
    cache.put("kind", "old", b"1")
    for path in files(tmp_path):
        if path.name != "swept":
            os.utime(path, (0, 0))
    cache.sweep()
    assert cache.get("kind", "old") == b"1"
    os.utime(tmp_path / "home" / "cache" / "swept", (0, 0))
    cache.sweep()
    assert cache.get("kind", "old") is None


def test_only_entries_are_swept(tmp_path: Path) -> None:
    """Whoever says FAIRING_CACHE=~ keeps their files."""
    theirs = [tmp_path / "letter.txt", tmp_path / "photos" / "1.jpg", tmp_path / "a" / "b" / "c"]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (0, 0))
    Cache(tmp_path).sweep()
    assert all(path.exists() for path in theirs)


def test_it_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("FAIRING_CACHE", raising=False)
    Cache.of_user().put("kind", "key", b"1")
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "named"))
    Cache.of_user().put("kind", "key", b"1")
    assert (tmp_path / "xdg" / "fairing" / "kind").is_dir()
    assert (tmp_path / "named" / "kind").is_dir()


WRITER = """
import sys
from pathlib import Path
from fairing_core.images.cache import Cache
cache = Cache(Path(sys.argv[1]))
for count in range(300):
    cache.save("kind", "key", [sys.argv[2]] * 500)
    found = cache.load("kind", "key")
    assert found is None or len(set(found)) == 1 and len(found) == 500, found
    if count % 50 == 0:
        cache.drop("kind", "key")
"""


def test_processes_never_see_half_an_entry(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "cache")]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(4)]
    assert [each.wait(60) for each in writers] == [0] * 4
    names = [path.name for path in files(tmp_path)]
    assert names in ([], [hashlib.sha256(b"key").hexdigest()])


FULL = """
import logging, sys
from pathlib import Path
from fairing_core.images.cache import Cache
logging.basicConfig(stream=sys.stdout, format="%(message)s")
cache = Cache(Path(sys.argv[1]) / "cache")
cache.put("kind", "key", b"old")
for count in range(50):
    cache.put("kind", str(count), bytes(100_000))
cache.put("kind", "key", bytes(100_000))
print(cache.get("kind", "key"), all(cache.get("kind", str(count)) in (None, bytes(100_000))
      for count in range(50)))
print(sorted(path.name for path in Path(sys.argv[1]).rglob("*.*")))
"""


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    command = _namespace()
    if command is None:
        pytest.skip("no small disk can be mounted: run as root, or allow user namespaces")
    mount = f'mount -t tmpfs -o size=1m tmpfs {tmp_path} && exec "$@"'
    words = [*command, "sh", "-c", mount, "sh", sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    warning, outcome, leftovers = done.stdout.splitlines()
    assert "No space left" in warning
    assert (outcome, leftovers) == ("b'old' True", "[]")
