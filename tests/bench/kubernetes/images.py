"""Images that the cluster needs before it has a registry: one file in one layer."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import oci
from tests.bench.kubernetes.recipes import COREDNS

# A host that can't exist: should one of these be missing, no registry is asked for it.
PAUSE = "bench.invalid/pause:1"
DNS = f"bench.invalid/coredns:{COREDNS}"
BUSYBOX = "bench.invalid/busybox:1"


def archive(target: Path, name: str, files: dict[str, Path], entrypoint: Sequence[str]) -> Path:
    """An OCI archive of an image `name` that holds `files`, by the path they get in it."""
    layer = _layer(files)
    run = {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin"]}
    config = oci.config(run, [oci.digest(layer)])
    manifest = oci.manifest(config, [oci.descriptor(layer, f"{oci.TYPE}.layer.v1.tar")])
    listed = oci.descriptor(manifest, oci.MANIFEST)
    index = {
        "schemaVersion": 2,
        "manifests": [{**listed, "annotations": {"io.containerd.image.name": name}}],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as tar:
        oci.add(tar, "oci-layout", oci.encoded({"imageLayoutVersion": "1.0.0"}))
        oci.add(tar, "index.json", oci.encoded(index))
        for blob in (layer, config, manifest):
            oci.add(tar, f"blobs/{oci.digest(blob).replace(':', '/')}", blob)
    return target


def _layer(files: dict[str, Path]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, file in sorted(files.items()):
            oci.add(tar, path, file.read_bytes(), mode=0o755)
    return made.getvalue()
