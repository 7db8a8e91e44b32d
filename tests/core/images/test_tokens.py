"""Proving who asks: to registries that want Basic, tokens, nothing, or too much."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from fairing_core import errors
from fairing_core.images.remote import Remote
from fairing_core.images.tokens import IDENTITY_TOKEN, REGISTRY_TOKEN, Challenge
from fairing_core.types import Credentials
from tests.core.conftest import Client, Serve
from tests.core.images.registry import Answer, FakeRegistry, refusal

ADA = Credentials("ada", "s3cret")
USERS = {"ada": "s3cret"}


def ask(remote: Remote, repository: str = "x") -> int:
    response = remote.request("GET", f"/v2/{repository}/manifests/1")
    response.close()
    return response.status


def remote_of(client: Client, registry: FakeRegistry, *scopes: str, **more: Any) -> Remote:
    more.setdefault("credentials", ADA)
    remote = client.remote(registry.host, **more)
    for scope in scopes or ("repository:x:pull",):
        remote.wants(scope)
    return remote


@pytest.mark.parametrize(
    ("field", "challenge"),
    [
        ('Basic realm="x"', Challenge("basic", "x")),
        ("Basic", Challenge("basic")),
        ("BASIC realm=x", Challenge("basic", "x")),
        (
            'Bearer realm="https://a/token",service="s",scope="repository:x:pull,push"',
            Challenge("bearer", "https://a/token", "s"),
        ),
        ('Basic realm="x", Bearer realm="https://a/t"', Challenge("bearer", "https://a/t")),
        ('Bearer realm="https://a/t" , service=s', Challenge("bearer", "https://a/t", "s")),
        ("Negotiate, NTLM", None),
        ("", None),
    ],
)
def test_the_best_challenge_is_taken(field: str, challenge: Challenge | None) -> None:
    assert Challenge.parse(field) == challenge


def test_basic_credentials_are_sent_where_they_are_wanted(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    remote = remote_of(client, registry)
    assert [ask(remote), ask(remote)] == [404, 404]
    assert ["authorization" in each.fields for each in registry.asked] == [False, True, True]


def test_a_password_is_asked_for_anew_once_it_is_stale(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    passwords = iter([("s3cret", time.time() + 0.3), ("s3cret", None)])
    given: list[Credentials] = []

    def fresh() -> Credentials:
        password, expires = next(passwords)
        given.append(Credentials("ada", password, expires=expires))
        return given[-1]

    remote = Remote(
        registry.host,
        plain_http=True,
        credentials=fresh,
        pool=client.pool,
        route=client.route,
        cache=client.cache,
    )
    assert [ask(remote), ask(remote)] == [404, 404]
    assert len(given) == 1
    time.sleep(0.4)
    assert ask(remote) == 404
    assert len(given) == 2


def test_nobody_is_told_who_asks_without_asking_for_it(
    client: Client, registry: FakeRegistry
) -> None:
    assert ask(remote_of(client, registry)) == 404
    assert "authorization" not in registry.asked[0].fields


def test_a_challenge_is_remembered(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    ask(remote_of(client, registry))
    registry.asked.clear()
    assert ask(remote_of(client, registry)) == 404
    assert len(registry.asked) == 1


def test_wrong_credentials_are_refused_with_their_user(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    remote = remote_of(client, registry, credentials=Credentials("ada", "wr0ng"))
    response = remote.request("GET", "/v2/x/manifests/1")
    with pytest.raises(errors.RegistryDenied, match=r"the user 'ada'.*docker login") as caught:
        remote.fail(response, "can't")
    assert caught.value.status == 401
    assert "wr0ng" not in str(caught.value)


def test_missing_credentials_are_said(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    remote = remote_of(client, registry, credentials=None)
    response = remote.request("GET", "/v2/x/manifests/1")
    with pytest.raises(errors.RegistryDenied, match="nobody is logged in"):
        remote.fail(response, "can't")


def test_credentials_that_cant_be_read_are_told_when_they_are_missed(
    client: Client, serve: Serve
) -> None:
    registry = serve(users=USERS)

    def broken() -> Credentials | None:
        raise errors.SettingsError("config.json is no JSON")

    remote = client.remote(registry.host)
    remote._auth._ask = broken
    response = remote.request("GET", "/v2/x/manifests/1")
    with pytest.raises(errors.RegistryDenied, match=r"config\.json is no JSON"):
        remote.fail(response, "can't")


@pytest.mark.parametrize("answer", [Answer(401), refusal(401, "UNAUTHORIZED")])
def test_a_401_without_a_challenge_is_given_back(
    client: Client, registry: FakeRegistry, answer: Answer
) -> None:
    registry.script("GET", "manifests", answer)
    assert ask(remote_of(client, registry)) == 401
    assert len(registry.asked) == 1


def test_a_401_without_a_body_is_answered(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS)
    registry.script("GET", "manifests", Answer(401, {"WWW-Authenticate": "Basic"}))
    assert ask(remote_of(client, registry)) == 404


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_got_and_used(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry)
    assert [ask(remote), ask(remote)] == [404, 404]
    assert registry.count("GET", "/token") == 1


def test_rights_to_push_are_asked_first(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry, "repository:base:pull", "repository:x:pull,push")
    ask(remote)
    (asked,) = registry.requests("GET", "/token")
    assert asked.target.endswith(
        "scope=repository%3Ax%3Apull%2Cpush&scope=repository%3Abase%3Apull"
    )
    assert asked.query["service"] == "fake"


def test_a_right_to_push_is_one_to_pull(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry, "repository:x:pull,push", "repository:x:pull")
    ask(remote)
    (asked,) = registry.requests("GET", "/token")
    assert asked.target.count("scope=") == 1


def test_a_further_right_asks_for_another_token(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry)
    ask(remote)
    remote.wants("repository:y:pull")
    assert ask(remote, "y") == 404
    assert registry.count("GET", "/token") == 2


def test_a_token_that_expired_is_renewed_once(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry)
    ask(remote)
    registry.revoke()
    assert ask(remote) == 404
    assert registry.count("GET", "/token") == 2


def test_a_token_that_never_helps_ends(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    challenge = {"WWW-Authenticate": f'Bearer realm="{registry.realm}"'}
    registry.script("GET", "manifests", Answer(401, challenge), times=99)
    assert ask(remote_of(client, registry)) == 401
    assert registry.count("GET", "/token") <= 2


def test_a_token_is_remembered(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    ask(remote_of(client, registry))
    registry.asked.clear()
    assert ask(remote_of(client, registry)) == 404
    assert len(registry.asked) == 1


def test_a_token_of_another_user_is_not_used(client: Client, serve: Serve) -> None:
    registry = serve(users={**USERS, "bob": "pw"}, tokens=True)
    ask(remote_of(client, registry))
    ask(remote_of(client, registry, credentials=Credentials("bob", "pw")))
    assert registry.count("GET", "/token") == 2


@pytest.mark.parametrize("seconds", [1, 0, None])
def test_a_token_of_a_short_life_is_used(client: Client, serve: Serve, seconds: int | None) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.seconds = seconds
    assert ask(remote_of(client, registry)) == 404


def test_a_remembered_token_that_was_revoked_is_renewed(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    ask(remote_of(client, registry))
    registry.revoke()
    assert ask(remote_of(client, registry)) == 404


def test_the_token_server_says_why_it_refuses(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry, credentials=Credentials("ada", "wr0ng"))
    with pytest.raises(errors.RegistryDenied, match=r"'ada'.*incorrect username") as caught:
        ask(remote)
    assert (caught.value.host, caught.value.status) == (registry.host, 401)
    assert "wr0ng" not in str(caught.value)


def test_an_identity_token_is_traded_in(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.refresh_tokens.add("r3fresh")
    remote = remote_of(client, registry, credentials=Credentials(IDENTITY_TOKEN, "r3fresh"))
    assert ask(remote) == 404
    (asked,) = registry.requests("POST", "/token")
    assert "authorization" not in asked.fields
    assert b"grant_type=refresh_token" in asked.body


def test_a_registry_token_is_sent_as_it_is(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.valid["t0ken"] = "repository:x:pull"
    remote = remote_of(client, registry, credentials=Credentials(REGISTRY_TOKEN, "t0ken"))
    assert ask(remote) == 404
    assert registry.count("GET", "/token") == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 3}',
        b'{"token": "a\\r\\nX: 1"}',
        b'{"token": ""}',
        b"[" * 9999,
    ],
)
def test_an_answer_without_a_token_is_reported(client: Client, serve: Serve, body: bytes) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.script("GET", "/token", Answer(200, {}, body))
    with pytest.raises(errors.RegistryError, match="gave no token"):
        ask(remote_of(client, registry))


def test_an_access_token_is_a_token(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.valid["abc"] = "repository:x:pull"
    registry.script("GET", "/token", Answer(200, {}, b'{"access_token": "abc"}'))
    assert ask(remote_of(client, registry)) == 404


def test_a_token_server_that_stumbles_is_asked_again(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    registry.script("GET", "/token", Answer(503))
    assert ask(remote_of(client, registry)) == 404


def test_a_token_server_that_is_gone_is_named(client: Client, serve: Serve) -> None:
    registry, gone = serve(users=USERS, tokens=True), serve()
    gone.close()
    registry.realm = f"http://{gone.host}/token"
    with pytest.raises(errors.RegistryUnreachable, match="token server"):
        ask(remote_of(client, registry))


def test_many_threads_get_one_token(client: Client, serve: Serve) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry)
    ask(remote)
    registry.revoke()
    threads = [threading.Thread(target=ask, args=(remote,)) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert registry.count("GET", "/token") <= 3


# --- whom credentials are not sent to -------------------------------------------------------------


@pytest.mark.parametrize(
    "realm",
    [
        "http://auth.example.com/token",
        "https://127.0.0.1:1/token",
        "https://10.0.0.1/token",
        "https://169.254.169.254/token",
        "https://[fd00::1]/token",
        "https://2130706433/token",
        "https://localhost/token",
        "/token",
        "ftp://auth.example.com/",
        "",
    ],
)
def test_credentials_are_not_sent_where_a_registry_should_not_send_them(
    client: Client,
    serve: Serve,
    authority: Path,
    certificate: tuple[Path, Path],
    names: None,
    realm: str,
) -> None:
    registry = serve(users=USERS, tokens=True, tls=certificate)
    registry.realm = realm
    remote = client.remote(f"registry.test:{registry.port}", ca=authority, credentials=ADA)
    with pytest.raises(errors.RegistryError, match=r"realm|not sent"):
        ask(remote)


def test_a_realm_on_the_registrys_own_host_is_taken(client: Client, serve: Serve) -> None:
    registry, tokens = serve(users=USERS, tokens=True), serve(users=USERS, tokens=True)
    registry.valid = tokens.valid
    registry.realm = tokens.realm  # another port of this host
    assert ask(remote_of(client, registry)) == 404


def test_an_http_realm_is_refused_to_an_https_registry_even_on_its_own_host(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry, tokens = serve(users=USERS, tokens=True, tls=certificate), serve(users=USERS)
    registry.realm = f"{tokens.url}/token"
    with pytest.raises(errors.RegistryError, match="not encrypted"):
        ask(remote_of(client, registry, ca=authority))
    assert tokens.asked == []


def test_a_remembered_http_realm_is_forgotten_once_the_registry_speaks_tls(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry = serve(users=USERS, tokens=True)
    plain = serve(users=USERS, tokens=True)
    registry.realm, registry.valid = plain.realm, plain.valid
    assert ask(remote_of(client, registry)) == 404
    client.cache.save("schemes", registry.host, "https")
    registry.hang_up()
    registry.revoke()
    registry.secure(*certificate)
    registry.realm = f"{registry.url}/token"
    plain.asked.clear()
    assert ask(remote_of(client, registry, "repository:x:pull,push", ca=authority)) == 404
    assert plain.asked == []


@pytest.mark.parametrize(
    "garbage",
    [{"expires": "never"}, {"expires": 9e12}, {"expires": 9e12, "token": 3}, [], "x", 3, None],
)
def test_garbage_among_remembered_tokens_is_passed_over(
    client: Client, serve: Serve, garbage: Any
) -> None:
    registry = serve(users=USERS, tokens=True)
    remote = remote_of(client, registry)
    ask(remote)
    (kept,) = Path(client.cache._folder or "", "tokens").iterdir()
    import json

    kept.write_text(json.dumps(garbage))
    assert ask(remote_of(client, registry)) == 404


@pytest.mark.parametrize("garbage", [["bearer", "x", "y"], ["digest", "", ""], {}, [1, 2, 3]])
def test_garbage_among_remembered_challenges_is_passed_over(
    client: Client, serve: Serve, garbage: Any
) -> None:
    registry = serve(users=USERS, tokens=True)
    client.cache.save("challenges", registry.host, garbage)
    assert ask(remote_of(client, registry)) == 404
