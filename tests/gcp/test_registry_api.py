"""Artifact Registry's API and the doctor, against Google's servers in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from fairing_core import errors
from fairing_gcp import ArtifactRegistry, doctor
from fairing_gcp import registry as registry_
from fairing_gcp._sdk import Google
from fairing_gcp.login import Login
from tests.bench.google import LOCATION, PROJECT, email
from tests.gcp.conftest import Make
from tests.gcp.storage_server import Fault, StorageServer

HOST = f"{LOCATION}-docker.pkg.dev"
NAME = f"projects/{PROJECT}/locations/{LOCATION}/repositories/fairing"

As = Callable[..., ArtifactRegistry]


@pytest.fixture
def as_(cloud: StorageServer) -> As:
    def made(account: str = "writer", **settings: Any) -> ArtifactRegistry:
        usual: dict[str, Any] = {
            "project": PROJECT,
            "location": LOCATION,
            "google": login(cloud, account),
            "api_url": cloud.url,
        }
        return ArtifactRegistry(**{**usual, **settings})

    return made


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's own registry has no address here."""
    given = socket.getaddrinfo

    def found(host: Any, *arguments: Any, **settings: Any) -> Any:
        if host not in ("127.0.0.1", "localhost"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return given(host, *arguments, **settings)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def login(cloud: StorageServer, account: str = "writer") -> Google:
    return Google(Login(credentials_file=cloud.key(account)))


def ensured(registry: ArtifactRegistry) -> None:
    registry.ensure(registry.repository("train"))


def refusal(registry: ArtifactRegistry, kind: type[errors.RegistryError]) -> errors.RegistryError:
    with pytest.raises(kind) as caught:
        ensured(registry)
    assert caught.value.host == HOST
    assert "ya29." not in str(caught.value)
    return caught.value


def test_a_repository_that_is_there_is_left(as_: As, cloud: StorageServer) -> None:
    cloud.repositories[NAME] = {"name": NAME}
    registry = as_("reader")
    assert registry.is_there() is True
    ensured(registry)
    assert cloud.paths("POST") == ["/token"]


def test_a_missing_repository_is_made_once(as_: As, cloud: StorageServer) -> None:
    registry = as_()
    assert registry.is_there() is False
    ensured(registry)
    assert cloud.repositories[NAME]["format"] == "DOCKER"
    asked = len(cloud.asked)
    ensured(registry)
    assert len(cloud.asked) == asked  # it is remembered


def test_a_repository_that_another_made_meanwhile_is_used(as_: As, cloud: StorageServer) -> None:
    cloud.repositories[NAME] = {"name": NAME}
    cloud.faults.append(Fault(404, on=NAME))  # not there yet, as it was looked for
    ensured(as_())
    assert len(cloud.paths("POST")) == 2  # the token's, and the one that got a 409


@pytest.mark.parametrize(
    ("account", "settings", "kind", "status"),
    [
        ("writer", {"create_repository": False}, errors.RegistryError, 404),
        ("writer", {"project": "elsewhere"}, errors.RegistryDenied, 403),
        ("reader", {}, errors.RegistryDenied, 403),
        ("nobody", {}, errors.RegistryDenied, 403),
    ],
)
def test_a_repository_that_is_not_made_is_told_how(
    account: str,
    settings: dict[str, Any],
    kind: type[errors.RegistryError],
    status: int,
    as_: As,
    cloud: StorageServer,
) -> None:
    error = refusal(as_(account, **settings), kind)
    assert error.status == status
    assert "gcloud artifacts repositories create fairing" in str(error)
    assert cloud.repositories == {}


def test_an_api_that_is_off_is_told(as_: As, cloud: StorageServer) -> None:
    said = "Artifact Registry API has not been used in project 1 before or it is disabled."
    cloud.faults.append(Fault(403, "SERVICE_DISABLED", said, on="/repositories/"))
    error = refusal(as_(), errors.RegistryDenied)
    assert said.rstrip(".") in str(error)
    cloud.faults.append(Fault(400, "", "Invalid location", on="/repositories/"))
    assert "is Artifact Registry enabled there" in str(refusal(as_(), errors.RegistryError))


@pytest.mark.parametrize(
    ("account", "says"), [("revoked", "invalid_grant"), ("expired", "log in again")]
)
def test_a_login_that_has_ended_is_told(account: str, says: str, as_: As) -> None:
    assert says in str(refusal(as_(account), errors.RegistryDenied))


def test_an_api_that_is_away_is_unreachable(as_: As, cloud: StorageServer) -> None:
    google = login(cloud)
    google.token()
    cloud.close()
    refusal(as_(google=google), errors.RegistryUnreachable)
    refusal(as_(), errors.RegistryUnreachable)  # nor is a token had


def test_a_repository_that_does_not_come_is_told(
    as_: As, cloud: StorageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_, "_PATIENCE", 0.0)
    cloud.faults.append(Fault(404, on=NAME, times=9))
    assert "is not there after" in str(refusal(as_(), errors.RegistryError))


def test_a_token_is_kept_while_it_is_fresh_and_taken_anew_after(
    as_: As, cloud: StorageServer
) -> None:
    import datetime

    google = login(cloud)
    registry = as_(google=google)
    first = registry.credentials(HOST)
    assert first == registry.credentials("gcr.io")
    assert registry.credentials("docker.io") is None
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=40)
    google.credentials.expiry = soon.replace(tzinfo=None)
    assert registry.credentials(HOST) != first


