"""The pieces that images are made of: blobs, descriptors, manifests."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

TYPE = "application/vnd.oci.image"
MANIFEST = f"{TYPE}.manifest.v1+json"
CONFIG = f"{TYPE}.config.v1+json"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "unknown")


def encoded(value: Mapping[str, Any]) -> bytes:
    """JSON, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True).encode()


def digest(content: bytes) -> str:
    """What a blob is called."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes, media: str) -> dict[str, Any]:
    """How one blob names another."""
    return {"mediaType": media, "digest": digest(content), "size": len(content)}


def config(run: Mapping[str, Any], diff_ids: Sequence[str]) -> bytes:
    """An image's configuration: how it runs, and its layers' digests before compression."""
    return encoded(
        {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
            "history": [{"created_by": "fairing's bench"} for _ in diff_ids],
        }
    )


def manifest(configured: bytes, layers: Sequence[Mapping[str, Any]]) -> bytes:
    """An image's manifest, of its layers' descriptors."""
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(configured, CONFIG),
            "layers": list(layers),
        }
    )


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Puts a file of root's into a tar."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
