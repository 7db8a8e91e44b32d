"""The clauses that every registry keeps, as tests to inherit."""

from __future__ import annotations

from typing import ClassVar

from fairing_core.images.reference import ImageRef, parse_repository
from fairing_core.interfaces import Registry
from fairing_core.testing.clauses import references, shown, untouched
from fairing_core.types import Credentials


class RegistryConformance:
    """The clauses of a registry: inherit, say how one is made, and run pytest.

    Nothing here asks the registry itself.

    Example:
        >>> from fairing_core.testing import RegistryConformance
        >>> class Lab:
        ...     def serves(self, host): return host == "registry.lab.example"
        ...     def repository(self, name): return f"registry.lab.example/{name}"
        ...     def ensure(self, repository): pass
        ...     def credentials(self, host): return None
        ...     def pod_access(self, mode): return ()
        >>> class TestLab(RegistryConformance):
        ...     def make(self):
        ...         return Lab()
        >>> TestLab().test_a_repository_is_one_of_its_own()
    """

    secrets: ClassVar[tuple[str, ...]] = ()
    """What nobody may see: the password of the login that the tests run with, for one."""

    asks_for_credentials: ClassVar[bool] = False
    """Whether `credentials` and `pod_access` have to ask somebody beyond this machine."""

    def make(self) -> Registry:
        """The registry."""
        raise NotImplementedError

    def test_it_is_a_registry(self) -> None:
        assert isinstance(self.make(), Registry)

    def test_making_it_asks_nobody(self) -> None:
        with untouched():
            self.make().serves("registry.example.com")

    def test_secrets_stay_out_of_its_repr(self) -> None:
        assert not [secret for secret in self.secrets if secret in repr(self.make())]

    def test_a_repository_is_one_of_its_own(self) -> None:
        registry = self.make()
        with untouched():
            repository = registry.repository("fairing-job")
        ref = parse_repository(repository)
        assert ref.name == repository, "a full name: host[:port]/path"
        assert repository.endswith("fairing-job")
        assert registry.serves(ref.registry)
        ImageRef.parse(f"{repository}:tag")

    def test_repositories_of_other_names_are_others(self) -> None:
        registry = self.make()
        assert registry.repository("one") != registry.repository("two")
        assert registry.repository("one") == registry.repository("one")

    def test_it_does_not_serve_every_host(self) -> None:
        registry = self.make()
        for host in ("no-such-registry.invalid", "no-such-registry.invalid:5000", ""):
            assert not registry.serves(host)

    def test_it_has_no_login_for_a_host_that_it_does_not_serve(self) -> None:
        with untouched():
            assert self.make().credentials("no-such-registry.invalid") is None

    def test_credentials_are_credentials_or_the_users_own(self) -> None:
        if self.asks_for_credentials:
            return
        registry = self.make()
        found = registry.credentials(parse_repository(registry.repository("one")).registry)
        assert found is None or isinstance(found, Credentials)

    def test_what_pods_get_has_no_secret_in_it_but_in_secrets(self) -> None:
        if self.asks_for_credentials:
            return
        registry = self.make()
        for mode in ("pull", "push"):
            patches = registry.pod_access(mode)
            assert not [secret for secret in self.secrets if secret in shown(patches)]
            made = {secret.name for patch in patches for secret in patch.secrets}
            assert made <= references(patches), (
                "a Secret that nothing refers to is made for nothing"
            )
            again = registry.pod_access(mode)
            assert list(again) == list(patches), "the same answer each time"
