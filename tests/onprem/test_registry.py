"""The registry as it is made, and what nodes pull with: nothing here is asked of anybody."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors, logins
from fairing_core.testing import RegistryConformance
from fairing_onprem import PlainRegistry

HOST = "registry.lab.example:5000"


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logins for the registry and for another one."""
    file = tmp_path / "auth.json"
    auth = base64.b64encode(b"ada:s3cr3t").decode()
    other = base64.b64encode(b"ada:0th3r").decode()
    file.write_text(json.dumps({"auths": {HOST: {"auth": auth}, "elsewhere": {"auth": other}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    return file


class TestPlainRegistry(RegistryConformance):
    def make(self) -> PlainRegistry:
        return PlainRegistry(f"{HOST}/ml")


class TestWithALogin(RegistryConformance):
    secrets = ("s3cr3t", base64.b64encode(b"ada:s3cr3t").decode())

    @pytest.fixture(autouse=True)
    def _logged_in(self, login: Path) -> None: ...

    def make(self) -> PlainRegistry:
        return PlainRegistry(HOST)


class TestWithASecret(RegistryConformance):
    def make(self) -> PlainRegistry:
        return PlainRegistry(f"{HOST}/ml", pull_secret="lab-pull")


def test_a_named_secret_is_what_nodes_pull_with(login: Path) -> None:
    (patch,) = PlainRegistry(HOST, pull_secret="lab-pull").pod_access("pull")
    assert patch.spec == {"imagePullSecrets": [{"name": "lab-pull"}]}
    assert patch.secrets == ()


def test_a_secret_is_made_of_the_login_for_that_registry_alone(login: Path) -> None:
    (patch,) = PlainRegistry(f"{HOST}/ml").pod_access("pull")
    (made,) = patch.secrets
    assert made.type == "kubernetes.io/dockerconfigjson"
    assert patch.spec == {"imagePullSecrets": [{"name": made.name}]}
    content = json.loads(made.data[".dockerconfigjson"])
    assert content == {
        "auths": {
            HOST: {
                "username": "ada",
                "password": "s3cr3t",
                "auth": base64.b64encode(b"ada:s3cr3t").decode(),
            }
        }
    }


def test_the_secret_calls_the_registry_as_nodes_do(login: Path) -> None:
    (patch,) = PlainRegistry(HOST, pull_name="registry.nodes:5000").pod_access("pull")
    (made,) = patch.secrets
    assert list(json.loads(made.data[".dockerconfigjson"])["auths"]) == ["registry.nodes:5000"]


def test_no_secret_is_made_without_a_login_or_where_none_is_wanted(login: Path) -> None:
    assert PlainRegistry("other.lab.example").pod_access("pull") == ()
    assert PlainRegistry(HOST, make_pull_secret=False).pod_access("pull") == ()


def test_pods_push_with_what_builders_give_them(login: Path) -> None:
    assert PlainRegistry(HOST).pod_access("push") == ()


def test_a_token_that_nodes_can_not_use_is_no_pull_secret(
    login: Path, caplog: pytest.LogCaptureFixture
) -> None:
    login.write_text(json.dumps({"auths": {HOST: {"identitytoken": "s3cr3t"}}}))
    with caplog.at_level(logging.WARNING):
        assert PlainRegistry(HOST).pod_access("pull") == ()
    assert "a token that nodes can't use" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_logins_that_can_not_be_read_stop_no_run(
    login: Path, caplog: pytest.LogCaptureFixture
) -> None:
    login.write_text("{s3cr3t")
    with caplog.at_level(logging.WARNING):
        assert PlainRegistry(HOST).pod_access("pull") == ()
    assert "No pull secret for registry.lab.example:5000 is made" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_its_credentials_are_the_users_own() -> None:
    registry = PlainRegistry(HOST)
    assert registry.credentials(HOST) is None
    registry.ensure(registry.repository("x"))


@pytest.mark.parametrize(
    "content", ["s3cr3t", '{"auths": []}', '{"auths": {"x.lab": {"auth": "s3cr3t"}}}']
)
def test_what_is_no_pull_secret_is_refused_without_showing_it(content: str) -> None:
    with pytest.raises(errors.SettingsError, match="docker-registry lab-pull") as caught:
        logins.in_pull_secret(content.encode(), "x.lab/y", "lab-pull")
    assert "s3cr3t" not in str(caught.value)


def test_docker_hub_is_called_as_nodes_call_it(tmp_path: Path) -> None:
    from fairing_core import Credentials

    made = logins.pull_secret("pull", {"docker.io": Credentials("ada", "s3cr3t")})
    table: dict[str, Any] = json.loads(made.data[logins.CONFIG])
    assert list(table["auths"]) == ["https://index.docker.io/v1/"]
    found = logins.in_pull_secret(made.data[logins.CONFIG], "docker.io/ada/x", "pull")
    assert found == Credentials("ada", "s3cr3t")
