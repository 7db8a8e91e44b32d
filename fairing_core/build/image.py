"""The new image's config and manifest: the base's, with one layer more. Pure functions.

Sources: OCI image specification v1.1 (image configuration, image manifest, annotations).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from fairing_core.build.codec import Layer
from fairing_core.images import manifest
from fairing_core.images.cache import digest_of
from fairing_core.images.manifest import Descriptor, Manifest
from fairing_core.values import field, frozen

_BASE = "org.opencontainers.image.base."


@frozen
class Changes:
    """What is said anew of the image; None leaves the base's.

    `command` becomes Cmd, if there is one, `workdir` WorkingDir; `env` and `labels` are added by
    their keys. A new `entrypoint` takes the base's Cmd away, as in a Dockerfile.
    """

    command: Sequence[str]
    workdir: str
    user: str | None = field(default=None, kw_only=True)
    entrypoint: Sequence[str] | None = field(default=None, kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)


@frozen
class NewImage:
    """The bytes of a manifest and of its config, and the digests that name them."""

    manifest: bytes = field(repr=False)
    digest: str
    media_type: str = field(kw_only=True)
    config: bytes = field(kw_only=True, repr=False)
    config_digest: str = field(kw_only=True)


def layer_type(base: Manifest) -> str:
    """The media type of a gzip layer in the base's family."""
    return manifest.DOCKER_LAYER if base.is_docker else manifest.OCI_LAYER


def on_top(
    base: Manifest,
    base_config: Mapping[str, Any],
    layer: Layer,
    changes: Changes,
    *,
    base_name: str,
) -> NewImage:
    """`base` with `layer` on top; what is not changed is kept, also what we don't know.

    Args:
        base: the base's manifest; its family of media types is kept.
        base_config: its config.
        layer: the new one.
        changes: what is said anew.
        base_name: the base's reference, for the annotation.
    """
    config = manifest.dump(_config(base, base_config, layer, changes))
    config_blob = Descriptor(digest_of(config), len(config), base.config.media_type)
    layer_blob = Descriptor(layer.digest, layer.size, layer_type(base))
    table = {
        "schemaVersion": 2,
        "mediaType": base.media_type,
        "config": _entry(config_blob),
        "layers": [*base.table["layers"], _entry(layer_blob)],
    }
    if not base.is_docker:
        table["annotations"] = {f"{_BASE}digest": base.digest, f"{_BASE}name": base_name}
    raw = manifest.dump(table)
    return NewImage(
        raw,
        digest_of(raw),
        media_type=base.media_type,
        config=config,
        config_digest=config_blob.digest,
    )


def _entry(blob: Descriptor) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "size": blob.size, "digest": blob.digest}


def _config(
    base: Manifest, base_config: Mapping[str, Any], layer: Layer, changes: Changes
) -> dict[str, Any]:
    table = copy.deepcopy(dict(base_config))
    rootfs = table["rootfs"]
    rootfs["diff_ids"] = [*rootfs.get("diff_ids", ()), layer.diff_id]
    history = table.get("history") or []
    told = sum(not entry.get("empty_layer") for entry in history)
    if told == len(base.layers):  # else it tells of other layers: leave it, and invent nothing
        entry = {"created_by": "fairing: code", "comment": "fairing"}
        if table.get("created"):
            entry["created"] = table["created"]
        table["history"] = [*history, entry]
    inner = table["config"] = dict(table.get("config") or {})
    if changes.entrypoint is not None:
        inner["Entrypoint"] = list(changes.entrypoint)
        inner.pop("Cmd", None)
    if changes.command:
        inner["Cmd"] = list(changes.command)
    inner["WorkingDir"] = changes.workdir
    if changes.user is not None:
        inner["User"] = changes.user
    if changes.env:
        inner["Env"] = _env(inner.get("Env") or (), changes.env)
    if changes.labels:
        inner["Labels"] = {**(inner.get("Labels") or {}), **changes.labels}
    return table


def _env(there: Sequence[str], added: Mapping[str, str]) -> list[str]:
    names = {entry.partition("=")[0]: entry for entry in there}
    names.update({name: f"{name}={value}" for name, value in added.items()})
    return list(names.values())
