"""The bench's AWS refuses as Amazon's does."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.bench import aws_tokens
from tests.bench.aws import Aws, User


def client(aws: Aws, user: User, service: str, **other: str) -> Any:
    import boto3

    keys = {
        "aws_access_key_id": user.access_key,
        "aws_secret_access_key": user.secret_key,
        **other,
    }
    return boto3.Session().client(service, endpoint_url=aws.url, region_name=aws.region, **keys)


def code(act: Any) -> str:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        act()
    return str(caught.value.response["Error"]["Code"])


def test_a_user_is_known_by_a_key_and_may_what_its_policy_says(aws: Aws, prefix: str) -> None:
    user = aws.user(prefix, "ecr:GetAuthorizationToken")
    told = client(aws, user, "sts").get_caller_identity()
    assert told["Arn"] == f"arn:aws:iam::{aws.account}:user/{prefix}"
    ecr = client(aws, user, "ecr")
    assert code(lambda: ecr.create_repository(repositoryName=prefix)) == "AccessDeniedException"
    wrong = client(aws, user, "ecr", aws_secret_access_key="wrong")
    assert code(wrong.get_authorization_token) == "InvalidSignatureException"
    nobody = client(aws, user, "sts", aws_access_key_id="AKIANOBODYKNOWSTHIS0")
    assert code(nobody.get_caller_identity) == "InvalidClientTokenId"


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"AWS:{password}".encode()).decode()


def test_the_registry_takes_tokens_of_ecr_that_have_not_expired(aws: Aws, prefix: str) -> None:
    user = aws.user(prefix, "ecr:GetAuthorizationToken")
    (told,) = client(aws, user, "ecr").get_authorization_token()["authorizationData"]
    good = base64.b64decode(told["authorizationToken"]).decode().partition(":")[2]
    old = aws_tokens.password(aws.folder, seconds=-10)
    assert aws.registry.ask("/v2/", basic(good))[0] == 200
    assert aws.registry.ask("/v2/")[0] == 401
    assert aws.registry.ask("/v2/", basic("made-up"))[0] == 401
    status, _, body = aws.registry.ask("/v2/", basic(old))
    assert status == 403
    assert "authorization token has expired" in json.loads(body)["errors"][0]["message"]


def test_a_repository_that_nobody_made_takes_no_push(aws: Aws, prefix: str) -> None:
    token = basic(aws_tokens.password(aws.folder))
    path = f"/v2/{prefix}/blobs/uploads/"
    status, _, body = aws.registry.ask(path, token, "POST")
    assert status == 404
    assert json.loads(body)["errors"][0]["code"] == "NAME_UNKNOWN"
    aws.client("ecr").create_repository(repositoryName=prefix)
    assert aws.registry.ask(path, token, "POST")[0] == 202
