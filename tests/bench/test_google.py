"""What stands in for Google: who asks has to show a token, and may what his name says."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.bench.gcs import Buckets
from tests.bench.google import PROJECT, Google, email
from tests.bench.registry import Registry


def asked(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, fields, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def test_the_metadata_server_wants_its_header_and_gives_a_token(gcp: Google) -> None:
    url = f"http://{gcp.metadata('reader')}/computeMetadata/v1"
    assert asked(f"{url}/project/project-id")[0] == 403
    assert asked(f"{url}/project/project-id", Metadata_Flavor="Google") == (200, PROJECT)
    told = asked(f"{url}/instance/service-accounts/default/token", Metadata_Flavor="Google")[1]
    assert gcp.mint.account(json.loads(told)["access_token"]) == "reader"
    assert asked(f"{url}/instance/service-accounts/default/email", Metadata_Flavor="Google") == (
        200,
        email("reader"),
    )


def test_a_token_is_one_for_as_long_as_it_is_good(gcp: Google) -> None:
    assert gcp.mint.may(gcp.token("writer")) == frozenset({"read", "write"})
    assert gcp.mint.may(gcp.token("reader")) == frozenset({"read"})
    assert gcp.mint.may(gcp.token("nobody")) == frozenset()
    assert gcp.mint.may(gcp.token("expired")) is None
    assert gcp.mint.may(gcp.token("writer")[:-4]) is None


@pytest.mark.parametrize(
    ("account", "reads", "writes"),
    [
        ("writer", 200, 200),
        ("reader", 200, 403),
        ("nobody", 403, 403),
        ("expired", 401, 401),
        (None, 401, 401),
    ],
)
def test_the_gate_of_the_buckets_checks_tokens(
    account: str | None, reads: int, writes: int, gcs: Buckets, prefix: str
) -> None:
    gcs.make(prefix)
    headers: dict[str, Any] = (
        {"Authorization": f"Bearer {gcs.google.token(account)}"} if account else {}
    )
    assert asked(f"{gcs.url}/storage/v1/b/{prefix}/o", **headers)[0] == reads
    upload = f"{gcs.url}/upload/storage/v1/b/{prefix}/o?uploadType=media&name=a"
    assert asked(upload, "POST", b"held", **headers)[0] == writes
    assert gcs.keys(prefix) == (["a"] if writes == 200 else [])
    gcs.drop(prefix)


def test_pods_need_no_token_behind_the_gate(gcs: Buckets, prefix: str) -> None:
    gcs.make(prefix)
    gcs.write(prefix, "a", b"held")
    assert asked(f"{gcs.pod_url}/{prefix}/a") == (200, "held")
    gcs.drop(prefix)


def test_the_registry_takes_tokens_of_that_user(google_registry: Registry, gcp: Google) -> None:
    import base64

    def status(user: str, password: str) -> int:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        path = f"/token?service=registry&scope=repository:{google_registry.prefix}/x:pull"
        return google_registry.ask(path, f"Basic {both}")[0]

    assert status("oauth2accesstoken", gcp.token("reader")) == 200
    assert status("oauth2accesstoken", gcp.token("expired")) == 401
    assert status("oauth2accesstoken", "wr0ng") == 401
    assert status("reader", gcp.token("reader")) == 401
