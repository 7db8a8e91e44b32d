"""What an image is built on: its manifest and config for one platform, and what it is like inside.

A base named by a tag costs one HEAD when it is known already; one named by its digest costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fairing_core import errors
from fairing_core.images import manifest
from fairing_core.images.cache import Cache, digest_of
from fairing_core.images.facts import Fact, Facts
from fairing_core.images.manifest import Descriptor, Index, Manifest, Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.repository import Repository
from fairing_core.values import field, frozen

_NESTED = 4  # indexes within indexes


@frozen
class Base:
    """An image to build on, for one platform."""

    name: str
    repository: Repository = field(repr=False)
    manifest: Manifest = field(kw_only=True, repr=False)
    config: Mapping[str, Any] = field(kw_only=True, repr=False)

    @property
    def platform(self) -> Platform:
        """What it runs on."""
        return Platform.of(self.config)


def remembered(
    repository: Repository, ref: ImageRef, platform: Platform, cache: Cache
) -> Base | None:
    """The image that `ref` named when it was resolved last; None if that is not known whole."""
    digest = ref.digest or cache.load("tags", str(ref))
    raw = cache.blob(digest) if isinstance(digest, str) else None
    if raw is None:
        return None
    try:
        return _assembled(repository, str(ref), raw, "", platform, lambda blob: _kept(cache, blob))
    except (_NotKept, errors.ImageError):  # what is there now may be in order
        return None


def resolve(repository: Repository, ref: ImageRef, platform: Platform, cache: Cache) -> Base:
    """The image that `ref` names now, for `platform`.

    Raises:
        ImageNotFound: there is none.
        PlatformNotFound: it is not there for that platform.
        ImageError: nothing can be put on it.
    """

    def get(blob: Descriptor) -> bytes:
        try:
            return _kept(cache, blob)
        except _NotKept:
            pass
        if blob.media_type in manifest.CONFIGS:
            raw = repository.read(blob, f"can't read the config of {ref}")
        else:
            raw, _ = repository.fetch(blob.digest)
        cache.keep_blob(raw, blob.digest)
        return raw

    digest = ref.digest or repository.head(ref.reference)
    raw, media_type = cache.blob(digest) if digest else None, ""
    if raw is None:
        raw, media_type = repository.fetch(ref.digest or ref.reference)
        digest = digest_of(raw) if ref.digest is None else ref.digest
        cache.keep_blob(raw, digest)
    base = _assembled(repository, str(ref), raw, media_type, platform, get)
    if ref.digest is None and cache.load("tags", str(ref)) != digest:
        cache.save("tags", str(ref), digest)
    return base


def learn(base: Base, *, user: str | None, python: bool, cache: Cache) -> Facts:
    """Whom the image's program runs as, and which Python it has; learned without running it.

    Args:
        base: the image.
        user: another user than the config's.
        python: whether its Python has to be known: then its files are read if need be.
        cache: keeps what reading the files has shown.

    Raises:
        ImageError: the image has no such user.
    """
    config = dict(base.config)
    if user is not None:
        config["config"] = {**(config.get("config") or {}), "User": user}
    wanted: set[Fact] = {"user", "python"} if python else {"user"}
    key = "\0".join((base.manifest.digest, user or "", *sorted(wanted)))
    kept = cache.get("facts", key)
    known = Facts.from_json(kept) if kept else None
    if known is None:
        from fairing_core.images.learn import learn as learn_from

        known = learn_from(config, _layers(base), wanted=wanted, image=base.name)
        cache.put("facts", key, known.to_json().encode())
    return known


def _layers(base: Base) -> list[Callable[[], Iterable[bytes]]]:
    def opened(layer: Descriptor) -> Callable[[], Iterable[bytes]]:
        return lambda: base.repository.stream(layer, progress=lambda count: None)

    return [opened(layer) for layer in base.manifest.layers]


class _NotKept(Exception):
    """The cache lacks a blob."""


def _kept(cache: Cache, blob: Descriptor) -> bytes:
    raw = cache.blob(blob.digest)
    if raw is None:
        raise _NotKept
    return raw


def _assembled(
    repository: Repository,
    name: str,
    raw: bytes,
    media_type: str,
    platform: Platform,
    get: Callable[[Descriptor], bytes],
) -> Base:
    found = manifest.read(raw, media_type, name)
    for _ in range(_NESTED):
        if not isinstance(found, Index):
            break
        chosen = found.choose(platform, name)
        found = manifest.read(get(chosen), chosen.media_type, name)
    if isinstance(found, Index):
        raise errors.ImageError(f"{name} is an index within an index, over and over")
    if not found.layers:
        raise errors.ImageError(f"{name} has no layers, so no Python to run anything with")
    config = manifest.read_config(get(found.config), name)
    there = Platform.of(config)
    if there.architecture and not platform.rank(there):
        raise errors.PlatformNotFound(
            f"{name} is for {there}, not for {platform}; choose that (platform='{there}'), "
            "or another base image"
        )
    if len(config["rootfs"].get("diff_ids") or ()) != len(found.layers):
        raise errors.ImageError(f"the config of {name} does not fit its layers; it is damaged")
    return Base(name, repository, manifest=found, config=config)
