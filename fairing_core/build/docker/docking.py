"""One image in the making by an engine: a base, a Dockerfile, what came of it, where it went."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fairing_core import errors, log
from fairing_core.build import archive
from fairing_core.build.appending import check_python, user_check
from fairing_core.build.confirm import confirmed
from fairing_core.build.docker.engine import Engine
from fairing_core.build.docker.inside import lacking, learn, platform_of
from fairing_core.build.dockerfile import Owner, images_named
from fairing_core.build.wanted import REQUIREMENTS, Wanted
from fairing_core.images.facts import Facts
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import BuildRequest, Built, Check, Credentials

logger = log.named(__name__)


class Docking:
    """One build, from the base to the image."""

    def __init__(
        self,
        wanted: Wanted,
        python: str | None,
        request: BuildRequest,
        engine: Engine,
        session: Session,
    ) -> None:
        self._wanted = wanted
        self._python = python
        self._request = request
        self._engine = engine
        self._session = session
        self._image: Mapping[str, Any] = {}
        self._facts: Facts | None = None

    def generated(self) -> str:
        """The Dockerfile on the base, once that is in the engine and fits."""
        wanted, request = self._wanted, self._request
        ref = wanted.base(request)
        base = self._engine.inspect(_plain(ref))
        if base is None or not wanted.platform.rank(platform_of(base)):
            who = self._may_know(ref)
            self._engine.pull(ref, str(wanted.platform), who, request.report)
            base = self._engine.inspect(_plain(ref))
            if base is None:
                raise errors.BuildError(
                    f"the engine has pulled {ref}, and has no image of that name; remove what it "
                    "has of it, and build again",
                    kind="base-not-found",
                )
        there = platform_of(base)
        if not wanted.platform.rank(there):
            raise errors.PlatformNotFound(
                f"{ref} is for {there}, not for {wanted.platform}; choose that "
                f"(platform='{there}'), or another base image"
            )
        facts = self._learn(base, str(ref), user=wanted.user)
        if (told := self._imports(base, str(ref))) and told.ok is None:
            logger.warning("%s", told.detail)
        config = base.get("Config") or {}
        owner = Owner(facts.uid or 0, facts.gid or 0, str(config.get("User") or ""))
        changes = wanted.changes(request.context)
        return archive.generated(request.context, _pinned(ref, base), changes, owner)

    def build(
        self, text: str, name: ImageRef, params: Mapping[str, str], args: Mapping[str, str]
    ) -> None:
        """Builds the image of that Dockerfile, by that name."""
        request = self._request
        whole = archive.archived(request.context, text, is_generated=self._facts is not None)
        params = {**params, "t": str(name), "dockerfile": "Dockerfile", "rm": "1", "forcerm": "1"}
        known = {ref: self._may_know(ref) for ref in images_named(text)}
        logins = {ref: who for ref, who in known.items() if who}

        def heard(line: str) -> None:
            request.report("build-log", line=line)

        made = self._engine.build(whole.tar, params, args, logins, heard)
        image = self._engine.inspect(made)
        if image is None:
            raise errors.BuildError(
                f"the engine says that it has built {made}, and has no such image; look at its log",
                kind="image-missing",
            )
        self._image = image

    def learn_of_result(self) -> None:
        """What the image of the user's own Dockerfile is like: only it tells."""
        self._learn(self._image, "the image of your Dockerfile", user=None)

    def may_push(self, name: ImageRef) -> None:
        """Asks the registry whether it takes a push, before anything is built for nothing.

        Raises:
            BuildError: it doesn't.
        """
        repository = self._session.repository(name, push=True)
        try:
            repository.abandon(repository.begin())
        except errors.RegistryError as exc:
            kinds = {
                errors.RegistryDenied: "push-denied",
                errors.UntrustedRegistry: "registry-untrusted",
                errors.RegistryUnreachable: "registry-unreachable",
            }
            kind = kinds.get(type(exc), "push-refused")
            raise errors.BuildError(
                f"not built, for it could not be pushed: {exc}", kind=kind
            ) from exc

    def pushed(self, name: ImageRef) -> str:
        """Pushes it; its name by the digest that the registry has."""
        who = self._session.credentials(name)
        digest = self._engine.push(name, who, self._request.report)
        if not digest:
            raise errors.BuildError(
                f"the engine says that it has pushed {name}, and tells no digest; look at its log",
                kind="image-missing",
            )
        confirmed(self._session, name, digest, self._wanted.platform)
        return f"{name.name}@{digest}"

    def built(self, image: str) -> Built:
        """What is said of the image."""
        facts = self._facts or Facts()
        return Built(
            image,
            uid=facts.uid,
            gid=facts.gid,
            python=self._python or facts.python,
            platform=str(platform_of(self._image)) if self._image else None,
        )

    def foreseen(self) -> list[Check]:
        """What is known of the base before anything is pulled."""
        wanted, context = self._wanted, self._request.context
        ref = wanted.base(self._request)
        base = self._engine.inspect(_plain(ref))
        if base is None or not wanted.platform.rank(platform_of(base)):
            told = f"{ref} is not in the engine for {wanted.platform}; the build pulls it"
            return [Check("base image", None, told)]
        self._image = base
        checks = [Check("base image", True, f"{ref}, {platform_of(base)}")]
        try:
            facts = self._learn(base, str(ref), user=wanted.user)
        except errors.ImageError as exc:
            return [*checks, Check("python" if self._facts else "user", False, str(exc))]
        checks.append(user_check(facts.uid, facts.gid))
        if context.python:
            checks.append(Check("python", True, f"{context.python}, as the code needs"))
        if imports := self._imports(base, str(ref)):
            checks.append(imports)
        return checks

    def _imports(self, image: Mapping[str, Any], name: str) -> Check | None:
        """Whether the base has what the code imports; names of files don't prove that it lacks it.

        None where there is nothing to look for, or a requirements.txt is to bring it.
        """
        context = self._request.context
        wanted = [each.module for each in context.imports]
        if not wanted or REQUIREMENTS in {file.destination for file in context.files}:
            return None
        if missing := lacking(self._engine, image, wanted):
            told = f"{', '.join(missing)} will not travel, and {name} seems to lack it"
            return Check("imports", None, told)
        return Check("imports", True, f"{name} has {', '.join(wanted)}")

    def _learn(self, image: Mapping[str, Any], name: str, *, user: str | None) -> Facts:
        needed = self._request.context.python
        wants = needed is not None and self._python is None
        self._facts = facts = learn(self._engine, image, name, user=user, python=wants)
        check_python(needed, self._python or facts.python, name)
        return facts

    def _may_know(self, ref: ImageRef) -> Credentials | None:
        """Credentials for an image to pull, which may need none."""
        try:
            return self._session.credentials(ref)
        except errors.SettingsError as exc:
            logger.warning("%s. Went on without credentials for %s", exc, ref.registry)
            return None


def _plain(ref: ImageRef) -> str:
    """What the engine knows an image by: a digest, else a tag, never both."""
    return f"{ref.name}@{ref.digest}" if ref.digest else f"{ref.name}:{ref.reference}"


def _pinned(ref: ImageRef, image: Mapping[str, Any]) -> str:
    """The very image that was looked at: by its digest in a registry, else by its id."""
    for told in image.get("RepoDigests") or ():
        with suppress(errors.InvalidReference):  # "<none>@<none>", in old engines
            if (named := ImageRef.parse(told)).name == ref.name:
                return str(named)
    return str(image["Id"])
