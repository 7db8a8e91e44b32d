"""The builders ``docker`` and ``podman``: an engine runs a Dockerfile, and pushes what it made.

All about the base is asked of the engine, which may have mirrors, and images that are nowhere else.
An image counts as pushed when the registry itself says that it has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from fairing_core import errors
from fairing_core.build import archive
from fairing_core.build.appending import may_push
from fairing_core.build.docker.docking import Docking
from fairing_core.build.docker.engine import DockerAddress, Engine, Find, PodmanAddress
from fairing_core.build.wanted import IMAGE_NAME, Wanted, entrypoint_of
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import BuildRequest, Built, Check


class DockerBuilder:
    """Builds with a Docker engine, by a Dockerfile: the user's own, or one that is made.

    Args:
        base_image: what is built on; by default the run's. An own Dockerfile names its own.
        registry: where it is pushed, ``host[:port][/path]``; by default the run's.
        image_name: the repository below `registry`.
        tag: by default one that the content makes, so that the same input gives the same tag.
        push: False leaves the image in the engine, by its name and tag.
        dockerfile_path: a Dockerfile here; by default the one among the inputs that comes to
            ``/Dockerfile``, else one is made.
        platform: ``os/architecture[/variant]``; another than the engine's is emulated there.
        user: whom the image runs as: a number, ``number:number``, or a name that the base knows.
        entrypoint: a new ENTRYPOINT; ``[]`` takes the base's away.
        env: environment variables to add.
        labels: labels to add.
        python: the X.Y of the image's Python, where the image does not tell.
        host: where the engine is: ``unix:///...``, ``tcp://...`` or ``ssh://...``; by default where
            the `docker` command finds it.
        network: the network of RUN, ``"host"`` or ``"none"``; by default the engine's.
        build_args: what an own Dockerfile's ARG lines get; they stay readable in the image.

    Example:
        >>> from fairing_core.build.docker.builder import DockerBuilder
        >>> builder = DockerBuilder(push=False, network="host")
    """

    find: ClassVar[Find] = DockerAddress()

    def __init__(
        self,
        *,
        base_image: str | None = None,
        registry: str | None = None,
        image_name: str = IMAGE_NAME,
        tag: str | None = None,
        push: bool = True,
        dockerfile_path: Path | None = None,
        platform: str = "linux/amd64",
        user: str | None = None,
        entrypoint: str | Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        python: str | None = None,
        host: str | None = None,
        network: str | None = None,
        build_args: Mapping[str, str] | None = None,
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
        self._dockerfile = None if dockerfile_path is None else Path(dockerfile_path)
        self._python = python
        self._host = host
        self._network = network
        self._args = dict(build_args or {})

    def supports(self, request: BuildRequest) -> str | None:
        """Why it can't be built, or None; asks the engine whether it is there."""
        if reason := self._lacks(request):
            return reason
        try:
            self._engine().close()
        except errors.BuildError as exc:
            return str(exc)
        return None

    def build(self, request: BuildRequest) -> Built:
        """The image by its digest, as the registry has it; by its name and tag without `push`.

        Raises:
            BuildError: the engine is not there or can't build it, or the image can't be pushed.
            ImageError: the base can't be built on, or lacks the Python that the code needs.
            RegistryError: the registry can't be asked whether it has the image.
            InputError: a file can't travel.
        """
        own = self._own(request)
        with self._engine() as engine, Session(request.registries, request.registry_for) as session:
            work = Docking(self._wanted, self._python, request, engine, session)
            name = self._name(request, own)
            if self._push:
                work.may_push(name)
            text = work.generated() if own is None else own
            work.build(text, name, self._params(), self._args)
            if own is not None:
                work.learn_of_result()
            image = work.pushed(name) if self._push else name.familiar
        return work.built(image)

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """The image that `build` would give, and what stands in its way; nothing is pulled.

        Raises:
            InputError: a file can't travel.
        """
        own = self._own(request)
        name = self._name(request, own)
        built = Built(f"{name.name}:{name.tag}" if self._push else name.familiar)
        try:
            engine = self._engine()
        except errors.BuildError as exc:
            return built, [Check("engine", False, str(exc))]
        checks = [Check("engine", True, str(engine.address))]
        with engine, Session(request.registries, request.registry_for) as session:
            work = Docking(self._wanted, self._python, request, engine, session)
            if own is not None:
                checks.append(Check("base image", None, "the Dockerfile names it"))
            else:
                checks += work.foreseen()
                built = work.built(built.image)
            if self._push:
                checks.append(may_push(session, name))
        return built, checks

    @property
    def _title(self) -> str:
        return type(self).__name__.removesuffix("Builder").lower()

    def _own(self, request: BuildRequest) -> str | None:
        """The user's own Dockerfile, once it is clear that it can be tried."""
        if reason := self._lacks(request):
            raise errors.Unsupported(f"{self._title} can't build this: {reason}")
        return archive.users_own(request.context, self._dockerfile)

    def _engine(self) -> Engine:
        return Engine(self.find, self._host)

    def _lacks(self, request: BuildRequest) -> str | None:
        own = archive.users_own(request.context, self._dockerfile)
        wanted = self._wanted
        if own is not None and (conflict := wanted.beside_own()):
            return conflict
        if own is None and self._args:
            return (
                f"build_args ({', '.join(sorted(self._args))}) are for a Dockerfile of your own; "
                "name one with dockerfile_path, or leave them out"
            )
        return wanted.lacks(request, push=self._push)

    def _name(self, request: BuildRequest, own: str | None) -> ImageRef:
        """What the image is called; without a registry that is a name of the engine's alone."""
        made_of = ("Dockerfile", own or "", *map("=".join, sorted(self._args.items())))
        if self._push or self._wanted.registry or request.registry:
            return self._wanted.target(request, *made_of)
        tag = self._wanted.content_tag(request, *made_of)
        return ImageRef.parse(f"{self._wanted.image_name}:{tag}")

    def _params(self) -> Mapping[str, str]:
        """What the engine's API calls our options."""
        params = {"platform": str(self._wanted.platform)}
        if self._network:
            params["networkmode"] = self._network
        return params


class PodmanBuilder(DockerBuilder):
    """As `DockerBuilder`, by Podman's API: ``systemctl --user start podman.socket``.

    `host` is by default CONTAINER_HOST, else ``$XDG_RUNTIME_DIR/podman/podman.sock``, else
    ``/run/podman/podman.sock``.

    Example:
        >>> from fairing_core.build.docker.builder import PodmanBuilder
        >>> builder = PodmanBuilder(host="unix:///run/podman/podman.sock")
    """

    find: ClassVar[Find] = PodmanAddress()
