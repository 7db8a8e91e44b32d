"""What is put on the base: 20 KB of code, 100 MB of random bytes, 256 MB of packages.

Each run has to be a change: `refresh` writes a new token into a file, and the same bytes into a tar
of the same files, since crane takes one. That tar is there before the clock starts.
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import shutil
import sysconfig
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MB = 1_000_000
MARK = "# run "
TOKEN = len(uuid.uuid4().hex)


@dataclass(frozen=True)
class Content:
    """A folder of files, and a tar of the same; `train.py` begins with the token of a run."""

    name: str
    folder: Path
    tar: Path
    fresh: tuple[str, ...] = ("train.py",)
    """Files that begin with a token."""

    def refresh(self) -> str:
        """Makes it a new one, in the folder and in the tar; gives the token."""
        token = uuid.uuid4().hex
        with tarfile.open(self.tar) as tar:
            # The fresh ones are its first members: no reading through all of it.
            places = {name: _offset(tar, f"app/{name}") for name in self.fresh}
        for name, offset in places.items():
            for path, at in ((self.folder / name, 0), (self.tar, offset)):
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(f"{MARK}{token}\n".encode())
        return token


def _offset(tar: tarfile.TarFile, name: str) -> int:
    for member in tar:
        if member.name == name:
            return member.offset_data
    raise KeyError(name)


def code(folder: Path) -> Content:
    """One file of 20 KB."""
    _write(folder / "code" / "train.py", _program(20_000))
    return _tarred("20kb", folder / "code")


def random_bytes(folder: Path, size: int = 100 * MB) -> Content:
    """A program and a file of random bytes; both change."""
    there = folder / "random"
    _write(there / "train.py", _program(2_000))
    rng = random.Random("weights")
    with (there / "weights.bin").open("wb") as file:
        for start in range(0, size, MB):
            file.write(rng.randbytes(min(MB, size - start)))
    return _tarred("100mb", there, ("train.py", "weights.bin"))


def packages(folder: Path, size: int = 256 * MB) -> Content:
    """A program and some 6000 files of the packages installed here; the program changes."""
    there = folder / "packages"
    _write(there / "train.py", _program(2_000))
    left = size
    for name, source in _installed():
        length = source.stat().st_size
        if length <= left:
            target = there / "packages" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            left -= length
    return _tarred("256mb", there)


def small_files(folder: Path, number: int = 10_000) -> Path:
    """A folder of files of some 2.5 KB each: code, a hundred in a folder."""
    there = folder / "small"
    rng = random.Random("small")
    for index in range(number):
        path = there / f"{index // 100:03}" / f"module_{index:05}.py"
        _write(path, _program(rng.randint(2_000, 3_000), seed=index))
    return there


def _installed() -> Iterator[tuple[str, Path]]:
    """Files of this Python's packages and of its library, in an order that the names decide."""
    found = {}
    for kind in ("stdlib", "purelib"):
        root = Path(sysconfig.get_path(kind))
        for path, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name not in {"__pycache__", "site-packages"}]
            for name in names:
                file = Path(path, name)
                if file.suffix in {".py", ".pyi", ".so"} and not file.is_symlink():
                    found[f"{kind}/{file.relative_to(root)}"] = file
    yield from sorted(found.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest())


def _program(size: int, seed: int = 0) -> bytes:
    """Code of that size: a token's line, then a piece of this Python's own library."""
    library = _library()
    start = random.Random(f"program {seed}").randrange(len(library) - size)
    return (f"{MARK}{'0' * TOKEN}\n".encode() + library[start:])[:size]


@functools.cache
def _library() -> bytes:
    modules = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return b"".join(module.read_bytes() for module in modules)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _tarred(name: str, folder: Path, fresh: tuple[str, ...] = ("train.py",)) -> Content:
    rest = sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and str(path.relative_to(folder)) not in fresh
    )
    tar = folder.with_suffix(".tar")
    with tarfile.open(tar, "w") as archive:
        for each in (*fresh, *rest):
            archive.add(folder / each, f"app/{each}", filter=_anyone)
    return Content(name, folder, tar, fresh)


def _anyone(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
