"""kaniko's executor as an image that pods pull."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import layouts, oci, registry, tools
from tests.bench.bench import Bench
from tests.bench.layouts import Layer, Layout
from tests.bench.part import Part

PART = "kaniko"
NAME = "tools/kaniko"
EXECUTOR = "kaniko/executor"
FOLDERS = {"kaniko": 0o777, "kaniko/.docker": 0o755, "kaniko/ssl/certs": 0o755, "workspace": 0o755}
FILES = {"etc/nsswitch.conf": "hosts: files dns\n"}
# As its own project's image, but for authorities of the internet: nobody is reached there.
RUN: Mapping[str, Any] = {
    "Env": [
        "HOME=/root",
        "USER=root",
        "PATH=/usr/local/bin:/kaniko",
        "SSL_CERT_DIR=/kaniko/ssl/certs",
        "DOCKER_CONFIG=/kaniko/.docker/",
    ],
    "WorkingDir": "/workspace",
    "Entrypoint": [f"/{EXECUTOR}"],
}
RECIPE = (tools.KANIKO.key, FOLDERS, FILES, RUN)


def _make(bench: Bench, layout: Path, work: Path) -> list[dict[str, Any]]:
    tar = work / "kaniko.tar"
    with tarfile.open(tar, "w") as opened:
        for name, mode in FOLDERS.items():
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            opened.addfile(folder)
        for name, text in FILES.items():
            oci.add(opened, name, text.encode())
        oci.add(opened, EXECUTOR, tools.KANIKO.path(bench.cache).read_bytes(), mode=0o755)
    return [layouts.put_image(layout, NAME, RUN, [Layer.put(layout, tar)])]


LAYOUT = Layout(
    name=PART,
    tag=f"{tools.KANIKO.version}-{layouts.digest_of(RECIPE)}",
    make=_make,
    variants=(registry.named("cluster-registry"),),
)


def image(bench: Bench) -> str:
    """What pods call it."""
    return LAYOUT.find(bench)[PART].at_nodes(LAYOUT.variants[0].at(bench))


KANIKO = Part(
    name=PART,
    about=f"kaniko {tools.KANIKO.version}, an image in cluster-registry",
    start=LAYOUT.start,
    ready=LAYOUT.ready,
    environment=lambda bench: {"FAIRING_BENCH_KANIKO": image(bench)},
    needs=("cluster-registry",),
    binaries=(tools.KANIKO,),
    root=True,
)
