"""What a backend's check looks at; registries here do as they are told."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from fairing_core import Credentials, RegistryAccess, StoredObject, checks, errors, logins
from fairing_core.cluster.client import Cluster
from fairing_core.testing import FolderStorage
from tests.core.cluster.api import Api
from tests.core.images.registry import FakeRegistry

ADA, BOB = Credentials("ada", "s3cret"), Credentials("bob", "0ther")


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    """A registry that ada may use, and nobody else; the user is logged in as nobody."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", "/dev/null")
    monkeypatch.setenv("FAIRING_CACHE", str(tmp_path))
    registry = FakeRegistry(users={ADA.username: ADA.password})
    yield registry
    registry.close()


class Hub:
    """Has credentials that the user's keychain lacks."""

    def serves(self, host: str) -> bool:
        return True

    def repository(self, name: str) -> str:
        return name

    def ensure(self, repository: str) -> None: ...

    def credentials(self, host: str) -> Credentials:
        return ADA

    def pod_access(self, mode: str) -> tuple[()]:
        return ()


def access(registry: FakeRegistry) -> dict[str, RegistryAccess]:
    return {registry.host: RegistryAccess(plain_http=True)}


# --- a store --------------------------------------------------------------------------------------


def test_a_store_that_works_is_left_as_it_was(tmp_path: Path) -> None:
    store = FolderStorage(folder=tmp_path)
    found = checks.store(store)
    assert (found.name, found.ok) == ("store", True)
    assert list(store.list("")) == []


def test_each_step_that_fails_is_named(tmp_path: Path) -> None:
    def fail(url: str, **_: Any) -> Any:
        raise errors.StorageDenied(f"{url}: you may not", url=url)

    for method, step in (("open", "read"), ("delete", "deleted"), ("stat", "looked up")):
        store = FolderStorage(folder=tmp_path / method)
        setattr(store, method, fail)
        found = checks.store(store)
        assert found.ok is False
        assert f"can't be {step}" in found.detail
        assert "you may not" in found.detail


def test_a_store_that_gives_something_else_is_found_out(tmp_path: Path) -> None:
    class Odd(FolderStorage):
        def open(self, url: str, *, start: int = 0) -> BinaryIO:
            return io.BytesIO(b"other")

    class Forgetful(FolderStorage):
        def stat(self, url: str) -> StoredObject | None:
            return None

    for store in (Odd(folder=tmp_path / "a"), Forgetful(folder=tmp_path / "b")):
        found = checks.store(store)
        assert found.ok is False
        assert "is not what is there then" in found.detail


# --- a registry -----------------------------------------------------------------------------------


def test_a_push_is_begun_and_given_up(registry: FakeRegistry) -> None:
    found = checks.push(f"{registry.host}/x", registries=access(registry), registry=Hub())
    assert found.ok is True
    assert [one.method for one in registry.asked][-2:] == ["POST", "DELETE"]
    assert not registry.uploads


def test_a_push_by_nobody_fails_with_what_to_do(registry: FakeRegistry) -> None:
    found = checks.push(f"{registry.host}/x", registries=access(registry))
    assert found.ok is False
    assert "docker login" in found.detail


def test_a_push_to_what_is_no_repository_fails() -> None:
    assert checks.push("Registry/x:1", registries={}).ok is False


def test_a_pull_is_tried_by_that_login_and_no_other(
    registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    secret = logins.pull_secret("pull", {registry.host: ADA})
    file.write_bytes(secret.data[logins.CONFIG])
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    place = f"{registry.host}/x"
    assert logins.login(place) == ADA

    def by(login: Credentials | None) -> bool | None:
        return checks.pull(place, registries=access(registry), login=login).ok

    assert by(ADA) is True
    assert by(BOB) is False
    assert by(None) is False


def test_a_pull_from_nowhere_fails(registry: FakeRegistry) -> None:
    place = f"{registry.host}/x"
    registry.close()
    found = checks.pull(place, registries=access(registry), login=None)
    assert found.ok is False
    assert "can't be reached" in found.detail


# --- a right --------------------------------------------------------------------------------------


def test_a_right_is_there_or_missing_or_not_known(tmp_path: Path) -> None:
    api = Api(tmp_path)
    there = Cluster(config_file=api.config)
    assert checks.right(there, "create", "secrets", "for pulls").ok is True
    api.denied.add(("create", "secrets"))
    missing = checks.right(there, "create", "secrets", "for pulls")
    assert missing.ok is False
    assert "create secrets in the namespace 'test' (for pulls)" in missing.detail
    api.close()
    nowhere = Cluster(config_file=tmp_path / "none")
    assert checks.right(nowhere, "create", "secrets", "for pulls").ok is None


# --- logins ---------------------------------------------------------------------------------------


def test_a_pull_secret_has_the_logins_it_was_given_and_shows_none() -> None:
    secret = logins.pull_secret("pull", {"b.lab:5000": BOB, "a.lab": ADA})
    assert list(json.loads(secret.data[logins.CONFIG])["auths"]) == ["a.lab", "b.lab:5000"]
    assert logins.pull_secret("pull", {"a.lab": ADA, "b.lab:5000": BOB}) == secret
    assert ADA.password not in repr(secret)
    content = secret.data[logins.CONFIG]
    assert logins.in_pull_secret(content, "b.lab:5000/ml/x", "pull") == BOB
    assert logins.in_pull_secret(content, "c.lab/ml/x", "pull") is None


def test_tokens_are_not_for_nodes() -> None:
    assert logins.is_for_nodes(ADA)
    assert not logins.is_for_nodes(Credentials("<token>", "s3cret"))
