"""ECR's registries: their names, and tokens that are renewed in time."""

from __future__ import annotations

import base64
import datetime
import time
from typing import Any

import pytest

from fairing_aws._sdk import Account, Refused
from fairing_aws.doctor import Doctor
from fairing_aws.ecr import AnyECR, ECRRegistry
from fairing_aws.hosts import Place, place_of
from fairing_aws.tokens import Tokens
from fairing_core import errors
from fairing_core.plugins import Plugins
from fairing_core.testing import RegistryConformance

HOST = "012345678901.dkr.ecr.eu-central-1.amazonaws.com"
HOUR = 3600.0


class Aws(Account):
    """ECR as a table: what it has, and what it was asked."""

    def __init__(
        self, *repositories: str, faults: dict[str, str] | None = None, url: str | None = None
    ) -> None:
        super().__init__(region="eu-central-1", ecr_endpoint_url=url)
        self.there = set(repositories)
        self.faults = faults or {}
        self.asked: list[str] = []
        self.now = time.time()

    def number(self) -> str:
        return "012345678901"

    def ecr(self, operation: str, *, region: str, **arguments: Any) -> dict[str, Any]:
        self.asked.append(operation)
        if code := self.faults.get(operation):
            raise Refused(code, f"refused ({code})")
        if operation == "get_authorization_token":
            token = base64.b64encode(f"AWS:token-{len(self.asked)}".encode()).decode()
            ends = datetime.datetime.fromtimestamp(self.now + 12 * HOUR, datetime.UTC)
            return {"authorizationData": [{"authorizationToken": token, "expiresAt": ends}]}
        names = arguments.get("repositoryNames", [arguments.get("repositoryName")])
        if operation == "create_repository":
            self.there.update(names)
        elif not self.there.issuperset(names):
            raise Refused("RepositoryNotFoundException", "there is none")
        return {}


class TestECR(RegistryConformance):
    def make(self) -> ECRRegistry:
        return ECRRegistry(Aws(), place=f"{HOST}/ml", pull_secret="lab-pull")


class TestWithAPullSecretOfItsOwn(RegistryConformance):
    secrets = ("token-1",)

    def make(self) -> ECRRegistry:
        return ECRRegistry(Aws(), place=f"{HOST}/ml", make_pull_secret=True)


@pytest.mark.parametrize(
    ("host", "place"),
    [
        (HOST, Place("012345678901", "eu-central-1")),
        (
            "012345678901.dkr.ecr.cn-north-1.amazonaws.com.cn",
            Place("012345678901", "cn-north-1"),
        ),
        (
            "012345678901.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
            ("012345678901", "us-gov-west-1"),
        ),
        ("012345678901.dkr-ecr.eu-west-1.on.aws", Place("012345678901", "eu-west-1")),
        ("12345.dkr.ecr.eu-central-1.amazonaws.com", None),
        (f"{HOST}.example.com", None),
        (f"{HOST}:443", None),
        ("public.ecr.aws", None),
        ("registry.lab.example", None),
    ],
)
def test_a_registry_of_ecr_is_known_by_its_name(host: str, place: Place | None) -> None:
    assert place_of(host) == place
    assert AnyECR.serves(host) is (place is not None)


def test_whoever_names_one_in_full_is_logged_in_by_any_backend() -> None:
    assert Plugins(ambient=False).serving(HOST) is AnyECR
    assert Plugins(ambient=False).serving("registry.lab.example") is None


def test_its_place_is_the_sessions_account_and_region() -> None:
    registry = ECRRegistry(Aws(), prefix="/team/")
    assert registry.repository("x") == f"{HOST}/team/x"


@pytest.mark.parametrize(
    ("region", "suffix"),
    [
        ("eu-central-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-gov-west-1", "amazonaws.com"),
    ],
)
def test_each_partition_has_its_own_names(region: str, suffix: str) -> None:
    assert Account(region=region).suffix(region) == suffix


def test_a_token_is_renewed_while_half_of_its_life_is_left() -> None:
    aws = Aws()
    tokens = Tokens(aws, now=lambda: aws.now)
    first = tokens.of("eu-central-1")
    aws.now += 5.9 * HOUR
    assert tokens.of("eu-central-1") is first
    aws.now += 0.2 * HOUR
    second = tokens.of("eu-central-1")
    assert second.password != first.password
    assert second.expires == pytest.approx(aws.now + 6 * HOUR)


