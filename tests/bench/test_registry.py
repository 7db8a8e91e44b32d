"""The bench's registries take the right credentials and refuse all others, by two judges' word."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from tests.bench import tokens
from tests.bench.bench import Bench
from tests.bench.judges import Judges, Refused
from tests.bench.registry import Registry

FILES = {"hello": b"there\n"}


@pytest.fixture(
    params=[
        "plain_registry",
        "basic_registry",
        "token_registry",
        "cluster_registry",
        "cluster_basic_registry",
        "cluster_token_registry",
        "two_name_registry",
    ]
)
def any_registry(request: pytest.FixtureRequest) -> Registry:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Registry)
    return found


def pusher(registry: Registry) -> str:
    return "pusher" if registry.users else ""


@pytest.mark.real
def test_crane_and_skopeo_agree_on_what_was_pushed(any_registry: Registry, judges: Judges) -> None:
    user = pusher(any_registry)
    image = any_registry.image("model:1")
    digest = judges.push(any_registry, image, FILES, user=user)
    seen = json.loads(judges.skopeo(any_registry, "inspect", f"docker://{image}", user=user))
    assert seen["Digest"] == digest
    assert seen["Layers"] == [
        layer["digest"]
        for layer in json.loads(judges.crane(any_registry, "manifest", image, user=user))["layers"]
    ]


@pytest.mark.real
def test_a_large_layer_comes_back_as_it_went(any_registry: Registry, judges: Judges) -> None:
    user = pusher(any_registry)
    image = any_registry.image("large:1")
    content = bytes(range(256)) * (20 << 12)  # 20 MiB: many pieces
    judges.push(any_registry, image, {"large": content}, user=user)
    out = judges.folder / "export.tar"
    judges.crane(any_registry, "export", image, str(out), user=user)
    assert content in out.read_bytes()


def test_the_plain_registry_asks_for_nothing(plain_registry: Registry) -> None:
    assert plain_registry.ask("/v2/")[0] == 200


@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
@pytest.mark.real
def test_a_wrong_password_is_refused(
    fixture: str, request: pytest.FixtureRequest, judges: Judges
) -> None:
    found: Registry = request.getfixturevalue(fixture)
    wrong = replace(found, users={"pusher": "wrong"})
    with pytest.raises(Refused, match=r"UNAUTHORIZED|401"):
        judges.push(wrong, wrong.image("model:1"), FILES, user="pusher")
    with pytest.raises(Refused, match=r"unauthorized|invalid username/password"):
        judges.skopeo(wrong, "inspect", f"docker://{wrong.image('model:1')}", user="pusher")


@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
@pytest.mark.real
def test_no_credentials_are_refused(
    fixture: str, request: pytest.FixtureRequest, judges: Judges
) -> None:
    found: Registry = request.getfixturevalue(fixture)
    with pytest.raises(Refused, match=r"UNAUTHORIZED|401"):
        judges.push(found, found.image("model:1"), FILES)


@pytest.mark.parametrize("fixture", ["basic_registry", "token_registry"])
@pytest.mark.real
def test_a_client_without_the_authority_trusts_no_server(
    fixture: str, request: pytest.FixtureRequest, judges: Judges
) -> None:
    found: Registry = request.getfixturevalue(fixture)
    with pytest.raises(Refused, match="certificate signed by unknown authority"):
        judges.crane(replace(found, ca=None), "catalog", found.name)


def test_basic_auth_is_challenged(basic_registry: Registry) -> None:
    status, headers, _ = basic_registry.ask("/v2/")
    assert status == 401
    assert headers["WWW-Authenticate"] == 'Basic realm="bench"'
    assert basic_registry.ask("/v2/", basic_registry.basic("reader"))[0] == 200


def test_the_token_realm_is_at_the_name_that_was_called(token_registry: Registry) -> None:
    port = token_registry.name.rpartition(":")[2]
    for name in (token_registry.name, f"localhost:{port}"):
        status, headers, _ = replace(token_registry, name=name).ask("/v2/")
        assert status == 401
        wanted = f'Bearer realm="https://{name}/token",service="registry"'
        assert headers["WWW-Authenticate"] == wanted


def test_a_reader_may_pull_and_not_push(token_registry: Registry, judges: Judges) -> None:
    image = token_registry.image("model:1")
    digest = judges.push(token_registry, image, FILES, user="pusher")
    assert judges.crane(token_registry, "digest", image, user="reader") == digest
    with pytest.raises(Refused, match="UNAUTHORIZED"):
        judges.push(token_registry, image, {"other": b""}, user="reader")
    assert judges.crane(token_registry, "digest", image, user="reader") == digest


def test_a_token_is_good_for_its_own_repository_only(token_registry: Registry) -> None:
    mine = token_registry.prefix
    token = ask_token(token_registry, f"repository:{mine}/a:pull", "reader")
    bearer = f"Bearer {token}"
    assert token_registry.ask(f"/v2/{mine}/a/tags/list", bearer)[0] == 404
    status, headers, _ = token_registry.ask(f"/v2/{mine}/b/tags/list", bearer)
    assert status == 401
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]


def test_a_scope_that_a_user_lacks_is_left_out_of_the_token(token_registry: Registry) -> None:
    mine = token_registry.prefix
    token = ask_token(token_registry, f"repository:{mine}/a:pull,push", "reader")
    status, headers, _ = token_registry.ask(
        f"/v2/{mine}/a/blobs/uploads/", f"Bearer {token}", "POST"
    )
    assert status == 401
    assert 'error="insufficient_scope"' in headers["WWW-Authenticate"]


def test_an_expired_token_is_refused(token_registry: Registry, bench: Bench) -> None:
    signer = tokens.Signer.make(bench.folder("registry-token"))
    access = tokens.access("reader", [f"repository:{token_registry.prefix}/a:pull"])
    for ago, wanted in ((0, 404), (3600, 401)):
        token = signer.token("reader", access, now=int(time.time()) - ago)
        path = f"/v2/{token_registry.prefix}/a/tags/list"
        status, headers, _ = token_registry.ask(path, f"Bearer {token}")
        assert status == wanted
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]


def test_a_token_of_another_signer_is_refused(token_registry: Registry, judges: Judges) -> None:
    access = tokens.access("pusher", [f"repository:{token_registry.prefix}/a:pull"])
    token = tokens.Signer.make(judges.folder).token("pusher", access)
    path = f"/v2/{token_registry.prefix}/a/tags/list"
    assert token_registry.ask(path, f"Bearer {token}")[0] == 401


def test_everybody_may_pull_base_images_and_nothing_else() -> None:
    assert tokens.access("", ["repository:base/python:pull,push"])[0]["actions"] == ["pull"]
    assert tokens.access("", ["repository:model:pull"]) == []


def test_a_registry_has_two_names_of_one_content(
    two_name_registry: Registry, judges: Judges
) -> None:
    assert two_name_registry.name.startswith("127.0.0.1:")
    assert not two_name_registry.node_name.startswith("127.")
    digest = judges.push(two_name_registry, two_name_registry.image("model:1"), FILES)
    there = replace(two_name_registry, name=two_name_registry.node_url.removeprefix("http://"))
    assert judges.crane(there, "digest", "--insecure", there.image("model:1")) == digest


def ask_token(registry: Registry, scope: str, user: str) -> str:
    path = f"/token?service={tokens.SERVICE}&scope={scope}"
    status, _, body = registry.ask(path, registry.basic(user))
    assert status == 200
    return str(json.loads(body)["token"])
