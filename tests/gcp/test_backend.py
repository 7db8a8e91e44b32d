from __future__ import annotations

from pathlib import Path

import pytest

import fairing_gcp
from fairing_core import TrainJob
from fairing_core.errors import Unsupported
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance
from fairing_gcp import GCPBackend


class TestGCPBackend(BackendConformance):
    backend = "gcp"
    can_run = False


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "gcp") is GCPBackend


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {"FAIRING_GCP__PROJECT": "lab-1", "FAIRING_GCP__CREDENTIALS_FILE": "/keys/lab.json"}
    settings = Settings(environ=environ).of_backend("gcp", GCPBackend)
    assert settings == {"project": "lab-1", "credentials_file": Path("/keys/lab.json")}


def test_its_repr_shows_its_settings() -> None:
    assert "project='lab-1'" in repr(GCPBackend(project="lab-1"))


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("storage", "build contexts in Cloud Storage"),
        ("registry", "images to Artifact Registry"),
    ],
)
def test_what_later_versions_bring_is_refused_by_name(role: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says) as caught:
        getattr(GCPBackend(), role)()
    assert "fairing-gcp" in str(caught.value)
    assert "backend='local'" in str(caught.value)


def test_running_is_refused_with_what_works_instead() -> None:
    with pytest.raises(Unsupported, match=r"can't run a job on a cluster yet.*backend='local'"):
        TrainJob(len, args=("abc",), backend=GCPBackend()).submit()


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_gcp.no_such_name  # noqa: B018 - asking is the test
