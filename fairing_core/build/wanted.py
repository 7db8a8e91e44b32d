"""What the user said of an image, whichever builder makes it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from fairing_core.build.image import Changes
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.types import PREFIX, BuildContext, BuildRequest
from fairing_core.values import field, frozen

IMAGE_NAME = "fairing-job"
"""What images are called where nobody names them (DEFAULT_IMAGE_NAME of Fairing 1.0)."""

REQUIREMENTS = PREFIX + "requirements.txt"
"""What pip installs, where it is among the files."""

DOCKERFILE = "/Dockerfile"
"""The user's own, where it is among the files."""


@frozen(kw_only=True)
class Wanted:
    """An image as a builder's options say it; None leaves it to the run.

    `base_image` is what is built on, `registry` (``host[:port][/path]``) where it is pushed,
    `image_name` the repository below that, `tag` by default one that the content makes. `user`,
    `entrypoint`, `env` and `labels` are as in `Changes`.
    """

    base_image: str | None
    registry: str | None
    image_name: str
    tag: str | None
    platform: Platform
    user: str | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def lacks(self, request: BuildRequest, *, push: bool) -> str | None:
        """What has to be named yet."""
        if not (self.base_image or request.base_image):
            return "no base image is named: base_image='python:3.12-slim'"
        if push and not (self.registry or request.registry):
            return (
                "no registry is named: registry='host/team' (a command's --registry or -t), "
                "FAIRING_REGISTRY, registry in [tool.fairing], or push=False"
            )
        return None

    def beside_own(self) -> str | None:
        """What can't be said beside the user's own Dockerfile, or None."""
        said = {
            "user": self.user is not None,
            "entrypoint": self.entrypoint is not None,
            "env": bool(self.env),
            "labels": bool(self.labels),
        }
        names = [key for key, is_said in said.items() if is_said]
        if not names:
            return None
        return (
            f"the Dockerfile is your own, and {', '.join(names)} can't be added to it; say that in "
            "the Dockerfile, or leave it out"
        )

    def base(self, request: BuildRequest) -> ImageRef:
        """What is built on."""
        return ImageRef.parse(self.base_image or request.base_image or "")

    def changes(self, context: BuildContext) -> Changes:
        """What the image says otherwise than its base."""
        return Changes(
            context.command,
            context.workdir,
            user=self.user,
            entrypoint=self.entrypoint,
            env=self.env,
            labels=self.labels,
        )

    def target(self, request: BuildRequest, *more: str) -> ImageRef:
        """What the image will be called in its registry, as this machine calls it.

        `more` is what it is made of beside the context and what is said here.
        """
        registry = self.registry or request.registry
        assert registry is not None
        if isinstance(registry, str):
            name = f"{registry.rstrip('/')}/{self.image_name}"
        else:
            name = registry.repository(self.image_name)
        return ImageRef.parse(f"{name}:{self.content_tag(request, *more)}")

    def make_room(self, request: BuildRequest, target: ImageRef) -> None:
        """Has the repository of `target` made, where its registry wants that before a push.

        Raises:
            RegistryError: there is none, and it can't be made.
        """
        registry = request.registry
        if registry is None or isinstance(registry, str) or not registry.serves(target.registry):
            return
        registry.ensure(target.name)

    def content_tag(self, request: BuildRequest, *more: str) -> str:
        """The tag: the one that was named, else one that stands for the content."""
        if self.tag:
            return self.tag
        said = (str(self.platform), self.user, self.entrypoint)
        words = (request.context.digest, str(self.base(request)), *said)
        tables = (sorted(self.env.items()), sorted(self.labels.items()))
        whole = (words, tables, more) if more else (words, tables)
        return hashlib.sha256(repr(whole).encode()).hexdigest()[:20]


def entrypoint_of(said: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """A new ENTRYPOINT as a tuple; None leaves the base's."""
    if said is None:
        return None
    return (said,) if isinstance(said, str) else tuple(said)