def test_a_repository_is_made_once_and_only_where_it_is_missing() -> None:
    aws = Aws("ml/there")
    registry = ECRRegistry(aws, place=f"{HOST}/ml")
    for name in ("there", "new", "new"):
        registry.ensure(registry.repository(name))
    assert aws.there == {"ml/there", "ml/new"}
    assert aws.asked.count("create_repository") == 1
    assert aws.asked.count("describe_repositories") == 2


def test_somebody_who_was_quicker_is_no_fault() -> None:
    aws = Aws(faults={"create_repository": "RepositoryAlreadyExistsException"})
    ECRRegistry(aws, place=HOST).ensure(f"{HOST}/new")


def test_a_missing_repository_is_named_where_none_may_be_made() -> None:
    aws = Aws()
    with pytest.raises(errors.RegistryError, match="create_repository is false") as caught:
        ECRRegistry(aws, place=HOST, create_repository=False).ensure(f"{HOST}/ml/new")
    assert "aws ecr create-repository --region eu-central-1 --repository-name ml/new" in str(
        caught.value
    )
    assert not aws.there


def test_a_missing_right_is_named() -> None:
    aws = Aws(faults={"create_repository": "AccessDeniedException"})
    with pytest.raises(errors.RegistryDenied, match="ecr:CreateRepository"):
        ECRRegistry(aws, place=HOST).ensure(f"{HOST}/ml/new")


def test_who_may_not_look_may_push() -> None:
    aws = Aws(faults={"describe_repositories": "AccessDeniedException"})
    ECRRegistry(aws, place=HOST).ensure(f"{HOST}/ml/new")
    assert "create_repository" not in aws.asked


def test_nobody_elses_repository_is_made() -> None:
    other = HOST.replace("012345678901", "999999999999")
    with pytest.raises(errors.RegistryError, match="is not your account's"):
        ECRRegistry(Aws(), place=HOST).ensure(f"{other}/new")


def test_no_token_says_which_right_is_missing() -> None:
    aws = Aws(faults={"get_authorization_token": "AccessDeniedException"})
    with pytest.raises(errors.SettingsError, match="ecr:GetAuthorizationToken"):
        ECRRegistry(aws, place=HOST).credentials(HOST)


def test_nodes_with_a_role_need_no_secret() -> None:
    registry = ECRRegistry(Aws(), place=HOST)
    assert registry.pod_access("pull") == ()
    named = ECRRegistry(Aws(), place=HOST, pull_secret="lab-pull")
    assert named.pod_access("pull")[0].spec == {"imagePullSecrets": [{"name": "lab-pull"}]}
    assert named.pod_access("push") == ()


def test_a_registry_that_is_not_ecrs_is_no_business_of_awss() -> None:
    aws = Aws()
    registry = ECRRegistry(aws, place="registry.lab.example/ml", make_pull_secret=True)
    registry.ensure(registry.repository("new"))
    assert registry.serves("registry.lab.example")
    assert registry.credentials("registry.lab.example") is None
    assert registry.pod_access("pull") == ()
    assert (aws.asked, aws.there) == ([], set())
    assert registry.credentials(HOST) is not None


def test_an_ecr_that_is_elsewhere_may_be_called_anything() -> None:
    aws = Aws("ml/new", url="http://ecr.lab.example")
    registry = ECRRegistry(aws, place="registry.lab.example/ml", make_pull_secret=True)
    registry.ensure(registry.repository("new"))
    assert registry.credentials("registry.lab.example") is not None
    assert registry.credentials("elsewhere.example") is None
    assert len(registry.pod_access("pull")) == 1


def test_doctor_looks_at_pushes_alone_where_the_registry_is_not_ecrs() -> None:
    class Known(Aws):
        def arn(self) -> str:
            return "arn:aws:iam::012345678901:user/ada"

        def origin(self) -> str:
            return "the environment"

    aws = Known()
    registry = ECRRegistry(aws, place="127.0.0.1:9/ml")
    doctor = Doctor(aws, None, registry, {}, lambda kind, name: {})
    found = {one.name: one for one in doctor.identity()}
    assert list(found) == ["aws", "store", "push"]
    assert found["push"].ok is False
    assert "127.0.0.1:9 can't be reached" in found["push"].detail
    assert aws.asked == []
