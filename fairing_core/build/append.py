"""The builder ``append``: a base image with one layer more, made without a daemon.

The base is never pulled: its layers are mounted, or copied from registry to registry once. Nothing
is sent that is there already, and no request waits for one that it does not need.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.build import layer
from fairing_core.build.appending import Appending
from fairing_core.build.image import Changes
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import PREFIX, BuildContext, BuildRequest, Built, Check

IMAGE_NAME = "fairing-job"
"""What images are called where nobody names them (DEFAULT_IMAGE_NAME of Fairing 1.0)."""

_REQUIREMENTS = PREFIX + "requirements.txt"


class AppendBuilder:
    """Puts the code on a base image as one layer, and pushes it: no daemon, no Dockerfile.

    The code belongs to the user that the image runs as, so it may write beside itself. A plain
    Docker run keeps the base's ENTRYPOINT; pods set the command themselves.

    Args:
        base_image: what is built on; by default the run's.
        registry: where it is pushed, ``host[:port][/path]``; by default the run's.
        image_name: the repository below `registry`.
        tag: by default one that the content makes, so that the same input gives the same tag.
        push: False writes an OCI layout to `output` instead.
        output: the folder of the OCI layout; by default ``<image_name>.oci`` here.
        platform: ``os/architecture[/variant]``; the base has to be there for it.
        user: whom the image runs as: a number, ``number:number``, or a name that the base knows.
        entrypoint: a new ENTRYPOINT; ``[]`` takes the base's away.
        env: environment variables to add.
        labels: labels to add.
        python: the X.Y of the base's Python, where the base does not tell.

    Example:
        >>> from fairing_core.build.append import AppendBuilder
        >>> builder = AppendBuilder(platform="linux/arm64", labels={"team": "vision"})
    """

    def __init__(
        self,
        *,
        base_image: str | None = None,
        registry: str | None = None,
        image_name: str = IMAGE_NAME,
        tag: str | None = None,
        push: bool = True,
        output: Path | None = None,
        platform: str = "linux/amd64",
        user: str | None = None,
        entrypoint: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        python: str | None = None,
    ) -> None:
        self._base_image = base_image
        self._registry = registry
        self._image_name = image_name
        self._tag = tag
        self._push = push
        self._output = output
        self._platform = Platform.parse(platform)
        self._user = user
        self._entrypoint = (entrypoint,) if isinstance(entrypoint, str) else entrypoint
        self._env = dict(env or {})
        self._labels = dict(labels or {})
        self._python = python
        if output is not None and push:
            raise errors.UnknownOption(
                f"output={os.fspath(output)!r} is where push=False writes to; give that too"
            )

    def supports(self, request: BuildRequest) -> str | None:
        """Why it can't be built, or None."""
        if any(file.destination == _REQUIREMENTS for file in request.context.files):
            return (
                "requirements.txt is among the inputs, and this builder can't install packages; "
                "name a base image that has them and leave the file out"
            )
        if not (self._base_image or request.base_image):
            return "no base image is named: base_image='python:3.12-slim'"
        if self._push and not (self._registry or request.registry):
            return (
                "no registry is named: registry='host/team', FAIRING_REGISTRY, registry in "
                "[tool.fairing], or push=False for an OCI layout in a folder"
            )
        return None

    def build(self, request: BuildRequest) -> Built:
        """The image, by its digest: pushed, or in an OCI layout.

        Raises:
            ImageError: the base can't be built on, or lacks the Python that the code needs.
            RegistryError: a registry refused or can't be reached; the tag is as it was then.
            InputError: a file can't travel.
        """
        base = self._base(request)
        with Session(request.registries, request.registry_for) as session:
            work = Appending(self._changes(request.context), self._python, base, request, session)
            if not self._push:
                return self._written(work, base)
            target = self._target(request, base)
            image = work.pushed(target, self._platform)
        return work.built(f"{target.name}@{image.digest}")

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """The image that `build` would give, and what stands in its way; nothing is pushed.

        Asks the registries what the base is, and whether they take a push.

        Raises:
            InputError: a file can't travel.
        """
        base = self._base(request)
        with Session(request.registries, request.registry_for) as session:
            work = Appending(self._changes(request.context), self._python, base, request, session)
            target = self._target(request, base) if self._push else None
            return work.foreseen(target, self._platform)

    def _base(self, request: BuildRequest) -> ImageRef:
        """What is built on, once it is clear that it can be tried."""
        if reason := self.supports(request):
            raise errors.Unsupported(f"append can't build this: {reason}")
        for file in request.context.files:
            layer.check_destination(file.destination)
        return ImageRef.parse(self._base_image or request.base_image or "")

    def _written(self, work: Appending, base: ImageRef) -> Built:
        folder = self._output or Path(f"{self._image_name.rpartition('/')[2]}.oci")
        tag = self._tag or self._content_tag(work.request.context, base)
        image = work.written(folder.absolute(), self._platform, tag)
        return work.built(f"oci:{folder.absolute()}@{image.digest}")

    def _changes(self, context: BuildContext) -> Changes:
        return Changes(
            context.command,
            context.workdir,
            user=self._user,
            entrypoint=self._entrypoint,
            env=self._env,
            labels=self._labels,
        )

    def _target(self, request: BuildRequest, base: ImageRef) -> ImageRef:
        registry = self._registry or request.registry
        assert registry is not None
        if isinstance(registry, str):
            name = f"{registry.rstrip('/')}/{self._image_name}"
        else:
            name = registry.repository(self._image_name)
        return ImageRef.parse(f"{name}:{self._tag or self._content_tag(request.context, base)}")

    def _content_tag(self, context: BuildContext, base: ImageRef) -> str:
        words = (context.digest, str(base), str(self._platform), self._user, self._entrypoint)
        more = (sorted(self._env.items()), sorted(self._labels.items()))
        return hashlib.sha256(repr((words, more)).encode()).hexdigest()[:20]
