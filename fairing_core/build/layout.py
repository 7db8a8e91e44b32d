"""Writes an image to a folder, as an OCI image layout: for where no registry can be reached.

Source: OCI image specification v1.1, "OCI Image Layout". `skopeo copy oci:FOLDER docker://...` and
`crane push FOLDER ...` send it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fairing_core import errors
from fairing_core.build.bases import Base
from fairing_core.build.code import CodeLayer
from fairing_core.build.codec import Layer
from fairing_core.build.image import NewImage
from fairing_core.images import manifest
from fairing_core.images.manifest import Descriptor
from fairing_core.types import Report

_WORKERS = 4
_MARK = "oci-layout"


def check(folder: Path) -> None:
    """Refuses a place that has something else than a layout.

    Raises:
        InvalidArgument: it does.
    """
    if folder.is_dir() and not (folder / _MARK).exists() and any(folder.iterdir()):
        raise errors.InvalidArgument(
            f"{folder} has files that are no OCI layout, and would be lost; name an empty folder "
            "or a new one"
        )
    if folder.exists() and not folder.is_dir():
        raise errors.InvalidArgument(f"{folder} is a file; name a folder for the OCI layout")


def write(
    folder: Path,
    base: Base,
    code: CodeLayer,
    image_of: Callable[[Layer], NewImage],
    *,
    tag: str,
    report: Report,
    stop: Callable[[], None],
) -> NewImage:
    """Writes the whole image, the base's layers too; it is there whole or not at all.

    Args:
        folder: where; a layout that is there is replaced.
        base: what is built on.
        code: the new layer.
        image_of: puts the layer on top of the base.
        tag: what the layout calls the image.
        report: told of what was copied.
        stop: called on failure; ends the connections that layers come by.

    Raises:
        StateError: it can't be written.
        RegistryError: the base can't be read.
    """
    check(folder)
    folder = folder.resolve()  # of a link, what it leads to is replaced
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    before = fresh.with_name(f"{fresh.name}.before")
    try:
        try:
            blobs = fresh / "blobs" / "sha256"
            blobs.mkdir(parents=True)
            image = _fill(blobs, base, code, image_of, report, stop)
            _finish(fresh, image, base, tag)
            with suppress(FileNotFoundError):
                folder.rename(before)
            fresh.rename(folder)
        except OSError as exc:
            if isinstance(exc, errors.FairingError):
                raise
            raise errors.StateError(
                f"the OCI layout {folder} can't be written ({exc.strerror or exc}); "
                "make room, or name another place"
            ) from exc
    finally:
        if before.exists() and not folder.exists():  # it was interrupted between the two
            before.rename(folder)
        for each in (fresh, before):
            shutil.rmtree(each, ignore_errors=True)
    return image


def _fill(
    blobs: Path,
    base: Base,
    code: CodeLayer,
    image_of: Callable[[Layer], NewImage],
    report: Report,
    stop: Callable[[], None],
) -> NewImage:
    def fetch(layer: Descriptor) -> None:
        _write(blobs, layer.digest, base.repository.stream(layer, progress=lambda count: None))

    unique = {layer.digest: layer for layer in base.manifest.layers if not layer.is_elsewhere}
    with ThreadPoolExecutor(_WORKERS, "layout") as workers:
        fetching = [workers.submit(fetch, layer) for layer in unique.values()]
        try:
            _write(blobs, "sha256:code", code.blocks())
            for done in fetching:
                done.result()
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    (blobs / "code").rename(blobs / code.made.digest.partition(":")[2])
    image = image_of(code.made)
    _write(blobs, image.config_digest, [image.config])
    _write(blobs, image.digest, [image.manifest])
    report("pushing", sent=0, mounted=0, skipped=0, copied=len(unique), seconds=0.0)
    return image


def _finish(folder: Path, image: NewImage, base: Base, tag: str) -> None:
    platform = {key: value for key, value in base.platform._asdict().items() if value}
    entry = {
        "mediaType": image.media_type,
        "size": len(image.manifest),
        "digest": image.digest,
        "platform": platform,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    index = {"schemaVersion": 2, "mediaType": manifest.OCI_INDEX, "manifests": [entry]}
    (folder / "index.json").write_bytes(manifest.dump(index))
    (folder / _MARK).write_bytes(manifest.dump({"imageLayoutVersion": "1.0.0"}))


def _write(blobs: Path, digest: str, blocks: Iterable[bytes]) -> None:
    algorithm, _, value = digest.partition(":")
    path = blobs.with_name(algorithm) / value
    with suppress(FileExistsError):
        path.parent.mkdir()
    with open(path, "wb") as file:
        file.writelines(blocks)
