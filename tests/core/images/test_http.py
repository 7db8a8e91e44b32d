"""HTTP on sockets, against servers that answer by the book, late, half, and not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from fairing_core.images import http
from fairing_core.images.route import Broken, Closed, Origin
from tests.core.conftest import Client, Deaf
from tests.core.images.registry import CUT, RESET, Answer, FakeRegistry


def get(client: Client, registry: FakeRegistry, path: str = "/x") -> http.Response:
    return client.pool.request(Origin.of(registry.url), "GET", path, {})


def raw(registry: FakeRegistry, *lines: str, body: bytes = b"") -> None:
    head = "\r\n".join((*lines, "", "")).encode("latin-1")
    registry.script("GET", "/x", Answer(raw=head + body))


# --- answers --------------------------------------------------------------------------------------


def test_a_body_of_a_known_length_is_read(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", Answer(200, {"X": "1"}, b"hello"))
    response = get(client, registry)
    assert (response.status, response.field("x"), response.read(100)) == (200, "1", b"hello")


def test_a_chunked_body_is_read(client: Client, registry: FakeRegistry) -> None:
    body = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"
    raw(registry, "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=body)
    assert get(client, registry).read(100) == b"hello world"


def test_a_body_that_ends_with_its_connection_is_read(
    client: Client, registry: FakeRegistry
) -> None:
    raw(registry, "HTTP/1.1 200 OK", body=b"hello")
    assert get(client, registry).read(100) == b"hello"


def test_an_answer_of_http_1_0_is_read(client: Client, registry: FakeRegistry) -> None:
    raw(registry, "HTTP/1.0 404 Not Found", "Content-Length: 2", body=b"no")
    response = get(client, registry)
    assert (response.status, response.read(9)) == (404, b"no")


def test_what_comes_before_the_answer_is_skipped(client: Client, registry: FakeRegistry) -> None:
    raw(
        registry,
        *("HTTP/1.1 103 Early Hints", "Link: </x>", "", "HTTP/1.1 100 Continue", ""),
        *("HTTP/1.1 200 OK", "Content-Length: 2"),
        body=b"ok",
    )
    assert get(client, registry).read(9) == b"ok"


def test_fields_of_one_name_are_put_together(client: Client, registry: FakeRegistry) -> None:
    raw(registry, "HTTP/1.1 401 No", "WWW-Authenticate: Basic", "www-authenticate: Bearer x")
    response = get(client, registry)
    response.close()
    assert response.field("www-authenticate") == "Basic, Bearer x"


def test_a_head_has_no_body_whatever_its_length_says(
    client: Client, registry: FakeRegistry
) -> None:
    registry.script("HEAD", "/x", Answer(200, {"Content-Length": "1000"}))
    origin = Origin.of(registry.url)
    assert client.pool.request(origin, "HEAD", "/x", {}).read(9) == b""
    get(client, registry).close()
    assert registry.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: 1",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
        b"\x16\x03\x01" + bytes(100),
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nhello",
    ],
    ids=["reset", "ssh", "status", "cut", "long", "many", "binary", "negative", "two"],
)
def test_what_is_no_answer_is_said_to_be_none(
    client: Client, registry: FakeRegistry, answer: bytes
) -> None:
    registry.script("GET", "/x", Answer(raw=answer))
    with pytest.raises(ConnectionError):
        get(client, registry)


def test_a_length_that_is_told_twice_alike_counts_once(
    client: Client, registry: FakeRegistry
) -> None:
    raw(registry, "HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 2", body=b"okay")
    assert get(client, registry).read(9) == b"ok"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("Content-Length: 100", b"cut"),
        ("Transfer-Encoding: chunked", b"5\r\nhel"),
        ("Transfer-Encoding: chunked", b"5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", b"no size\r\n"),
        ("Transfer-Encoding: chunked", b"-5\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_a_cut_body_is_never_taken_for_a_whole_one(
    client: Client, registry: FakeRegistry, field: str, body: bytes
) -> None:
    raw(registry, "HTTP/1.1 200 OK", field, body=body)
    response = get(client, registry)
    with pytest.raises(Broken):
        response.read(1000)
    response.close()  # harmless


def test_an_answer_that_is_too_long_is_refused(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", Answer(200, {}, bytes(1000)))
    with pytest.raises(Broken, match="more than 999 bytes"):
        get(client, registry).read(999)


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_kept(client: Client, registry: FakeRegistry) -> None:
    for _ in range(3):
        get(client, registry).read(1000)
    assert registry.connections == 1


def test_what_nobody_read_of_a_short_answer_keeps_the_connection(
    client: Client, registry: FakeRegistry
) -> None:
    get(client, registry).close()
    get(client, registry).close()
    assert registry.connections == 1


def test_a_connection_that_says_close_is_not_kept(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", Answer(200, {"Connection": "Close"}, b"1"), times=2)
    assert [get(client, registry).read(9) for _ in range(2)] == [b"1", b"1"]
    assert registry.connections == 2


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_anew(
    client: Client, registry: FakeRegistry
) -> None:
    get(client, registry).read(1000)
    registry.hang_up()
    time.sleep(0.05)
    assert get(client, registry).read(1000)


def test_a_body_is_made_anew_for_a_connection_that_was_closed_meanwhile(
    client: Client, registry: FakeRegistry
) -> None:
    made = []

    def body() -> Iterator[bytes]:
        made.append(1)
        yield b"hello"

    get(client, registry).read(1000)
    registry.hang_up()
    time.sleep(0.05)
    origin = Origin.of(registry.url)
    client.pool.request(origin, "PUT", "/y", {}, body).close()
    assert registry.requests("PUT")[-1].body == b"hello"


def test_a_new_connection_that_breaks_is_reported(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", CUT)
    with pytest.raises(ConnectionError):
        get(client, registry)
    assert registry.count("GET") == 1


def test_threads_share_the_pool(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", Answer(200, {}, b"1", after=0.05), times=80)
    found: list[bytes] = []

    def work() -> None:
        found.extend(get(client, registry).read(9) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert found == [b"1"] * 80
    assert registry.connections <= 8


def test_closing_the_pool_wakes_those_who_wait(client: Client, registry: FakeRegistry) -> None:
    registry.script("GET", "/x", Answer(200, {}, b"1", after=30))
    found: list[BaseException] = []

    def work() -> None:
        try:
            get(client, registry)
        except OSError as exc:
            found.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    while not registry.asked:
        time.sleep(0.01)
    client.pool.close()
    thread.join(5)
    assert not thread.is_alive()
    assert len(found) == 1


@pytest.mark.parametrize("stage", ["connect", "handshake"])
def test_closing_the_pool_wakes_those_who_connect(client: Client, deaf: Deaf, stage: str) -> None:
    url = deaf.full() if stage == "connect" else deaf.silent()
    found: list[BaseException] = []

    def work() -> None:
        try:
            client.pool.request(Origin.of(url), "GET", "/x", {})
        except OSError as exc:
            found.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)  # it is connecting
    assert thread.is_alive()
    client.pool.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(found[0], Closed)


def test_a_closed_pool_asks_nobody(client: Client, registry: FakeRegistry) -> None:
    client.pool.close()
    with pytest.raises(Closed):
        get(client, registry)
    assert registry.connections == 0


# --- bodies ---------------------------------------------------------------------------------------


def blocks() -> Iterator[bytes]:
    yield b"hello"
    yield b""
    yield b" world"


def test_blocks_are_sent_chunked(client: Client, registry: FakeRegistry) -> None:
    origin = Origin.of(registry.url)
    client.pool.request(origin, "PATCH", "/x", {}, blocks).close()
    (asked,) = registry.requests("PATCH")
    assert (asked.body, asked.fields.get("content-length")) == (b"hello world", None)


def test_blocks_of_a_known_length_are_not_chunked(client: Client, registry: FakeRegistry) -> None:
    origin = Origin.of(registry.url)
    client.pool.request(origin, "PUT", "/x", {"Content-Length": "11"}, blocks).close()
    (asked,) = registry.requests("PUT")
    assert (asked.body, asked.fields.get("transfer-encoding")) == (b"hello world", None)


def test_an_empty_body_says_its_length(client: Client, registry: FakeRegistry) -> None:
    client.pool.request(Origin.of(registry.url), "POST", "/x", {}).close()
    assert registry.requests("POST")[0].fields["content-length"] == "0"


def test_a_refusal_that_comes_before_the_body_is_through_is_read(
    client: Client, registry: FakeRegistry
) -> None:
    registry.script("PUT", "/x", Answer(413, {}, b"too large", early=True))
    big = bytes(50 << 20)
    response = client.pool.request(Origin.of(registry.url), "PUT", "/x", {}, lambda: big)
    assert (response.status, response.read(100)) == (413, b"too large")


def test_a_connection_cut_in_a_body_is_reported(client: Client, registry: FakeRegistry) -> None:
    registry.script("PUT", "/x", RESET)
    big = bytes(50 << 20)
    with pytest.raises(ConnectionError):
        client.pool.request(Origin.of(registry.url), "PUT", "/x", {}, lambda: big)


@pytest.mark.parametrize("kind", [ConnectionResetError, BrokenPipeError, Broken])
def test_a_body_that_fails_is_no_fault_of_the_connection(
    client: Client, registry: FakeRegistry, kind: type[OSError]
) -> None:
    made = []

    def failing() -> Iterator[bytes]:
        made.append(1)
        yield b"some"
        raise kind("the source is gone")

    get(client, registry).read(1000)  # so that the connection is a kept one
    began = time.monotonic()
    with pytest.raises(kind, match="the source is gone"):
        client.pool.request(Origin.of(registry.url), "PUT", "/x", {}, failing)
    assert made == [1]
    assert time.monotonic() - began < 5
