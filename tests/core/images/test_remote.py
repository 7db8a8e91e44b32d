"""A registry as a program sees it: tried again, redirected, refused, and never told too much."""

from __future__ import annotations

import email.utils
import logging
import time
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.images.remote import Remote
from fairing_core.types import Credentials
from tests.core.conftest import Client, Serve
from tests.core.images.registry import CUT, Answer, FakeRegistry, refusal

ADA = Credentials("ada", "s3cret")


def status(remote: Remote, path: str = "/v2/x/tags/list", method: str = "GET") -> int:
    response = remote.request(method, path)
    response.close()
    return response.status


# --- tried again ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(client: Client, registry: FakeRegistry, code: int) -> None:
    registry.script("GET", "tags", Answer(code), Answer(200))
    assert status(client.remote(registry.host)) == 200


@pytest.mark.parametrize("code", [400, 403, 404, 405, 416, 501])
def test_what_stays_is_not_tried_again(client: Client, registry: FakeRegistry, code: int) -> None:
    registry.script("GET", "tags", Answer(code), Answer(200))
    assert status(client.remote(registry.host)) == code


def test_the_last_answer_is_given_when_none_was_better(
    client: Client, registry: FakeRegistry
) -> None:
    registry.script("GET", "tags", Answer(503), times=9)
    assert status(client.remote(registry.host)) == 503
    assert registry.count("GET") == 5


def test_a_pause_in_seconds_is_kept(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "tags", Answer(429, {"Retry-After": "1"}), Answer(200))
    began = time.monotonic()
    assert status(client.remote(registry.host)) == 200
    assert time.monotonic() - began >= 1


def test_a_pause_until_a_date_is_kept(client: Client, registry: FakeRegistry) -> None:
    until = email.utils.formatdate(time.time() + 2, usegmt=True)
    registry.script("GET", "tags", Answer(503, {"Retry-After": until}), Answer(200))
    began = time.monotonic()
    assert status(client.remote(registry.host)) == 200
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("asked", ["soon", "-1", "Mon, 99 Foo 2026", "1e3", ""])
def test_a_pause_that_is_none_is_passed_over(
    client: Client, registry: FakeRegistry, asked: str
) -> None:
    registry.script("GET", "tags", Answer(429, {"Retry-After": asked}), Answer(200))
    assert status(client.remote(registry.host)) == 200


def test_a_pause_that_is_too_long_is_reported(client: Client, registry: FakeRegistry) -> None:
    answer = refusal(429, "TOOMANYREQUESTS", "pull rate limit", **{"Retry-After": "3600"})
    registry.script("GET", "tags", answer)
    remote = client.remote(registry.host)
    response = remote.request("GET", "/v2/x/tags/list")
    with pytest.raises(errors.RegistryError, match=r"pull rate limit.*429.*3,600 s") as caught:
        remote.fail(response, "can't read x")
    assert (caught.value.status, caught.value.code) == (429, "TOOMANYREQUESTS")
    assert registry.count("GET") == 1


def test_a_cut_answer_is_asked_for_again(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "tags", CUT, CUT, Answer(200))
    assert status(client.remote(registry.host)) == 200


def test_a_registry_that_always_hangs_up_is_unreachable(
    client: Client, registry: FakeRegistry
) -> None:
    registry.script("GET", "tags", CUT, times=99)
    with pytest.raises(errors.RegistryUnreachable) as caught:
        status(client.remote(registry.host))
    assert caught.value.host == registry.host
    assert registry.host in str(caught.value)


def test_nobody_listening_is_said(client: Client, serve: Serve) -> None:
    gone = serve()
    gone.close()
    with pytest.raises(errors.RegistryUnreachable, match="refused"):
        status(client.remote(gone.host))


def test_an_unknown_host_is_said_at_once(client: Client) -> None:
    began = time.monotonic()
    with pytest.raises(errors.RegistryUnreachable, match=r"no host is called nobody\.invalid"):
        status(client.remote("nobody.invalid"))
    assert time.monotonic() - began < 5


def test_a_closed_pool_ends_a_pause(client: Client, registry: FakeRegistry) -> None:
    import threading

    registry.script("GET", "tags", Answer(503, {"Retry-After": "50"}), times=9)
    remote, ended = client.remote(registry.host), threading.Event()

    def work() -> None:
        try:
            status(remote)
        except ConnectionError:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not registry.asked:
        time.sleep(0.01)
    client.pool.close()
    assert ended.wait(3)
    thread.join(5)
    assert registry.count("GET") == 1


# --- http and https -------------------------------------------------------------------------------


