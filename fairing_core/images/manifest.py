"""Manifests, indexes and configs: read from bytes, checked, and put together.

Sources: OCI image specification v1.1 (image manifest, image index, image configuration);
Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fairing_core import errors
from fairing_core.images.cache import digest_of
from fairing_core.values import field, frozen

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

CONFIGS = (OCI_CONFIG, DOCKER_CONFIG)
ACCEPT = f"{OCI_MANIFEST}, {DOCKER_MANIFEST}, {OCI_INDEX}, {DOCKER_INDEX}"
LARGEST = 4 << 20
"""Bytes of a manifest or config; larger ones are refused (the specification's own advice)."""

_VARIANTS = {"amd64": "", "arm64": "v8", "arm": "v7"}


class Platform(NamedTuple):
    """What an image runs on: ``os/architecture[/variant]``."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """The platform of a text like ``linux/arm64``.

        Raises:
            InvalidArgument: it is none.
        """
        parts = text.split("/")
        if not 2 <= len(parts) <= 3 or not all(
            part.replace("_", "").replace("-", "").isalnum() for part in parts
        ):
            raise errors.InvalidArgument(
                f"{text!r} is no platform; write it as linux/amd64, linux/arm64 or linux/arm/v7"
            )
        return cls(*parts)

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Platform:
        """The platform that a config, or an entry of an index, says."""
        return cls(
            str(table.get("os") or "linux"),
            str(table.get("architecture") or ""),
            str(table.get("variant") or ""),
        )

    def __str__(self) -> str:
        return "/".join(part for part in self if part)

    def rank(self, other: Platform) -> int:
        """How well `other` serves this one: 0 not at all, higher is better.

        An `other` without an architecture, as an index's entry for another index, may or may not.
        """
        if not other.architecture:
            return 1
        if (self.os, self.architecture) != (other.os, other.architecture):
            return 0
        usual = _VARIANTS.get(self.architecture, "")
        if (self.variant or usual) == (other.variant or usual):
            return 3
        return 0 if self.variant else 2


@frozen
class Descriptor:
    """What names a blob: ``sha256:<hex>``, its size in bytes, its media type."""

    digest: str
    size: int
    media_type: str
    urls: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is a layer that registries don't hold, as Windows' are."""
        return any(kind in self.media_type for kind in ("foreign", "nondistributable"))

    @classmethod
    def of(cls, table: Any, image: str) -> Descriptor:
        """The descriptor in a manifest of `image`.

        Raises:
            ImageError: it is none.
        """
        try:
            digest, size = table["digest"], table["size"]
            media_type = str(table.get("mediaType") or "")
            urls = tuple(map(str, table.get("urls") or ()))
        except (TypeError, KeyError, AttributeError) as exc:
            raise errors.ImageError(f"the manifest of {image} is damaged: {exc!r}") from None
        algorithm, _, value = str(digest).partition(":")
        if not isinstance(size, int) or size < 0 or not algorithm.isalnum() or not value.isalnum():
            raise errors.ImageError(f"the manifest of {image} has a damaged entry: {table!r}")
        return cls(str(digest), size, media_type, urls=urls)


@frozen
class Manifest:
    """One image: `raw` are the bytes that `digest` names, `table` what they say."""

    raw: bytes = field(repr=False)
    digest: str
    media_type: str = field(kw_only=True)
    table: Mapping[str, Any] = field(kw_only=True, repr=False)
    config: Descriptor = field(kw_only=True)
    layers: tuple[Descriptor, ...] = field(kw_only=True)

    @property
    def is_docker(self) -> bool:
        """Whether it is of Docker's family of media types; an image keeps to one family."""
        return self.media_type == DOCKER_MANIFEST


@frozen
class Index:
    """Images for several platforms, in their order; `entries` leaves out what is no image."""

    raw: bytes = field(repr=False)
    digest: str
    media_type: str = field(kw_only=True)
    entries: tuple[tuple[Platform, Descriptor], ...] = field(kw_only=True)

    def choose(self, platform: Platform, image: str) -> Descriptor:
        """The entry for `platform`; the first of several that serve it equally well.

        Raises:
            PlatformNotFound: there is none.
        """
        ranked = [(platform.rank(other), entry) for other, entry in self.entries]
        best = max((rank for rank, _ in ranked), default=0)
        if not best:
            there = ", ".join(sorted({str(other) for other, _ in self.entries})) or "nothing"
            raise errors.PlatformNotFound(
                f"{image} is not there for {platform}; it is for {there}. "
                "Choose one of these (platform=...), or another base image"
            )
        return next(entry for rank, entry in ranked if rank == best)


def read(raw: bytes, media_type: str, image: str) -> Manifest | Index:
    """What a registry gave for `image`.

    Raises:
        ImageError: it is damaged, or of a kind that can't be built on (schema 1, an artifact).
    """
    table = _json(raw)
    if not isinstance(table, dict):
        raise errors.ImageError(f"the manifest of {image} is damaged: it is no JSON object")
    kind = str(table.get("mediaType") or media_type.partition(";")[0].strip())
    if table.get("schemaVersion") == 1 or ("manifest.v1+" in kind and "oci" not in kind):
        raise errors.ImageError(
            f"{image} is of Docker's old image format (schema 1), which nothing can be put on; "
            "pull it and push it again with any Docker since 1.10, or name another base image"
        )
    if not kind or kind == "application/json":
        kind = OCI_INDEX if "manifests" in table else OCI_MANIFEST
    digest = digest_of(raw)
    if kind in (OCI_INDEX, DOCKER_INDEX):
        return Index(raw, digest, media_type=kind, entries=_entries(table, image))
    if kind not in (OCI_MANIFEST, DOCKER_MANIFEST):
        raise errors.ImageError(f"{image} is no image: its manifest is of type {kind!r}")
    layers = table.get("layers")
    if not isinstance(layers, list):
        raise errors.ImageError(f"the manifest of {image} is damaged: it lists no layers")
    config = Descriptor.of(table.get("config"), image)
    if config.media_type not in CONFIGS:
        raise errors.ImageError(
            f"{image} is no container image but an artifact of type {config.media_type!r}"
        )
    return Manifest(
        raw,
        digest,
        media_type=kind,
        table=table,
        config=config,
        layers=tuple(Descriptor.of(layer, image) for layer in layers),
    )


def read_config(raw: bytes, image: str) -> dict[str, Any]:
    """An image's config, with every key that it has.

    Raises:
        ImageError: it is damaged.
    """
    table = _json(raw)
    if not isinstance(table, dict) or not isinstance(table.get("rootfs"), dict):
        raise errors.ImageError(f"the config of {image} is damaged: it has no rootfs")
    inner = table.get("config") or {}
    if not (
        isinstance(inner, dict)
        and _is_list_of(str, table["rootfs"].get("diff_ids"))
        and _is_list_of(dict, table.get("history"))
        and _is_list_of(str, inner.get("Env"))
        and isinstance(inner.get("Labels") or {}, dict)
    ):
        raise errors.ImageError(f"the config of {image} is damaged: it is none that runs")
    return table


def _is_list_of(kind: type, value: object) -> bool:
    return value is None or (
        isinstance(value, list) and all(isinstance(each, kind) for each in value)
    )


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def dump(table: Mapping[str, Any]) -> bytes:
    """A table as the bytes that a digest is made of: the same for the same table."""
    return json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()


def _entries(table: Mapping[str, Any], image: str) -> tuple[tuple[Platform, Descriptor], ...]:
    manifests = table.get("manifests")
    if not isinstance(manifests, list):
        raise errors.ImageError(f"the index of {image} is damaged: it lists no manifests")
    entries = []
    for entry in manifests:
        descriptor = Descriptor.of(entry, image)
        told = entry.get("platform") or {}
        if not isinstance(told, dict):
            raise errors.ImageError(f"the index of {image} has a damaged entry: {entry!r}")
        platform = Platform.of(told)
        if platform.os != "unknown":  # attestations, as BuildKit writes them
            entries.append((platform, descriptor))
    return tuple(entries)
