from __future__ import annotations

from pathlib import Path

import pytest

import fairing_onprem
from fairing_core import TrainJob
from fairing_core.errors import Unsupported
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance
from fairing_onprem import OnPremBackend


class TestOnPremBackend(BackendConformance):
    backend = "onprem"
    can_run = False


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "onprem") is OnPremBackend


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {"FAIRING_ONPREM__PLAIN_HTTP": "true", "FAIRING_ONPREM__CA": "/certs/lab.pem"}
    settings = Settings(environ=environ).of_backend("onprem", OnPremBackend)
    assert settings == {"plain_http": True, "ca": Path("/certs/lab.pem")}


def test_its_repr_shows_its_settings() -> None:
    assert "plain_http=True" in repr(OnPremBackend(plain_http=True))


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("storage", "S3-compatible store"),
        ("registry", "images to a registry"),
    ],
)
def test_what_later_versions_bring_is_refused_by_name(role: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says) as caught:
        getattr(OnPremBackend(), role)()
    assert "fairing-onprem" in str(caught.value)
    assert "backend='local'" in str(caught.value)


def test_running_is_refused_with_what_works_instead() -> None:
    with pytest.raises(Unsupported, match=r"can't run a job on a cluster yet.*backend='local'"):
        TrainJob(len, args=("abc",), backend=OnPremBackend()).submit()


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_onprem.no_such_name  # noqa: B018 - asking is the test
