"""What the benchmark puts on its base."""

from __future__ import annotations

import tarfile
from pathlib import Path

from benchmarks.appending import contents


def in_tar(content: contents.Content) -> dict[str, bytes]:
    with tarfile.open(content.tar) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def in_folder(content: contents.Content) -> dict[str, bytes]:
    files = [path for path in content.folder.rglob("*") if path.is_file()]
    return {f"app/{path.relative_to(content.folder)}": path.read_bytes() for path in files}


def test_a_refreshed_content_is_another_one_and_its_tar_says_the_same(tmp_path: Path) -> None:
    content = contents.random_bytes(tmp_path, 2_000_000)
    before = in_folder(content)
    token = content.refresh()
    after = in_folder(content)
    assert in_tar(content) == after
    assert before.keys() == after.keys() == {"app/train.py", "app/weights.bin"}
    for name, bytes_ in after.items():
        assert bytes_ != before[name]
        assert len(bytes_) == len(before[name])
        assert token.encode() in bytes_


def test_the_code_is_20_kb(tmp_path: Path) -> None:
    content = contents.code(tmp_path)
    assert [len(each) for each in in_folder(content).values()] == [20_000]


def test_packages_fill_what_they_are_given_in_the_same_way_each_time(tmp_path: Path) -> None:
    one, other = (contents.packages(tmp_path / name, 1_000_000) for name in ("one", "other"))
    assert in_folder(one) == in_folder(other) == in_tar(one)
    assert 900_000 < sum(map(len, in_folder(one).values())) <= 1_010_000