# --- the doctor -----------------------------------------------------------------------------------


def test_the_doctor_says_who_asks_and_of_which_project(cloud: StorageServer) -> None:
    identity, project = doctor.checks_of_google(login(cloud), None)
    assert identity.ok is True
    assert identity.detail.startswith(f"{email('writer')}, by the credentials from ")
    assert (project.ok, project.detail) == (True, PROJECT)
    _, other = doctor.checks_of_google(login(cloud), "elsewhere")
    assert other.detail == f"elsewhere; the credentials are of '{PROJECT}'"
    (refused,) = doctor.checks_of_google(login(cloud, "revoked"), None)
    assert refused.ok is False
    assert "invalid_grant" in refused.detail


def test_the_doctor_writes_and_reads_an_object(by: Make, cloud: StorageServer) -> None:
    (well,) = doctor.checks_of_store(by())
    assert (well.name, well.ok) == ("bucket", True)
    assert cloud.buckets["lab"] == {}
    (denied,) = doctor.checks_of_store(by("reader"))
    assert denied.ok is False
    assert "an object can't be written" in denied.detail
    (none,) = doctor.checks_of_store(None)
    assert none.ok is None


@pytest.mark.usefixtures("away")
def test_the_doctor_looks_for_the_repository_and_then_at_pushes(
    as_: As, cloud: StorageServer
) -> None:
    (missing,) = doctor.checks_of_registry(as_(), {})
    assert (missing.name, missing.ok) == ("repository", False)
    assert "gcloud artifacts repositories create" in missing.detail
    denied, push = doctor.checks_of_registry(as_("nobody"), {})  # pushes may be allowed still
    assert (denied.name, denied.ok, push.name) == ("repository", None, "push")
    cloud.repositories[NAME] = {"name": NAME}
    there, push = doctor.checks_of_registry(as_(), {})
    assert (there.ok, there.detail) == (True, f"{HOST}/{PROJECT}/fairing")
    assert push.ok is False
    assert HOST in push.detail


def test_the_doctor_says_that_the_api_is_away(as_: As, cloud: StorageServer) -> None:
    google = login(cloud)
    google.token()
    cloud.close()
    (found,) = doctor.checks_of_registry(as_(google=google), {})
    assert (found.name, found.ok) == ("repository", False)
    assert "can't be reached" in found.detail
