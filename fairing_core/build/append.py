"""The builder ``append``: a base image with one layer more, made without a daemon.

The base is never pulled: its layers are mounted, or copied from registry to registry once. Nothing
is sent that is there already, and no request waits for one that it does not need.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.build import bases, layer
from fairing_core.build.bases import Base
from fairing_core.build.code import CodeLayer
from fairing_core.build.codec import Layer
from fairing_core.build.image import Changes, NewImage, on_top
from fairing_core.build.key import stat_key
from fairing_core.build.push import Push
from fairing_core.images.facts import Facts
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import PREFIX, BuildContext, BuildRequest, Built

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
        if reason := self.supports(request):
            raise errors.Unsupported(f"append can't build this: {reason}")
        base = ImageRef.parse(self._base_image or request.base_image or "")
        for file in request.context.files:
            layer.check_destination(file.destination)
        with Session(request.registries, request.registry_for) as session:
            work = _Work(self._changes(request.context), self._python, base, request, session)
            if not self._push:
                return self._written(work, base)
            target = self._target(request, base)
            image = work.pushed(target, self._platform)
        return work.built(image, f"{target.name}@{image.digest}")

    def _written(self, work: _Work, base: ImageRef) -> Built:
        folder = self._output or Path(f"{self._image_name.rpartition('/')[2]}.oci")
        tag = self._tag or self._content_tag(work.request.context, base)
        image = work.written(folder.absolute(), self._platform, tag)
        return work.built(image, f"oci:{folder.absolute()}@{image.digest}")

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


class _Work:
    """One build, from the base to the image."""

    def __init__(
        self,
        changes: Changes,
        python: str | None,
        base: ImageRef,
        request: BuildRequest,
        session: Session,
    ) -> None:
        self.request = request
        self._changes = changes
        self._python = python
        self._base_ref = base
        self._session = session
        self._stat_key = stat_key(request.context.files, uid=0, gid=0)
        self._base: Base
        self._facts: Facts

    def pushed(self, target: ImageRef, platform: Platform) -> NewImage:
        """Pushes the image.

        What was learned of the base last time is built on at once, and looked up beside that;
        in the rare case that the base has moved since, the work is done again on the new one.
        """
        session, cache = self._session, self._session.cache
        to = session.repository(target, push=True)
        source = session.repository(self._base_ref)
        push = Push(to, target.reference, cache=cache, report=self.request.report)
        seen = f"{target}\0{self._stat_key}" if self._stat_key else None
        try:
            looking = push.start(bases.resolve, source, self._base_ref, platform, cache)
            push.prepare(unchanged=bool(seen and cache.get("pushed", seen)))
            base = bases.remembered(source, self._base_ref, platform, cache) or looking.result()
            try:
                image = self._once(push, base)
            except errors.FairingError:
                if looking.result().manifest.digest == base.manifest.digest:
                    raise
            now = looking.result()
            if now.manifest.digest != base.manifest.digest:
                image = self._once(push, now)
            if not push.is_there(image) and not push.tag(image):
                push.forget(image)
                image = self._once(push, now, trusting=False)
                if not push.tag(image):
                    raise errors.RegistryError(
                        f"{to.full_name} lacks blobs that it has just taken; push again, or ask "
                        "those who run it",
                        host=to.remote.host,
                    )
        finally:
            push.close()
        if seen:
            cache.put("pushed", seen, b"1")
        cache.sweep()
        push.traffic.tell("pushed")
        return image

    def written(self, folder: Path, platform: Platform, tag: str) -> NewImage:
        """Writes the image to a folder."""
        from fairing_core.build import layout

        layout.check(folder)
        source = self._session.repository(self._base_ref)
        base = bases.resolve(source, self._base_ref, platform, self._session.cache)
        code, image_of = self._on(base)
        return layout.write(
            folder,
            base,
            code,
            image_of,
            tag=tag,
            report=self.request.report,
            stop=self._session.close,
        )

    def built(self, image: NewImage, name: str) -> Built:
        """What is said of the image."""
        return Built(
            name,
            uid=self._facts.uid,
            gid=self._facts.gid,
            python=self._python or self._facts.python,
            platform=str(self._base.platform),
        )

    def _once(self, push: Push, base: Base, *, trusting: bool = True) -> NewImage:
        code, image_of = self._on(base)
        if trusting and code.known is not None:
            image = image_of(code.known)
            if push.is_there(image):
                return image
        return push.blobs(base, code, image_of, trusting=trusting)

    def _on(self, base: Base) -> tuple[CodeLayer, Callable[[Layer], NewImage]]:
        """The layer for a base, and what makes the image of both."""
        context = self.request.context
        wants_python = context.python is not None and self._python is None
        self._base = base
        self._facts = bases.learn(
            base, user=self._changes.user, python=wants_python, cache=self._session.cache
        )
        _check_python(context.python, self._python or self._facts.python, base)
        assert self._facts.uid is not None
        assert self._facts.gid is not None
        code = CodeLayer(
            context.files,
            uid=self._facts.uid,
            gid=self._facts.gid,
            stat_key=self._stat_key,
            cache=self._session.cache,
        )
        return code, functools.partial(
            on_top, base.manifest, base.config, changes=self._changes, base_name=base.name
        )


def _check_python(needed: str | None, there: str | None, base: Base) -> None:
    if needed is None or needed == there:
        return
    if there is None:
        raise errors.ImageError(
            f"the code needs Python {needed}, and which one {base.name} has can't be told from "
            f"its config and files; if it is {needed}, say so: python='{needed}'"
        )
    raise errors.ImageError(
        f"the code needs Python {needed}, and {base.name} has {there}; name a base image with "
        f"{needed}, or submit with Python {there}"
    )
