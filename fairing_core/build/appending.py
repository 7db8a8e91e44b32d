"""One image in the making: a base, and the code as one layer more."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

from fairing_core import errors
from fairing_core.build import bases
from fairing_core.build.bases import Base
from fairing_core.build.code import CodeLayer
from fairing_core.build.codec import Layer
from fairing_core.build.image import Changes, NewImage, on_top
from fairing_core.build.key import stat_key
from fairing_core.build.lacking import check_imports
from fairing_core.build.push import Push
from fairing_core.images.facts import Facts
from fairing_core.images.manifest import Platform
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.types import BuildRequest, Built, Check


class Appending:
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

    def built(self, name: str) -> Built:
        """What is said of the image."""
        return Built(
            name,
            uid=self._facts.uid,
            gid=self._facts.gid,
            python=self._python or self._facts.python,
            platform=str(self._base.platform),
        )

    def foreseen(self, target: ImageRef | None, platform: Platform) -> tuple[Built, list[Check]]:
        """What `pushed` would give, or `written` without a `target`, and what stands in its way.

        An image that `target` has already goes by its digest, another one by its tag.
        """
        name = f"{target.name}:{target.reference}" if target else "oci:"
        checks = [] if target is None else [may_push(self._session, target)]
        source = self._session.repository(self._base_ref)
        try:
            base = bases.resolve(source, self._base_ref, platform, self._session.cache)
            self._learn(base)
        except (errors.ImageError, errors.RegistryError) as exc:
            return Built(name), [Check("base image", False, str(exc)), *checks]
        checks.insert(0, Check("base image", True, f"{base.name}, {base.platform}"))
        checks.append(user_check(self._facts.uid, self._facts.gid))
        looked = "python"
        try:
            self._check_python(base)
            if self.request.context.python:
                told = f"{self.request.context.python}, as the code needs"
                checks.append(Check("python", True, told))
            looked = "imports"
            if imports := self._check_imports(base):
                checks.append(imports)
        except errors.ImageError as exc:
            return self.built(name), [*checks, Check(looked, False, str(exc))]
        code, image_of = self._on(base)
        if target is not None and checks[1].ok and (code.known or code.is_small):
            digest = image_of(code.known or code.pack()[0]).digest
            if self._session.repository(target).head(digest):
                name = f"{target.name}@{digest}"
        return self.built(name), checks

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
        self._learn(base)
        self._check_python(base)
        self._check_imports(base)
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

    def _check_python(self, base: Base) -> None:
        needed = self.request.context.python
        check_python(needed, self._python or self._facts.python, base.name)

    def _check_imports(self, base: Base) -> Check | None:
        return check_imports(base, self.request.context.imports, self._session.cache)

    def _learn(self, base: Base) -> None:
        wants_python = self.request.context.python is not None and self._python is None
        self._base = base
        self._facts = bases.learn(
            base, user=self._changes.user, python=wants_python, cache=self._session.cache
        )


def may_push(session: Session, target: ImageRef) -> Check:
    """Whether the registry takes a push there: an upload is begun, and given up."""
    repository = session.repository(target, push=True)
    try:
        repository.abandon(repository.begin())
    except errors.ImageNotFound as exc:
        told = f"there is no repository yet, and whether a build gets one made is not known: {exc}"
        return Check("push", None, told)
    except (errors.RegistryError, errors.ImageError) as exc:
        return Check("push", False, str(exc))
    return Check("push", True, f"{repository.full_name} takes your pushes")


def user_check(uid: int | None, gid: int | None) -> Check:
    """Whom the program runs as, and what that means."""
    if uid:
        return Check("user", True, f"the program runs as {uid}:{gid}")
    told = "the program runs as root; a namespace that is 'restricted' lets no such pod in"
    return Check("user", True, told)


def check_python(needed: str | None, there: str | None, image: str) -> None:
    """Refuses an image whose Python (`there`, X.Y) is not the one that the code needs.

    Raises:
        ImageError: it is not, or nobody knows which it is.
    """
    if needed is None or needed == there:
        return
    if there is None:
        raise errors.ImageError(
            f"the code needs Python {needed}, and which one {image} has can't be told from "
            f"its config and files; if it is {needed}, say so: python='{needed}'"
        )
    raise errors.ImageError(
        f"the code needs Python {needed}, and {image} has {there}; name a base image with "
        f"{needed} ({_matching(image, there, needed)!r}?), or submit with Python {there}"
    )


def _matching(image: str, there: str, needed: str) -> str:
    """What such an image with the needed Python is called most likely.

    >>> _matching("docker.io/library/python:3.11.9-slim", "3.11", "3.13")
    'docker.io/library/python:3.13-slim'
    >>> _matching("registry.lab/base:1", "3.11", "3.13")
    'python:3.13-slim'
    """
    name, colon, tag = image.partition("@")[0].rpartition(":")
    found, count = re.subn(rf"(?<![\d.]){re.escape(there)}(?:\.\d+)?(?![\d.])", needed, tag)
    return f"{name}:{found}" if colon and count and "/" not in tag else f"python:{needed}-slim"