def test_a_loopback_registry_is_asked_which_of_both_it_speaks(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry = serve(tls=certificate)
    assert status(client.remote(registry.host, ca=authority)) == 404


def test_which_one_it_speaks_is_remembered(client: Client, registry: FakeRegistry) -> None:
    assert status(client.remote(registry.host)) == 404
    before = registry.connections
    client.pool.close()
    after = Client(Path(client.cache._folder or ""))
    assert status(after.remote(registry.host)) == 404
    after.pool.close()
    assert registry.connections == before + 1


def test_a_loopback_registry_may_change_to_https(
    client: Client, registry: FakeRegistry, authority: Path, certificate: tuple[Path, Path]
) -> None:
    assert status(client.remote(registry.host)) == 404
    registry.hang_up()
    registry.secure(*certificate)
    assert status(client.remote(registry.host, ca=authority)) == 404


def test_a_loopback_registry_may_change_to_http(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry = serve(tls=certificate)
    assert status(client.remote(registry.host, ca=authority)) == 404
    client.pool.close()
    registry.secure(None, None)
    assert status(client.remote(registry.host, ca=authority)) == 404


def test_a_change_to_http_is_seen_by_what_is_tried_once(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path]
) -> None:
    registry = serve(tls=certificate)
    assert status(client.remote(registry.host, ca=authority)) == 404
    client.pool.close()
    registry.secure(None, None)
    response = client.remote(registry.host, ca=authority).request("GET", "/v2/", tries=1)
    response.close()
    assert response.status == 404


def test_a_bare_400_is_no_change_to_https(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "tags", Answer(400), times=9)
    assert status(client.remote(registry.host)) == 400


def test_plain_http_is_never_used_for_other_hosts(
    client: Client, registry: FakeRegistry, names: None
) -> None:
    with pytest.raises(errors.RegistryUnreachable, match="plain_http = true"):
        status(client.remote(f"registry.test:{registry.port}", credentials=ADA))
    assert registry.asked == []


def test_plain_http_is_used_where_it_is_said(
    client: Client, registry: FakeRegistry, names: None
) -> None:
    remote = client.remote(f"registry.test:{registry.port}", plain_http=True)
    assert status(remote) == 404


def test_plain_http_can_be_forbidden_for_loopback(client: Client, registry: FakeRegistry) -> None:
    with pytest.raises(errors.RegistryUnreachable):
        status(client.remote(registry.host, plain_http=False))
    assert registry.asked == []


def test_an_untrusted_certificate_is_said_with_the_way_out(
    client: Client, serve: Serve, certificate: tuple[Path, Path]
) -> None:
    registry = serve(tls=certificate)
    with pytest.raises(errors.UntrustedRegistry, match=r'registries\."127.*\] ca') as caught:
        status(client.remote(registry.host))
    assert caught.value.host == registry.host
    assert registry.asked == []


def test_a_certificate_for_another_name_is_not_trusted(
    client: Client, serve: Serve, authority: Path, certificate: tuple[Path, Path], names: None
) -> None:
    registry = serve(tls=certificate)
    with pytest.raises(errors.UntrustedRegistry, match=r"fake\.test"):
        status(client.remote(f"fake.test:{registry.port}", ca=authority))


# --- redirects ------------------------------------------------------------------------------------


def test_a_redirect_is_followed_without_authorization(client: Client, serve: Serve) -> None:
    registry, store = serve(users={"ada": "s3cret"}), serve()
    registry.blob("x", b"content")
    store.script("GET", "/blob", Answer(200, {}, b"content"))
    there = f"{store.url}/blob?Signature=abc"
    registry.script("GET", "blobs", lambda asked: None, Answer(307, {"Location": there}))
    remote = client.remote(registry.host, credentials=ADA)
    assert remote.request("GET", "/v2/x/blobs/y").read(100) == b"content"
    (asked,) = store.asked
    assert "authorization" not in asked.fields
    assert asked.query == {"Signature": "abc"}
    assert "authorization" in registry.asked[-1].fields


def test_a_relative_redirect_keeps_the_authorization(client: Client, serve: Serve) -> None:
    registry = serve(users={"ada": "s3cret"})
    registry.script("GET", "tags", Answer(302, {"Location": "/v2/y/list"}))
    status(client.remote(registry.host, credentials=ADA))
    assert [each.path for each in registry.asked][-1] == "/v2/y/list"
    assert "authorization" in registry.asked[-1].fields


def test_a_redirect_from_https_to_http_is_refused(
    client: Client,
    serve: Serve,
    registry: FakeRegistry,
    authority: Path,
    certificate: tuple[Path, Path],
) -> None:
    secure = serve(tls=certificate)
    there = f"{registry.url}/blob?Signature=s3cret"
    secure.script("GET", "tags", Answer(307, {"Location": there}))
    with pytest.raises(errors.RegistryError, match="not encrypted") as caught:
        status(client.remote(secure.host, ca=authority))
    assert registry.asked == []
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("there", ["ftp://x/y", "http://h:99999/", "javascript:1"])
def test_a_redirect_to_nowhere_is_reported(
    client: Client, registry: FakeRegistry, there: str
) -> None:
    registry.script("GET", "tags", Answer(307, {"Location": there}))
    with pytest.raises(errors.RegistryError) as caught:
        status(client.remote(registry.host))
    assert caught.value.host == registry.host


def test_redirects_in_a_circle_end(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "tags", Answer(307, {"Location": "/v2/x/tags/list"}), times=99)
    with pytest.raises(errors.RegistryError, match="circle"):
        status(client.remote(registry.host))


def test_a_redirected_body_is_sent_again(client: Client, registry: FakeRegistry) -> None:
    registry.script("PUT", "/one", Answer(307, {"Location": "/two"}))
    remote = client.remote(registry.host)
    remote.request("PUT", "/one", {}, lambda: iter([b"he", b"llo"])).close()
    assert [(each.path, each.body) for each in registry.requests("PUT")][-1] == ("/two", b"hello")


# --- uploads' places ------------------------------------------------------------------------------


def test_a_relative_place_is_the_registrys_own(client: Client, registry: FakeRegistry) -> None:
    location = "/v2/x/up?_state=a%3Db&c=d"
    registry.script("POST", "uploads", Answer(202, {"Location": location}))
    remote = client.remote(registry.host)
    response = remote.request("POST", "/v2/x/uploads/")
    response.close()
    assert remote.location(response) == f"http://{registry.host}{location}"


def test_an_upload_without_a_place_is_reported(client: Client, registry: FakeRegistry) -> None:
    registry.script("POST", "uploads", Answer(202))
    remote = client.remote(registry.host)
    response = remote.request("POST", "/v2/x/uploads/")
    with pytest.raises(errors.RegistryError, match="Location"):
        remote.location(response)
    response.close()


# --- what errors say ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "code", "said"),
    [
        (refusal(403, "DENIED", "not yours"), errors.RegistryDenied, "DENIED", "not yours"),
        (refusal(400, "DENIED", "no"), errors.RegistryDenied, "DENIED", "no"),
        (refusal(404, "NAME_UNKNOWN", "none"), errors.ImageNotFound, "NAME_UNKNOWN", "none"),
        (refusal(405, "UNSUPPORTED", "x", "y"), errors.RegistryError, "UNSUPPORTED", "x: y"),
        (Answer(418, {}, b"I am\na teapot"), errors.RegistryError, None, "'I am'"),
        (Answer(403), errors.RegistryDenied, None, "did not say why"),
        (Answer(400, {}, b'{"errors": []}'), errors.RegistryError, None, "errors"),
        (Answer(400, {}, b'{"errors": [3]}'), errors.RegistryError, None, "errors"),
        (Answer(400, {}, b"[" * 50_000), errors.RegistryError, None, "answered"),
        (Answer(400, {}, bytes(range(128, 256))), errors.RegistryError, None, "answered"),
    ],
)
def test_the_registrys_own_words_are_kept(
    client: Client,
    registry: FakeRegistry,
    answer: Answer,
    kind: type[errors.RegistryError],
    code: str | None,
    said: str,
) -> None:
    registry.script("GET", "tags", answer)
    remote = client.remote(registry.host)
    response = remote.request("GET", "/v2/x/tags/list")
    with pytest.raises(errors.RegistryError, match="can't do it") as caught:
        remote.fail(response, "can't do it")
    assert type(caught.value) is kind
    assert (caught.value.host, caught.value.status) == (registry.host, answer.status)
    assert caught.value.code == code
    assert said in str(caught.value)


def test_no_secret_is_in_logs_and_reprs(
    client: Client, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry = serve(users={"ada": "s3cret"}, tokens=True)
    registry.script("GET", "tags", Answer(503), CUT, Answer(307, {"Location": "/?sig=s3cret"}))
    remote = client.remote(registry.host, credentials=ADA)
    remote.wants("repository:x:pull")
    status(remote)
    status(remote, "/v2/x/manifests/1")
    told = caplog.text + repr(remote) + repr(vars(remote)) + repr(vars(remote._auth))
    assert "s3cret" not in told.replace(repr(remote._auth.field(secure=False)), "")
    assert not [token for token in registry.valid if token in caplog.text]
