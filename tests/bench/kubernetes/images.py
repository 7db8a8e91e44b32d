"""Images that the cluster needs before it has a registry: one file in one layer."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.kubernetes.recipes import COREDNS

# A host that can't exist: should one of these be missing, no registry is asked for it.
PAUSE = "bench.invalid/pause:1"
DNS = f"bench.invalid/coredns:{COREDNS}"
BUSYBOX = "bench.invalid/busybox:1"

_OCI = "application/vnd.oci.image"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def archive(target: Path, name: str, files: dict[str, Path], entrypoint: Sequence[str]) -> Path:
    """An OCI archive of an image `name` that holds `files`, by the path they get in it."""
    layer = _layer(files)
    config = _json(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": _descriptor(config, f"{_OCI}.config.v1+json"),
            "layers": [_descriptor(layer, f"{_OCI}.layer.v1.tar")],
        }
    )
    listed = _descriptor(manifest, f"{_OCI}.manifest.v1+json")
    index = {
        "schemaVersion": 2,
        "manifests": [{**listed, "annotations": {"io.containerd.image.name": name}}],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index))
        for blob in (layer, config, manifest):
            _add(tar, f"blobs/{_digest(blob).replace(':', '/')}", blob)
    return target


def _layer(files: dict[str, Path]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, file in sorted(files.items()):
            _add(tar, path, file.read_bytes(), mode=0o755)
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(content: bytes, media: str) -> dict[str, Any]:
    return {"mediaType": media, "digest": _digest(content), "size": len(content)}
