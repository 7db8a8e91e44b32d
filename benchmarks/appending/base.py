"""A base image of 13 layers and 1.3 GB, made here: random bytes, the same ones each time."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

MB = 1_000_000
VERSION = 1
"""Goes up when the same recipe makes other bytes."""


@dataclass(frozen=True)
class Recipe:
    """What a base is made of; the same recipe gives the same image."""

    layers: tuple[int, ...] = (
        *(49 * MB, 24 * MB, 64 * MB, 211 * MB, 6 * MB, 17 * MB, 1 * MB),
        *(3 * MB, 412 * MB, 318 * MB, 142 * MB, 61 * MB, 28 * MB),
    )
    """Bytes of each layer's files: those of an image with CUDA and a framework, more or less."""
    python: str = "3.11.14"
    seed: str = "fairing"

    @property
    def key(self) -> str:
        """Names the recipe."""
        return hashlib.sha256(f"{VERSION} {self!r}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Base:
    """An OCI layout of one image."""

    folder: Path
    blobs: frozenset[str]
    """The digests of its layers, without `sha256:`."""


def made(recipe: Recipe, cache: Path, say: Callable[[str], None]) -> Base:
    """The base of that recipe: made once, then found in the cache."""
    folder = cache / f"base-{recipe.key}"
    if not folder.exists():
        total = sum(recipe.layers)
        say(f"making a base of {len(recipe.layers)} layers, {total / 1e9:.2f} GB, once")
        fresh = cache / f".base-{recipe.key}.{os.getpid()}"
        try:
            _layout(recipe, fresh)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads(_blob(folder, index["manifests"][0]["digest"]).read_text())
    layers = [layer["digest"].partition(":")[2] for layer in manifest["layers"]]
    return Base(folder, frozenset(layers))


def _blob(folder: Path, digest: str) -> Path:
    return folder / "blobs" / "sha256" / digest.partition(":")[2]


def _layout(recipe: Recipe, folder: Path) -> None:
    (folder / "blobs" / "sha256").mkdir(parents=True)
    with ThreadPoolExecutor(max_workers=2) as pool:  # zlib and hashes leave Python's lock
        layers = list(pool.map(lambda n: _layer(recipe, n, folder), range(len(recipe.layers))))
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHON_VERSION={recipe.python}"],
            "Cmd": ["python3"],
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in layers]},
        "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
    }
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": _put(folder, config, f"{kind}.config.v1+json"),
        "layers": [described for _, described in layers],
    }
    index = {"schemaVersion": 2, "manifests": [_put(folder, manifest, manifest["mediaType"])]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _put(folder: Path, value: dict[str, Any], kind: Any) -> dict[str, Any]:
    content = json.dumps(value).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _blob(folder, digest).write_bytes(content)
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _layer(recipe: Recipe, number: int, folder: Path) -> tuple[str, dict[str, Any]]:
    """Writes a layer; gives its diff_id and its descriptor."""
    draft = folder / f"layer-{number}"
    with draft.open("wb") as output:
        sink = _Sink(output)
        with tarfile.open(fileobj=sink, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in _files(recipe, number):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
        sink.end()
    digest = f"sha256:{sink.digest.hexdigest()}"
    draft.rename(_blob(folder, digest))
    kind = "application/vnd.oci.image.layer.v1.tar+gzip"
    size = _blob(folder, digest).stat().st_size
    return f"sha256:{sink.plain.hexdigest()}", {"mediaType": kind, "digest": digest, "size": size}


def _files(recipe: Recipe, number: int) -> Iterator[tuple[str, bytes]]:
    """The files of a layer: of 4 KB to 4 MB, random but for their ends."""
    if number == 0:
        yield "etc/os-release", b"ID=debian\nVERSION_ID=12\n"
        yield "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
        yield "usr/local/bin/python3", b"#!/bin/sh\n"
    rng = random.Random(f"{recipe.seed} {number}")
    left, count = recipe.layers[number], 0
    while left:
        size = min(left, rng.choice((4_000, 64_000, 1 * MB, 4 * MB)))
        content = rng.randbytes(size - size // 32) + bytes(size // 32)
        yield f"usr/lib/layer{number:02}/{count // 100:03}/{count:05}.bin", content
        left, count = left - size, count + 1


class _Sink(io.RawIOBase):
    """Takes a tar, and writes it gzipped, with the digests of both."""

    def __init__(self, output: BinaryIO) -> None:
        super().__init__()
        self.plain, self.digest = hashlib.sha256(), hashlib.sha256()
        self._gzip = zlib.compressobj(1, wbits=31)
        self._output = output

    def write(self, data: Any) -> int:
        self.plain.update(data)
        self._out(self._gzip.compress(data))
        return len(data)

    def end(self) -> None:
        self._out(self._gzip.flush())

    def _out(self, data: bytes) -> None:
        self.digest.update(data)
        self._output.write(data)
