from __future__ import annotations

import pytest

import fairing_aws
from fairing_aws import AWSBackend
from fairing_core import TrainJob
from fairing_core.errors import Unsupported
from fairing_core.plugins import Plugins
from fairing_core.settings import Settings
from fairing_core.testing import BackendConformance


class TestAWSBackend(BackendConformance):
    backend = "aws"
    can_run = False


def test_its_name_gives_its_class() -> None:
    assert Plugins(ambient=False).lookup("backend", "aws") is AWSBackend


def test_its_settings_come_from_the_environment_by_type() -> None:
    environ = {"FAIRING_AWS__REGION": "eu-central-1", "FAIRING_AWS__BUCKET_OWNER": "012345678901"}
    settings = Settings(environ=environ).of_backend("aws", AWSBackend)
    assert settings == {"region": "eu-central-1", "bucket_owner": "012345678901"}


def test_its_repr_shows_its_settings() -> None:
    assert "region='eu-central-1'" in repr(AWSBackend(region="eu-central-1"))


@pytest.mark.parametrize(
    ("role", "says"),
    [
        ("storage", "build contexts in S3"),
        ("registry", "images to ECR"),
    ],
)
def test_what_later_versions_bring_is_refused_by_name(role: str, says: str) -> None:
    with pytest.raises(Unsupported, match=says) as caught:
        getattr(AWSBackend(), role)()
    assert "fairing-aws" in str(caught.value)
    assert "backend='local'" in str(caught.value)


def test_running_is_refused_with_what_works_instead() -> None:
    with pytest.raises(Unsupported, match=r"can't run a job on a cluster yet.*backend='local'"):
        TrainJob(len, args=("abc",), backend=AWSBackend()).submit()


def test_the_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        fairing_aws.no_such_name  # noqa: B018 - asking is the test
