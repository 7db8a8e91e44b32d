"""Debian's buildah as an image that pods pull.

In a pod it builds with ``--isolation chroot --storage-driver vfs``, as root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bench import bases, debian, layouts, oci, registry
from tests.bench.bench import Bench
from tests.bench.layouts import Layer, Layout
from tests.bench.part import Part

PART = "buildah"
NAME = "tools/buildah"
PACKAGES = ("buildah", "ca-certificates")
RUN = {"Env": bases.RUN["Env"], "Cmd": ["buildah"]}
RECIPE = (debian.SUITES, PACKAGES, debian.LEFT_OUT, debian.CLEAN_BARE, RUN, oci.ARCHITECTURE)


def _make(bench: Bench, layout: Path, work: Path) -> list[dict[str, Any]]:
    tree, tar = work / "buildah", work / "buildah.tar"
    debian.make(bench, tree, PACKAGES, (debian.CLEAN_BARE,))
    debian.pack(tar, tree)
    return [layouts.put_image(layout, NAME, RUN, [Layer.put(layout, tar)])]


LAYOUT = Layout(
    name=PART,
    tag=f"{debian.SUITE}-{layouts.digest_of(RECIPE)}",
    make=_make,
    variants=(registry.named("cluster-registry"),),
)


def image(bench: Bench) -> str:
    """What pods call it."""
    return LAYOUT.find(bench)[PART].at_nodes(LAYOUT.variants[0].at(bench))


BUILDAH = Part(
    name=PART,
    about="Debian's buildah, an image in cluster-registry",
    start=LAYOUT.start,
    ready=LAYOUT.ready,
    environment=lambda bench: {"FAIRING_BENCH_BUILDAH": image(bench)},
    debian=("mmdebstrap",),
    needs=("cluster-registry",),
    root=True,
)
