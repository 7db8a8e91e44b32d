"""The registry as it is made, and whom it is logged in to: nothing here is asked of anybody."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.plugins import Plugins
from fairing_core.testing import RegistryConformance
from fairing_gcp import ArtifactRegistry
from fairing_gcp.registry import GoogleRegistries, Repository, is_googles

LAB: dict[str, Any] = {"project": "lab-1", "location": "europe-west3"}
HOST = "europe-west3-docker.pkg.dev"


class TestArtifactRegistry(RegistryConformance):
    asks_for_credentials = True

    def make(self) -> ArtifactRegistry:
        return ArtifactRegistry(**LAB)


class TestGcrName(RegistryConformance):
    asks_for_credentials = True

    def make(self) -> ArtifactRegistry:
        return ArtifactRegistry(place="gcr.io/lab-1/ml", pull_secret="lab-pull")


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        (HOST, True),
        ("us-docker.pkg.dev", True),
        ("gcr.io", True),
        ("eu.gcr.io", True),
        ("docker.io", False),
        ("gcr.io.example.com", False),
        ("evil-docker.pkg.dev.example.com", False),
        ("example.com/gcr.io", False),
        ("gcr.io:5000", False),
        ("k8s.gcr.io.", False),
        ("", False),
    ],
)
def test_tokens_go_to_googles_own_hosts(host: str, is_one: bool) -> None:
    assert is_googles(host) is is_one
    assert GoogleRegistries.serves(host) is is_one
    if not is_one:
        assert GoogleRegistries().credentials(host) is None
        assert ArtifactRegistry(**LAB).credentials(host) is None


def test_a_plugin_of_its_name_is_found_by_host() -> None:
    hub = Plugins(ambient=False)
    assert hub.serving(HOST) is GoogleRegistries
    assert hub.serving("registry.lab.example") is None
    assert hub.lookup("registry", "artifact-registry") is GoogleRegistries


def test_one_that_nobody_named_says_what_to_name() -> None:
    with pytest.raises(errors.SettingsError, match=r"LOCATION-docker\.pkg\.dev/PROJECT/REPOSITORY"):
        GoogleRegistries().repository("train")


@pytest.mark.parametrize(
    ("place", "parent", "name"),
    [
        (
            f"{HOST}/lab-1/ml/train",
            "projects/lab-1/locations/europe-west3/repositories",
            "ml",
        ),
        ("gcr.io/lab-1/train", "projects/lab-1/locations/us/repositories", "gcr.io"),
        ("eu.gcr.io/lab-1/x", "projects/lab-1/locations/europe/repositories", "eu.gcr.io"),
    ],
)
def test_a_name_leads_to_its_repository(place: str, parent: str, name: str) -> None:
    found = Repository.of(place)
    assert found is not None
    assert (found.parent, found.name) == (parent, name)


@pytest.mark.parametrize("place", ["docker.io/ada/x", HOST, f"{HOST}/lab-1", "gcr.io"])
def test_other_names_lead_to_none(place: str) -> None:
    assert Repository.of(place) is None


def test_nodes_of_gke_need_no_pull_secret() -> None:
    assert ArtifactRegistry(**LAB).pod_access("pull") == ()
    assert ArtifactRegistry(**LAB).pod_access("push") == ()
    (patch,) = ArtifactRegistry(**LAB, pull_secret="lab-pull").pod_access("pull")
    assert patch.spec == {"imagePullSecrets": [{"name": "lab-pull"}]}


def test_without_a_login_it_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    registry = ArtifactRegistry(**LAB)
    with pytest.raises(errors.SettingsError, match="gcloud auth application-default login"):
        registry.credentials(HOST)
    with pytest.raises(errors.RegistryDenied, match="gcloud auth application-default login"):
        registry.ensure(registry.repository("train"))


def test_whoever_is_logged_in_to_the_registry_needs_no_other_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth = base64.b64encode(b"_json_key:x").decode()
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {HOST: {"auth": auth}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    registry = ArtifactRegistry(**LAB)
    registry.ensure(registry.repository("train"))
