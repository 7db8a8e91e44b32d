"""Layouts of images: made once, linked into registries. On any machine."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.bench import layouts, oci, registry
from tests.bench.bench import Bench
from tests.bench.layouts import Layer, Layout

PLAIN = registry.named("registry")


def make(bench: Bench, layout: Path, work: Path) -> Sequence[Mapping[str, Any]]:
    with tarfile.open(work / "layer.tar", "w") as tar:
        oci.add(tar, "etc/held", b"held", mode=0o640)
    layer = Layer.put(layout, work / "layer.tar")
    return [layouts.put_image(layout, "tools/one", {"Cmd": ["x"]}, [layer])]


@pytest.fixture
def layout() -> Layout:
    return Layout(name="tests", tag="1", make=make, variants=(PLAIN,))


@pytest.fixture
def own(tmp_path: Path) -> Bench:
    """A bench of the test's own, in which nothing runs."""
    return Bench(tmp_path / "cache", tmp_path / "run")


def test_it_is_made_once(own: Bench, layout: Layout) -> None:
    made = layout.provide(own)
    before = made.stat().st_ino
    assert layout.provide(own) == made
    assert made.stat().st_ino == before
    assert sorted(path.name for path in made.parent.iterdir()) == ["1", "1.lock"]


def test_one_that_fails_on_the_way_is_made_anew(own: Bench, layout: Layout) -> None:
    def fail(bench: Bench, layout: Path, work: Path) -> Sequence[Mapping[str, Any]]:
        make(bench, layout, work)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        Layout(name="tests", tag="1", make=fail, variants=(PLAIN,)).provide(own)
    assert layout.find(own) == {}
    layout.provide(own)
    assert list(layout.find(own)) == ["one"]


def test_a_registry_has_an_image_once_it_is_put_there(own: Bench, layout: Layout) -> None:
    assert layout.ready(own, "tests") == "this clone's images (tests) are not made"
    layout.provide(own)
    assert layout.ready(own, "tests") == "registry has not tools/one of this clone"
    layout.start(own, "tests")
    assert layout.ready(own, "tests") is None
    image = layout.find(own)["one"]
    store = registry.storage(own, "registry")
    blob = store / "blobs" / "sha256" / image.digest[7:9] / image.digest[7:] / "data"
    assert oci.digest(blob.read_bytes()) == image.digest
    assert image.at(PLAIN.at(own)).endswith("/tools/one:1")


def test_a_layer_is_taken_from_one_layout_to_another(
    own: Bench, layout: Layout, tmp_path: Path
) -> None:
    made = layout.provide(own)
    (layer,) = layouts.layers(made, layout.find(own)["one"])
    other = tmp_path / "other"
    assert layouts.adopt(other, layer, made) == layer
    layer.unpack(other, tmp_path / "files")
    held = tmp_path / "files" / "etc" / "held"
    assert held.read_bytes() == b"held"
    assert held.stat().st_mode & 0o777 == 0o640
