"""What can be told without installed wheels; tests/packaging has the rest, with real ones."""

from __future__ import annotations

from typing import Any

import pytest

from fairing_core import BackendInterface, errors, hookimpl
from fairing_core.plugins import KINDS, Plugins


def with_backends(answer: Any) -> Plugins:
    class Offering:
        @hookimpl
        def fairing_register_backends(self) -> Any:
            return answer

    return Plugins(ambient=False, extra=[Offering()])


def test_an_unknown_name_lists_every_candidate_and_the_near_one() -> None:
    with pytest.raises(errors.UnknownBackend, match=r"mean 'local'\?.*kubernetes.*local"):
        Plugins(ambient=False).lookup("backend", "loacl")


def test_an_unknown_name_that_our_distributions_bring_gets_its_install_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAIRING_DISABLE_PLUGINS", "gcp")  # as where it is not installed
    with pytest.raises(errors.UnknownName, match="pip install fairing-gcp"):
        Plugins(ambient=False).lookup("storage", "gs")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_looked_up_the_same_way(kind: Any) -> None:
    with pytest.raises(errors.UnknownName, match=f"no {kind} is called 'nonsense'"):
        Plugins(ambient=False).lookup(kind, "nonsense")


def test_a_name_offered_by_two_is_an_error_only_when_it_is_asked_for() -> None:
    class Local(BackendInterface):
        name = "local"

    hub = with_backends({"local": Local})
    assert hub.lookup("preprocessor", "python")
    assert hub.lookup("backend", "kubernetes")
    with pytest.raises(errors.DuplicateName, match="fairing-core and by this program"):
        hub.lookup("backend", "local")


class Lab(BackendInterface):
    name = "lab"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (["lab"], "gave a list, not a mapping"),
        ({"lab": Lab()}, "not a class of BackendInterface"),
        ({"lab": dict}, "not a class of BackendInterface"),
        ({"bench": Lab}, "states name = 'lab'"),
    ],
)
def test_a_wrong_answer_to_registration_names_the_plugin(answer: Any, why: str) -> None:
    with pytest.raises(errors.PluginLoadError, match=why) as raised:
        with_backends(answer).lookup("backend", "lab")
    assert raised.value.distribution == "this program"


def test_a_registration_that_raises_names_the_plugin() -> None:
    class Raising:
        @hookimpl
        def fairing_register_builders(self) -> Any:
            raise OSError("no such file")

    hub = Plugins(ambient=False, extra=[Raising()])
    with pytest.raises(errors.PluginLoadError, match="fairing_register_builders raised OSError"):
        hub.lookup("builder", "append")
    assert hub.lookup("backend", "local")


def test_a_misspelt_hook_names_the_near_one() -> None:
    class Misspelt:
        @hookimpl
        def fairing_register_backend(self) -> Any:
            return {}

    with pytest.raises(errors.PluginLoadError, match="did you mean 'fairing_register_backends'"):
        Plugins(ambient=False, extra=[Misspelt()])


def test_a_hook_without_its_decorator_is_an_error() -> None:
    class Bare:
        def fairing_event(self, event: Any) -> None:
            raise AssertionError("is never called")

    with pytest.raises(errors.PluginLoadError, match="fairing_event lacks the decorator @hookimpl"):
        Plugins(ambient=False, extra=[Bare()])


def test_a_hook_with_an_argument_that_does_not_exist_is_an_error() -> None:
    class Wrong:
        @hookimpl
        def fairing_event(self, happening: Any) -> None:
            raise AssertionError("is never called")

    with pytest.raises(errors.PluginLoadError, match="happening"):
        Plugins(ambient=False, extra=[Wrong()])


class LabRegistry:
    @classmethod
    def serves(cls, host: str) -> bool:
        return host.endswith(".lab.example")

    def repository(self, name: str) -> str:
        return f"images.lab.example/{name}"

    def ensure(self, repository: str) -> None:
        pass

    def credentials(self, host: str) -> Any:
        return None

    def pod_access(self, mode: str) -> Any:
        return ()


class OfferingRegistry:
    @hookimpl
    def fairing_register_registries(self) -> Any:
        return {"lab": LabRegistry}


def test_the_registry_at_a_host_is_the_one_that_serves_it() -> None:
    hub = Plugins(ambient=False, extra=[OfferingRegistry()])
    assert hub.serving("images.lab.example") is LabRegistry
    assert hub.serving("registry.example.com") is None


def test_a_broken_plugin_keeps_no_other_from_serving_a_host() -> None:
    class Raising:
        @hookimpl
        def fairing_register_registries(self) -> Any:
            raise OSError("broken")

    hub = Plugins(ambient=False, extra=[Raising(), OfferingRegistry()])
    assert hub.serving("images.lab.example") is LabRegistry
