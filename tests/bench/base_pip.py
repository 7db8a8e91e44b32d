"""base/pip: base/python and Debian's pip, for a Dockerfile that installs wheels."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import bases, debian, layouts, oci, registry
from tests.bench.bench import Bench
from tests.bench.layouts import Layer, Layout
from tests.bench.part import Part

PART = "base-pip"
NAME = "base/pip"
PACKAGES = (*debian.PYTHON, "python3-pip")
# Debian's pip installs nothing where this file is; images of Python have none.
ABSENT = "usr/lib/python3.11/.wh.EXTERNALLY-MANAGED"
RECIPE = (bases.TAG, debian.SUITES, PACKAGES, debian.LEFT_OUT, debian.CLEAN, ABSENT, bases.RUN)


def _make(bench: Bench, layout: Path, work: Path) -> list[dict[str, Any]]:
    below = bases.LAYOUT.provide(bench)
    layers = layouts.layers(below, bases.LAYOUT.find(bench)["python"])
    python, tree = work / "base-python", work / NAME.replace("/", "-")
    for layer in layers:
        layer.unpack(below, python)
    debian.make(bench, tree, PACKAGES, (debian.CLEAN,))
    tar = work / "pip.tar"
    debian.pack(tar, tree, below=python)
    with tarfile.open(tar, "a") as opened:
        oci.add(opened, ABSENT, b"")
    adopted = [layouts.adopt(layout, layer, below) for layer in layers]
    made = [*adopted, Layer.put(layout, tar)]
    return [layouts.put_image(layout, NAME, bases.RUN, made)]


LAYOUT = Layout(name=PART, tag=f"{debian.SUITE}-{layouts.digest_of(RECIPE)}", make=_make)


def _environment(bench: Bench) -> Mapping[str, str]:
    base = LAYOUT.find(bench)["pip"]
    return {"FAIRING_BENCH_BASE_PIP": f"{base.repository}:{base.tag}"}


BASE_PIP = Part(
    name=PART,
    about="base/pip, which is base/python with Debian's pip, in every registry",
    start=LAYOUT.start,
    ready=LAYOUT.ready,
    environment=_environment,
    debian=("mmdebstrap",),
    needs=(bases.PART, *(variant.part for variant in registry.VARIANTS)),
    root=True,
)
