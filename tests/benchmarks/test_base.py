"""The benchmark's base image, at a small scale."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

from benchmarks.appending.base import Recipe, made

SMALL = Recipe(layers=(30_000, 5_000_000, 1_000))


def read(folder: Path, digest: str) -> bytes:
    return (folder / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def test_a_base_is_an_image_whose_digests_are_right(tmp_path: Path) -> None:
    base = made(SMALL, tmp_path, print)
    index = json.loads((base.folder / "index.json").read_text())
    manifest = json.loads(read(base.folder, index["manifests"][0]["digest"]))
    config = json.loads(read(base.folder, manifest["config"]["digest"]))
    plain = []
    for layer in manifest["layers"]:
        content = read(base.folder, layer["digest"])
        assert layer["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert layer["size"] == len(content)
        plain.append(gzip.decompress(content))
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(each).hexdigest()}" for each in plain
    ]
    with tarfile.open(fileobj=io.BytesIO(plain[1])) as tar:
        assert sum(entry.size for entry in tar) == 5_000_000
    assert f"PYTHON_VERSION={SMALL.python}" in config["config"]["Env"]
    assert "User" not in config["config"]


def test_the_same_recipe_makes_the_same_image_anywhere(tmp_path: Path) -> None:
    one, other = (made(SMALL, tmp_path / name, print) for name in ("one", "other"))
    assert (one.folder / "index.json").read_bytes() == (other.folder / "index.json").read_bytes()
    assert one.folder.name == other.folder.name


def test_a_base_is_made_once(tmp_path: Path) -> None:
    told: list[str] = []
    assert made(SMALL, tmp_path, told.append) == made(SMALL, tmp_path, told.append)
    assert len(told) == 1
    assert [path.name for path in tmp_path.iterdir()] == [f"base-{SMALL.key}"]
