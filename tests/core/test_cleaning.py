"""What is old enough to go is found, and nothing else is."""

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest

from fairing_core import TrainJob
from fairing_core.cleaning import KINDS, Kind, Leftover, leftovers
from fairing_core.images.cache import Cache
from fairing_core.local import LocalBackend
from fairing_core.testing import FolderStorage

WEEK = 604_800


class Keeping(LocalBackend):
    """The local backend, with a store."""

    def storage(self) -> FolderStorage:
        assert self.root is not None
        return FolderStorage(folder=self.root.parent / "store")


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeping:
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FAIRING_ARTIFACTS", str(tmp_path / "artifacts"))
    return Keeping(root=tmp_path / "runs")


def stored(backend: Keeping, key: str, *, days: float = 0.0) -> str:
    content = key.encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    found = backend.storage().put(key, io.BytesIO(content), size=len(content), digest=digest)
    aged(Path(found.url.removeprefix("file://")), days)
    return found.url


def aged(path: Path, days: float) -> None:
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))


def found(backend: Keeping, *kinds: Kind, older_than: float = WEEK) -> list[Leftover]:
    return leftovers(backend=backend, older_than=older_than, kinds=kinds or KINDS)


def test_contexts_and_outputs_of_a_store_go_by_their_age(backend: Keeping) -> None:
    old = stored(backend, "contexts/old.tar.gz", days=8)
    older = stored(backend, "contexts/older.tar.gz", days=9)
    new = stored(backend, "contexts/new.tar.gz", days=6)
    other = stored(backend, "somebody/elses", days=100)
    output = stored(backend, "outputs/run-1", days=8)
    gone = found(backend)
    assert [(one.kind, one.name) for one in gone] == [
        ("contexts", older),
        ("contexts", old),
        ("outputs", output),
    ]
    for one in gone:
        one.remove()
    assert found(backend) == []
    assert backend.storage().stat(new)
    assert backend.storage().stat(other)


def test_ended_runs_go_and_others_stay(backend: Keeping) -> None:
    def wait() -> None:
        import time

        time.sleep(60)

    ended = TrainJob(len, args=("four",), backend=backend).submit()
    going = TrainJob(wait, backend=backend).submit()
    ended.wait(60)
    assert found(backend, "runs") == []
    (one,) = found(backend, "runs", older_than=0)
    assert one.name == ended.name
    one.remove()
    assert [run.name for run in backend.runs().list()] == [going.name]
    going.delete()


def test_outputs_that_came_home_go_by_their_newest_file(backend: Keeping, tmp_path: Path) -> None:
    for name, days in (("old", 8), ("new", 1)):
        folder = tmp_path / "artifacts" / name / "pod" / "files"
        folder.mkdir(parents=True)
        for number in range(2):
            (folder / f"{number}.bin").write_bytes(b"123")
            aged(folder / f"{number}.bin", days if number else 30)
    (one,) = found(backend, "artifacts")
    assert (Path(one.name).name, one.size) == ("old", 6)
    one.remove()
    assert sorted(path.name for path in (tmp_path / "artifacts").iterdir()) == ["new"]


def test_cache_entries_go_and_what_is_no_entry_stays(backend: Keeping, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    cache.put("tags", "a", b"1")
    cache.put("tags", "b", b"2")
    (mine := tmp_path / "cache" / "tags" / "notes.txt").write_text("mine")
    for path in (tmp_path / "cache" / "tags").iterdir():
        aged(path, 8)
    cache.put("tags", "b", b"3")
    (one,) = found(backend, "cache")
    one.remove()
    assert (cache.get("tags", "a"), cache.get("tags", "b")) == (None, b"3")
    assert mine.exists()
