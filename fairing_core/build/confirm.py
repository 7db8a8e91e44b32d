"""Asks a registry whether an image that others say they have pushed is there."""

from __future__ import annotations

from fairing_core import errors
from fairing_core.build import bases
from fairing_core.build.bases import Base
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session


def confirmed(session: Session, target: ImageRef, digest: str, platform: Platform) -> Base:
    """The image `digest` in `target`'s repository, as the registry has it.

    Raises:
        BuildError: it is not there.
        RegistryError: the registry can't be asked.
    """
    ref = ImageRef(target.registry, target.repository, digest=digest)
    repository = session.repository(ref)
    if not repository.head(digest):
        raise errors.BuildError(
            f"{ref} was built, it was said, but the registry does not have it; see whether both "
            "mean the same registry (pod_name, pull_name), and who deletes from it",
            kind="image-missing",
        )
    return bases.resolve(repository, ref, platform, session.cache)
