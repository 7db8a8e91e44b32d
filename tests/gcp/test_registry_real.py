"""Repositories that are missing, made, or somebody else's; and tokens, as registries see them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairing_core import Credentials, RegistryAccess, checks, errors
from fairing_core.images.cache import Cache
from fairing_core.images.keychain import Keychain
from fairing_core.images.reference import parse_repository
from fairing_core.images.session import Session
from fairing_core.testing import RegistryConformance
from fairing_gcp import ArtifactRegistry
from fairing_gcp._sdk import Google as Login_
from fairing_gcp.login import Login
from tests.bench.google import LOCATION, PROJECT, Google
from tests.bench.registry import Registry

Make = Callable[..., ArtifactRegistry]


@pytest.fixture
def as_(gcp: Google, key: Callable[..., Path], prefix: str) -> Make:
    def made(account: str = "writer", **settings: Any) -> ArtifactRegistry:
        usual: dict[str, Any] = {
            "project": PROJECT,
            "location": LOCATION,
            "repository": prefix,
            "google": Login_(Login(credentials_file=key(account))),
            "api_url": gcp.url,
        }
        return ArtifactRegistry(**{**usual, **settings})

    return made


class TestWithALogin(RegistryConformance):
    @pytest.fixture(autouse=True)
    def _as(self, as_: Make, gcp: Google) -> None:
        self.as_ = as_
        self.secrets = (gcp.mint.key, "ya29.")  # type: ignore[misc]

    def make(self) -> ArtifactRegistry:
        return self.as_(make_pull_secret=True)


def test_a_missing_repository_is_made_once(as_: Make) -> None:
    registry = as_()
    assert registry.is_there() is False
    registry.ensure(registry.repository("train"))
    assert registry.is_there() is True
    as_().ensure(registry.repository("train"))
    as_("reader").ensure(registry.repository("train"))


def test_a_missing_repository_that_may_not_be_made_is_told_how(as_: Make) -> None:
    for account, settings, kind in (
        ("writer", {"create_repository": False}, errors.RegistryError),
        ("reader", {}, errors.RegistryDenied),
        ("nobody", {}, errors.RegistryDenied),
    ):
        registry = as_(account, **settings)
        with pytest.raises(kind) as caught:
            registry.ensure(registry.repository("train"))
        assert "gcloud artifacts repositories create" in str(caught.value)
        assert caught.value.host.endswith("docker.pkg.dev")
        assert "ya29." not in str(caught.value)
    assert as_().is_there() is False


def test_another_project_is_asked_about(as_: Make) -> None:
    registry = as_(project="elsewhere")
    with pytest.raises(errors.RegistryDenied, match="is it the project that you mean"):
        registry.ensure(registry.repository("train"))


@pytest.mark.parametrize(
    ("account", "says"), [("revoked", "invalid_grant"), ("expired", "has expired or been revoked")]
)
def test_a_login_that_has_ended_is_told(account: str, says: str, as_: Make) -> None:
    registry = as_(account)
    with pytest.raises(errors.RegistryDenied, match=says):
        registry.ensure(registry.repository("train"))


def test_a_token_is_kept_while_it_is_fresh(as_: Make) -> None:
    registry = as_()
    host = f"{LOCATION}-docker.pkg.dev"
    first = registry.credentials(host)
    assert first == registry.credentials(host)
    assert first is not None
    assert first.username == "oauth2accesstoken"
    assert "ya29." not in repr(first)


def test_a_token_that_ends_soon_is_taken_anew(as_: Make, key: Callable[..., Path]) -> None:
    import datetime

    google = Login_(Login(credentials_file=key("writer")))
    registry = as_(google=google)
    first = registry.credentials("gcr.io")
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=40)
    google.credentials.expiry = soon.replace(tzinfo=None)
    assert registry.credentials("gcr.io") != first


def test_the_registry_takes_tokens_of_those_who_may(as_: Make, google_registry: Registry) -> None:
    place = google_registry.image("ml")
    access = {google_registry.name: RegistryAccess(ca=google_registry.ca)}

    def push(account: str, **settings: Any) -> tuple[bool | None, str]:
        registry = as_(account, place=place, **settings)
        found = checks.push(registry.repository("x"), registries=access, registry=registry)
        return found.ok, found.detail

    trusted = {"token_host": google_registry.name}
    assert push("writer", **trusted)[0] is True
    ok, told = push("reader", **trusted)
    assert ok is False
    assert "oauth2accesstoken" in told
    for account in ("nobody", "expired"):
        ok, told = push(account, **trusted)
        assert ok is False
        assert "ya29." not in told
    ok, told = push("revoked", **trusted)
    assert ok is False
    assert "invalid_grant" in told
    assert push("writer")[0] is False  # no token goes to who is not Google, and is not named


def test_a_build_that_outlives_its_token_goes_on_with_another(
    as_: Make, google_registry: Registry
) -> None:
    place = google_registry.image("ml/x")
    access = {google_registry.name: RegistryAccess(ca=google_registry.ca)}
    trusted = {"place": place, "token_host": google_registry.name}
    first, later = as_("expired", **trusted), as_(**trusted)
    asked: list[str] = []

    def credentials(host: str) -> Credentials | None:
        asked.append(host)
        return (first if len(asked) == 1 else later).credentials(host)

    keychain = Keychain(fallback=credentials, environ={}, lasting=0)
    with Session(access, cache=Cache(None), keychain=keychain) as session:
        ref = parse_repository(place)
        repository = session.repository(ref, push=True)
        with pytest.raises(errors.RegistryDenied):
            repository.begin()
        repository.abandon(repository.begin())
    assert len(asked) > 1


def test_a_pull_secret_of_a_token_is_for_that_registry_alone(
    as_: Make, google_registry: Registry
) -> None:
    registry = as_(
        place=google_registry.image("ml"), token_host=google_registry.name, make_pull_secret=True
    )
    (patch,) = registry.pod_access("pull")
    (secret,) = patch.secrets
    text = secret.data[".dockerconfigjson"].decode()
    assert google_registry.name in text
    token = registry.credentials(google_registry.name)
    assert token is not None
    both = base64.b64encode(f"oauth2accesstoken:{token.password}".encode()).decode()
    assert both in text
