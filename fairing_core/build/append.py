"""The builder ``append``: a base image with one layer more, made without a daemon.

The base is never pulled: its layers are mounted, or copied from registry to registry once. Nothing
is sent that is there already, and no request waits for one that it does not need.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.build import layer
from fairing_core.build.appending import Appending
from fairing_core.build.wanted import DOCKERFILE, IMAGE_NAME, REQUIREMENTS, Wanted, entrypoint_of
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import BuildRequest, Built, Check


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
        self._wanted = Wanted(
            base_image=base_image,
            registry=registry,
            image_name=image_name,
            tag=tag,
            platform=Platform.parse(platform),
            user=user,
            entrypoint=entrypoint_of(entrypoint),
            env=dict(env or {}),
            labels=dict(labels or {}),
        )
        self._push = push
        self._output = output
        self._python = python
        if output is not None and push:
            raise errors.UnknownOption(
                f"output={os.fspath(output)!r} is where push=False writes to; give that too"
            )

    def supports(self, request: BuildRequest) -> str | None:
        """Why it can't be built, or None."""
        there = {file.destination: file for file in request.context.files}
        if REQUIREMENTS in there:
            reason = there[REQUIREMENTS].reason
            asked = f"a notebook asks for packages ({reason})" if "pip" in reason else ""
            return (
                f"{asked or 'requirements.txt is among the inputs'}, and this builder can't "
                "install packages; "
                "name a base image that has them and leave the file out, or build with 'cluster' "
                "or 'docker'"
            )
        if DOCKERFILE in there:
            return (
                "a Dockerfile is among the inputs, and this builder runs none; build with "
                "'cluster' or 'docker', or leave the file out"
            )
        return self._wanted.lacks(request, push=self._push)

    def build(self, request: BuildRequest) -> Built:
        """The image, by its digest: pushed, or in an OCI layout.

        Raises:
            ImageError: the base can't be built on, or lacks the Python that the code needs.
            RegistryError: a registry refused or can't be reached; the tag is as it was then.
            InputError: a file can't travel.
        """
        base = self._base(request)
        with Session(request.registries, request.registry_for) as session:
            work = self._work(base, request, session)
            if not self._push:
                return self._written(work)
            target = self._wanted.target(request)
            self._wanted.make_room(request, target)
            image = work.pushed(target, self._wanted.platform)
        return work.built(f"{target.name}@{image.digest}")

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """The image that `build` would give, and what stands in its way; nothing is pushed.

        Asks the registries what the base is, and whether they take a push.

        Raises:
            InputError: a file can't travel.
        """
        base = self._base(request)
        with Session(request.registries, request.registry_for) as session:
            work = self._work(base, request, session)
            target = self._wanted.target(request) if self._push else None
            return work.foreseen(target, self._wanted.platform)

    def _base(self, request: BuildRequest) -> ImageRef:
        """What is built on, once it is clear that it can be tried."""
        if reason := self.supports(request):
            raise errors.Unsupported(f"append can't build this: {reason}")
        for file in request.context.files:
            layer.check_destination(file.destination)
        return self._wanted.base(request)

    def _work(self, base: ImageRef, request: BuildRequest, session: Session) -> Appending:
        changes = self._wanted.changes(request.context)
        return Appending(changes, self._python, base, request, session)

    def _written(self, work: Appending) -> Built:
        wanted = self._wanted
        folder = self._output or layout_of(wanted.image_name)
        tag = wanted.content_tag(work.request)
        image = work.written(folder.absolute(), wanted.platform, tag)
        return work.built(f"oci:{folder.absolute()}@{image.digest}")


def layout_of(image_name: str) -> Path:
    """Where the OCI layout of an image goes, where nobody says."""
    return Path(f"{image_name.rpartition('/')[2]}.oci")
