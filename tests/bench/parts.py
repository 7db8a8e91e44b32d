"""Every part of the bench, in one table."""

from __future__ import annotations

from tests.bench import (
    aws,
    base_pip,
    bases,
    browser,
    buildah,
    docker,
    gcs,
    google,
    google_registry,
    kaniko,
    minio,
    podman,
    registry,
)
from tests.bench.kubernetes import cluster, minio_pod
from tests.bench.part import Part

PARTS: tuple[Part, ...] = (
    *(registry.part(variant) for variant in registry.VARIANTS),
    bases.BASES,
    base_pip.BASE_PIP,
    docker.PART,
    podman.PODMAN,
    *cluster.PARTS,
    kaniko.KANIKO,
    buildah.BUILDAH,
    minio.MINIO,
    minio_pod.MINIO_POD,
    aws.AWS,
    google.METADATA,
    gcs.GCS,
    google_registry.REGISTRY,
    browser.BROWSER,
)
"""In the order that `status` shows them in."""


def named(names: tuple[str, ...] = ()) -> list[Part]:
    """The parts of those names and all they need, needs first; every part when none is named.

    Raises:
        KeyError: there is no part of that name.
    """
    table = {part.name: part for part in PARTS}
    found: dict[str, Part] = {}

    def add(name: str) -> None:
        for need in table[name].needs:
            add(need)
        found[name] = table[name]

    for name in names or tuple(table):
        add(name)
    return list(found.values())
