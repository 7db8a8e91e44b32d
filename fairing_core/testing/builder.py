"""The clauses that every builder keeps, as tests to inherit."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, ClassVar

from fairing_core import errors
from fairing_core.images.cache import Cache
from fairing_core.images.reference import ImageRef
from fairing_core.images.session import Session
from fairing_core.interfaces import Builder
from fairing_core.preprocess.context import pack
from fairing_core.testing.clauses import raised, untouched
from fairing_core.types import BuildRequest, ContextFile, RegistryAccess
from fairing_core.values import replace

_PROGRAM = b"print('built')\n"


class BuilderConformance:
    """The clauses of a builder: inherit, say how one is made and where it pushes, and run pytest.

    `registry` and `base_image` may be set by a fixture; the tests build, and push to `registry`.

    Example:
        >>> from fairing_core.build.append import AppendBuilder
        >>> from fairing_core.testing import BuilderConformance
        >>> class TestAppend(BuilderConformance):
        ...     registry = "registry.lab.example/tests"
        ...     base_image = "registry.lab.example/python:3.12"
        ...     def make(self, **options):
        ...         return AppendBuilder(**options)
        >>> TestAppend().test_without_a_registry_it_gives_a_reason_and_asks_nobody()
    """

    registry: str
    """Where it pushes, ``host[:port]/path``."""

    base_image: str
    """An image that it can build on."""

    registries: Mapping[str, RegistryAccess] = {}
    """How registries are reached, by host."""

    missing_base: ClassVar[tuple[type[errors.FairingError], ...]] = (
        errors.ImageNotFound,
        errors.BuildError,
    )
    """What it raises where the base is not there."""

    def make(self, **options: Any) -> Builder:
        """The builder; the clauses give it an `image_name`."""
        raise NotImplementedError

    def request(self, **changes: Any) -> BuildRequest:
        """What it is asked for: a script on `base_image`, pushed to `registry`."""
        script = ContextFile("/app/main.py", _PROGRAM, size=len(_PROGRAM), reason="conformance")
        context = pack([script], ("python3", "/app/main.py"), workdir="/app")
        made = BuildRequest(
            context,
            base_image=self.base_image,
            registry=self.registry,
            registries=self.registries,
        )
        return replace(made, **changes)

    def test_it_is_a_builder_and_making_it_asks_nobody(self) -> None:
        with untouched():
            assert isinstance(self.make(image_name=_name()), Builder)

    def test_what_it_can_build_has_no_reason_against_it(self) -> None:
        with untouched(beyond=True):
            assert self.make(image_name=_name()).supports(self.request()) is None

    def test_without_a_registry_it_gives_a_reason_and_asks_nobody(self) -> None:
        with untouched(beyond=True):
            reason = self.make(image_name=_name()).supports(self.request(registry=None))
        assert reason is not None
        assert "registry" in reason

    def test_without_a_base_image_it_gives_a_reason_and_asks_nobody(self) -> None:
        with untouched(beyond=True):
            reason = self.make(image_name=_name()).supports(self.request(base_image=None))
        assert reason is not None
        assert "base" in reason

    def test_the_image_is_named_by_its_digest_and_is_there(self) -> None:
        name = _name()
        built = self.make(image_name=name).build(self.request())
        assert re.fullmatch(
            rf"{re.escape(self.registry)}/{name}@sha256:[0-9a-f]{{64}}", built.image
        )
        ref = ImageRef.parse(built.image)
        with self._session() as session:
            assert session.repository(ref).head(ref.reference) == ref.digest

    def test_the_same_context_twice_gets_the_same_tag(self) -> None:
        name = _name()
        for _ in range(2):
            self.make(image_name=name).build(self.request())
        assert len(self._tags(name)) == 1

    def test_another_context_gets_another_tag(self) -> None:
        name, other = _name(), _PROGRAM + b"# and more\n"
        script = ContextFile("/app/main.py", other, size=len(other), reason="conformance")
        changed = pack([script], ("python3", "/app/main.py"), workdir="/app")
        self.make(image_name=name).build(self.request())
        self.make(image_name=name).build(self.request(context=changed))
        assert len(self._tags(name)) == 2

    def test_a_tag_that_is_given_is_the_images(self) -> None:
        name = _name()
        self.make(image_name=name, tag="v1").build(self.request())
        assert self._tags(name) == ["v1"]

    def test_a_base_that_is_not_there_is_named(self) -> None:
        missing = f"{self.registry}/no-such-base-{secrets.token_hex(4)}:1"
        builder = self.make(image_name=_name())
        error = raised(lambda: builder.build(self.request(base_image=missing)))
        assert isinstance(error, self.missing_base)
        assert missing.partition(":")[0].rpartition("/")[2] in str(error)

    def test_building_changes_nothing_of_the_request(self) -> None:
        request = self.request()
        before = repr(request)
        self.make(image_name=_name()).build(request)
        assert repr(request) == before

    def _tags(self, name: str) -> list[str]:
        """The tags of a repository. Source: OCI distribution specification v1.1, Listing Tags."""
        ref = ImageRef.parse(f"{self.registry}/{name}")
        with self._session() as session:
            repository = session.repository(ref)
            answer = repository.remote.request("GET", f"/v2/{ref.repository}/tags/list")
            assert answer.status == 200
            tags: list[str] = json.loads(answer.read(1 << 20))["tags"]
        return tags

    def _session(self) -> Session:
        return Session(self.registries, cache=Cache(None))


def _name() -> str:
    return f"conformance-{secrets.token_hex(6)}"
