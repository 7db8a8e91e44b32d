"""MinIO answers and refuses as S3 does: this machine's clients, and pods."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from tests.bench import minio_users
from tests.bench.kubernetes import minio_pod as part
from tests.bench.kubernetes.client import Cluster
from tests.bench.minio import Store

STORES = ("minio", "minio_pod")


@pytest.fixture
def bucket(minio: Store, prefix: str) -> str:
    """A bucket of the test's own."""
    minio.client().create_bucket(Bucket=prefix)
    return prefix


def refusal(call: Any, **arguments: Any) -> tuple[int, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**arguments)
    told: Any = caught.value.response
    return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"]


@pytest.mark.parametrize("fixture", STORES)
@pytest.mark.real
def test_what_is_put_comes_back(fixture: str, request: pytest.FixtureRequest, prefix: str) -> None:
    client = request.getfixturevalue(fixture).client()
    client.create_bucket(Bucket=prefix)
    content = os.urandom(1_000_000)
    client.put_object(Bucket=prefix, Key="a/b", Body=content)
    assert client.get_object(Bucket=prefix, Key="a/b")["Body"].read() == content
    listed = client.list_objects_v2(Bucket=prefix)["Contents"]
    assert [(each["Key"], each["Size"]) for each in listed] == [("a/b", len(content))]


@pytest.mark.parametrize("fixture", STORES)
@pytest.mark.real
def test_a_pod_gets_it_by_the_address_of_pods(
    fixture: str, request: pytest.FixtureRequest, cluster: Cluster, prefix: str
) -> None:
    store: Store = request.getfixturevalue(fixture)
    client = store.client()
    client.create_bucket(Bucket=prefix)
    client.put_object(Bucket=prefix, Key="a", Body=b"held")
    signed = (
        replace(store, url=store.pod_url)
        .client()
        .generate_presigned_url("get_object", {"Bucket": prefix, "Key": "a"})
    )
    assert cluster.run(cluster.pod("gets", "busybox", "wget", "-qO-", signed)) == "held"


def test_a_wrong_secret_is_refused(minio: Store, bucket: str) -> None:
    client = replace(minio, secret_key="wrong-secret").client()
    told = refusal(client.put_object, Bucket=bucket, Key="a", Body=b"")
    assert told == (403, "SignatureDoesNotMatch")


def test_an_unknown_key_is_refused(minio: Store, bucket: str) -> None:
    client = replace(minio, access_key="nobody").client()
    told = refusal(client.put_object, Bucket=bucket, Key="a", Body=b"")
    assert told == (403, "InvalidAccessKeyId")


def test_a_missing_bucket_is_said_to_be_missing(minio: Store, prefix: str) -> None:
    client = minio.client()
    assert refusal(client.put_object, Bucket=prefix, Key="a", Body=b"") == (404, "NoSuchBucket")


def test_a_missing_object_is_said_to_be_missing(minio: Store, bucket: str) -> None:
    client = minio.client()
    assert refusal(client.get_object, Bucket=bucket, Key="a") == (404, "NoSuchKey")
    assert refusal(client.head_object, Bucket=bucket, Key="a") == (404, "404")


@pytest.mark.parametrize("fixture", STORES)
@pytest.mark.real
def test_a_user_may_do_what_its_policy_allows_and_nothing_else(
    fixture: str, request: pytest.FixtureRequest, prefix: str
) -> None:
    store: Store = request.getfixturevalue(fixture)
    root = store.client()
    root.create_bucket(Bucket=prefix)
    root.put_object(Bucket=prefix, Key="a", Body=b"held")
    reader = store.user("s3:GetObject", on=[f"{prefix}/*"]).client()
    assert reader.get_object(Bucket=prefix, Key="a")["Body"].read() == b"held"
    assert refusal(reader.put_object, Bucket=prefix, Key="b", Body=b"") == (403, "AccessDenied")
    assert refusal(reader.list_objects_v2, Bucket=prefix) == (403, "AccessDenied")


def test_a_user_without_a_policy_may_nothing(minio: Store, bucket: str) -> None:
    nobody = minio.user(on=[]).client()
    assert refusal(nobody.list_objects_v2, Bucket=bucket) == (403, "AccessDenied")


def test_a_session_may_do_what_its_policy_allows_and_needs_its_token(
    minio: Store, bucket: str
) -> None:
    session = minio.session("s3:PutObject", on=[f"{bucket}/in/*"])
    client = session.client()
    client.put_object(Bucket=bucket, Key="in/a", Body=b"")
    assert refusal(client.put_object, Bucket=bucket, Key="a", Body=b"") == (403, "AccessDenied")
    tokenless = replace(session, session_token="").client()
    told = refusal(tokenless.put_object, Bucket=bucket, Key="in/a", Body=b"")
    assert told == (403, "InvalidTokenId")


# --- any machine ----------------------------------------------------------------------------------


def test_no_secret_is_in_its_repr() -> None:
    store = replace(part.store(), secret_key="very-secret", session_token="as-secret")
    assert "secret" not in repr(store).replace("secret_key", "").replace("_token", "")


def test_a_secret_is_sealed_anew_each_time() -> None:
    one, other = (minio_users._sealed("password", b"content") for _ in range(2))
    assert one != other
    assert len(one) == 32 + 1 + 8 + len(b"content") + 16


def test_the_pod_is_one_that_a_restricted_namespace_would_take_but_for_seccomp() -> None:
    deployment = next(each for each in part.manifests("x") if each["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["runAsUser"] == 1000
