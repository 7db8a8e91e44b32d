from __future__ import annotations

from collections.abc import Sequence

from fairing_core.build.wanted import Wanted
from fairing_core.images.manifest import Platform
from fairing_core.types import BuildRequest, Credentials, PodPatch
from tests.core.build.conftest import context_of


class Wary:
    """A registry that wants repositories made."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def serves(self, host: str) -> bool:
        return host == "wary.lab"

    def repository(self, name: str) -> str:
        return f"wary.lab/ml/{name}"

    def ensure(self, repository: str) -> None:
        self.made.append(repository)

    def credentials(self, host: str) -> Credentials | None:
        return None

    def pod_access(self, mode: str) -> Sequence[PodPatch]:
        return ()


def wanted(registry: str | None = None) -> Wanted:
    return Wanted(
        base_image="base",
        registry=registry,
        image_name="train",
        tag=None,
        platform=Platform.parse("linux/amd64"),
    )


def test_the_repository_is_made_where_its_registry_wants_that() -> None:
    for named, made in ((None, "ml/train"), ("wary.lab/mine", "mine/train")):
        registry = Wary()
        request = BuildRequest(context_of(), registry=registry)
        builds = wanted(named)
        builds.make_room(request, builds.target(request))
        assert registry.made == [f"wary.lab/{made}"]


def test_another_registry_is_not_asked() -> None:
    registry = Wary()
    request = BuildRequest(context_of(), registry=registry)
    builds = wanted("registry.lab/mine")
    builds.make_room(request, builds.target(request))
    assert registry.made == []
    request = BuildRequest(context_of(), registry="registry.lab/mine")
    wanted().make_room(request, wanted().target(request))
