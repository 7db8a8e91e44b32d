"""Images that are made once and kept in the cache, as an OCI layout.

A registry gets them as links into its storage, which takes no time, however many registries there
are.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import oci, registry
from tests.bench.bench import Bench, write
from tests.bench.locks import locked
from tests.bench.registry import Registry, Variant

_NAME = "org.opencontainers.image.ref.name"


def digest_of(recipe: Any) -> str:
    """A short digest of what images are made from."""
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Image:
    """An image that registries of the bench have."""

    repository: str
    digest: str
    tag: str

    def at(self, registry: Registry) -> str:
        """What clients call it at `registry`."""
        return f"{registry.name}/{self.repository}:{self.tag}"

    def at_nodes(self, registry: Registry) -> str:
        """What the cluster's nodes call it there: the same, but for a registry with two names."""
        return f"{registry.node_name}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Layer:
    """A layer in a layout."""

    descriptor: Mapping[str, Any]
    diff_id: str

    @classmethod
    def put(cls, layout: Path, tar: Path) -> Layer:
        """Compresses a tar into the layout."""
        content = tar.read_bytes()
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
            stream.write(content)
        media = f"{oci.TYPE}.layer.v1.tar+gzip"
        return cls(_put(layout, packed.getvalue(), media), oci.digest(content))

    def unpack(self, layout: Path, target: Path) -> None:
        """Its files, with their owners and modes."""
        with tarfile.open(_blob(layout, self.descriptor["digest"])) as tar:
            tar.extractall(target, filter="fully_trusted")  # we made it


def layers(layout: Path, image: Image) -> tuple[Layer, ...]:
    """The layers of an image that a layout holds, the lowest first."""
    manifest = json.loads(_blob(layout, image.digest).read_text())
    config = json.loads(_blob(layout, manifest["config"]["digest"]).read_text())
    diff_ids = config["rootfs"]["diff_ids"]
    return tuple(map(Layer, manifest["layers"], diff_ids))


def adopt(layout: Path, layer: Layer, source: Path) -> Layer:
    """Puts another layout's layer into this one."""
    link(_blob(source, layer.descriptor["digest"]), _blob(layout, layer.descriptor["digest"]))
    return layer


def put_image(
    layout: Path, name: str, run: Mapping[str, Any], of: Sequence[Layer]
) -> dict[str, Any]:
    """Puts an image of those layers into the layout, and gives its line of the layout's index."""
    config = oci.config(run, [layer.diff_id for layer in of])
    _put(layout, config, oci.CONFIG)
    manifest = oci.manifest(config, [layer.descriptor for layer in of])
    return {**_put(layout, manifest, oci.MANIFEST), "annotations": {_NAME: name}}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Images that are made together. Another recipe is another `tag`: nodes pull no tag twice."""

    name: str
    """What it is called, in the cache and for people."""
    tag: str
    make: Callable[[Bench, Path, Path], Sequence[Mapping[str, Any]]]
    """Makes the images in a layout, with a folder to work in; gives their lines of the index."""
    variants: tuple[Variant, ...] = registry.VARIANTS
    """The registries that have them."""

    def folder(self, bench: Bench) -> Path:
        """Where it is, once it is made."""
        return bench.cache / self.name / self.tag

    def find(self, bench: Bench) -> Mapping[str, Image]:
        """The images by the end of their names; none while they are not made."""
        try:
            index = json.loads((self.folder(bench) / "index.json").read_text())
        except FileNotFoundError:
            return {}
        named = {each["annotations"][_NAME]: each["digest"] for each in index["manifests"]}
        return {
            name.partition("/")[2]: Image(name, digest, self.tag) for name, digest in named.items()
        }

    def provide(self, bench: Bench) -> Path:
        """The layout; made when the cache has none of this recipe."""

        def waiting() -> None:
            bench.say(f"{self.name}: someone else makes them; waiting")

        layout = self.folder(bench)
        with locked(layout.with_name(f"{layout.name}.lock"), waiting):
            if not layout.exists():
                began = time.monotonic()
                bench.say(f"{self.name}: making the images, once")
                fresh = layout.with_name(f"{layout.name}.new")
                work = layout.with_name(f"{layout.name}.work")
                for folder in (fresh, work):
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir(parents=True)
                listed = self.make(bench, fresh, work)
                index = {"schemaVersion": 2, "manifests": listed}
                write(fresh / "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}))
                write(fresh / "index.json", json.dumps(index, indent=1))
                shutil.rmtree(work)
                fresh.rename(layout)
                size = sum(blob.stat().st_size for blob in _blobs(layout)) / 1e6
                bench.say(f"{self.name}: made in {time.monotonic() - began:.0f} s, {size:.0f} MB")
        return layout

    def start(self, bench: Bench, part: str) -> None:
        """Puts the images into the registries: what starts a part that is nothing but images."""
        bench.folder(part)
        layout = self.provide(bench)
        for variant in self.variants:
            store = registry.storage(bench, variant.part)
            for blob in _blobs(layout):
                link(blob, store / "blobs" / "sha256" / blob.name[:2] / blob.name / "data")
            for image in self.find(bench).values():
                _refer(store / "repositories" / image.repository, layout, image)

    def ready(self, bench: Bench, part: str) -> str | None:
        """Whether the registries have the images."""
        found = self.find(bench)
        if not found:
            return f"this clone's images ({self.name}) are not made"
        for variant in self.variants:
            for image in found.values():
                repositories = registry.storage(bench, variant.part) / "repositories"
                link = _tag(repositories / image.repository, image) / "current" / "link"
                if not link.exists() or link.read_text() != image.digest:
                    return f"{variant.part} has not {image.repository} of this clone"
        return None


def link(source: Path, target: Path) -> None:
    """The same file twice, or a copy where a file system ends between the two."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        pass  # a blob of that name holds the same bytes
    except OSError:
        shutil.copyfile(source, target)


def _refer(repository: Path, layout: Path, image: Image) -> None:
    """What distribution keeps of a repository: its blobs' names, a manifest, a tag."""
    manifest = json.loads(_blob(layout, image.digest).read_text())
    for each in (manifest["config"], *manifest["layers"]):
        name = each["digest"]
        write(repository / "_layers" / name.replace(":", "/") / "link", name)
    revision = image.digest.replace(":", "/")
    tag = _tag(repository, image)
    for place in (repository / "_manifests" / "revisions" / revision, tag / "index" / revision):
        write(place / "link", image.digest)
    write(tag / "current" / "link", image.digest)


def _tag(repository: Path, image: Image) -> Path:
    return repository / "_manifests" / "tags" / image.tag


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _blobs(layout: Path) -> list[Path]:
    return sorted((layout / "blobs" / "sha256").iterdir())


def _put(layout: Path, content: bytes, media: str) -> dict[str, Any]:
    described = oci.descriptor(content, media)
    blob = _blob(layout, described["digest"])
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    return described
