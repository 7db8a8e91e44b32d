"""How origins are reached: their names, and the proxies of the environment."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairing_core import errors
from fairing_core.images import http
from fairing_core.images.route import Broken, Origin, Route, is_loopback
from tests.core.conftest import Serve
from tests.core.images.registry import FakeRegistry

# --- origins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("https://registry.test/v2/", "registry.test"),
        ("https://registry.test:443/v2/", "registry.test"),
        ("http://registry.test:443/", "registry.test:443"),
        ("http://[::1]:5000/", "[::1]:5000"),
    ],
)
def test_an_origin_is_written_as_in_a_host_field(url: str, netloc: str) -> None:
    assert Origin.of(url).netloc == netloc


@pytest.mark.parametrize("url", ["ftp://host/", "https:///path", "host:5000", "http://h:99999/"])
def test_what_is_no_url_of_ours_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Origin.of(url)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ValueError, match="http") as caught:
        Origin.of("socks5://ada:s3cret@proxy.test:1080")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "app.localhost"])
def test_loopback_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.evil.test", "localhost.evil.test", "10.0.0.1", "0.0.0.0"])
def test_others_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


# --- proxies --------------------------------------------------------------------------------------


class Proxy:
    """A proxy that tunnels to 127.0.0.1, whatever the name; `asked` are the heads it was sent."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self._refusal = refusal
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client:
            self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1 << 16)
        self.asked.append(head.decode())
        if self._refusal:
            client.sendall(self._refusal)
            return
        target = head.split(b" ", 2)[1].decode()
        if head.startswith(b"CONNECT"):
            port = int(target.rpartition(":")[2])
        else:
            port = Origin.of(target).port
        with socket.create_connection(("127.0.0.1", port)) as there:
            if head.startswith(b"CONNECT"):
                client.sendall(b"HTTP/1.1 200\r\n\r\n")
            else:
                there.sendall(head.replace(b"http://registry.test:%d" % port, b"", 1))
            back = threading.Thread(target=_copy, args=(there, client), daemon=True)
            back.start()
            _copy(client, there)
            back.join(5)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    found = Proxy()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    yield found
    found.close()


def ask(url: str, ca: dict[str, Path] | None = None) -> http.Response:
    pool = http.Pool(Route(ca))
    try:
        response = pool.request(Origin.of(url), "GET", "/x", {})
        response.read(1000)
        return response
    finally:
        pool.close()


def test_plain_http_goes_through_its_proxy_by_the_whole_url(
    registry: FakeRegistry, proxy: Proxy, names: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://ada:p%40ss@127.0.0.1:{proxy.port}")
    assert ask(f"http://registry.test:{registry.port}").status == 404
    (head,) = proxy.asked
    assert head.startswith(f"GET http://registry.test:{registry.port}/x HTTP/1.1\r\n")
    assert f"Basic {base64.b64encode(b'ada:p@ss').decode()}" in head


def test_tls_goes_through_a_tunnel(
    serve: Serve,
    proxy: Proxy,
    names: None,
    authority: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = serve(tls=certificate)
    monkeypatch.setenv("https_proxy", f"ada:pw@127.0.0.1:{proxy.port}")
    name = f"registry.test:{registry.port}"
    assert ask(f"https://{name}", {name: authority}).status == 404
    (head,) = proxy.asked
    assert head.startswith(f"CONNECT {name} HTTP/1.1\r\n")
    assert f"Basic {base64.b64encode(b'ada:pw').decode()}" in head
    assert "proxy-authorization" not in registry.asked[0].fields


def test_all_proxy_serves_both_schemes(
    registry: FakeRegistry, proxy: Proxy, names: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert ask(f"http://registry.test:{registry.port}").status == 404
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("no_proxy", ["registry.test", ".test", "other.test, test", "*"])
def test_no_proxy_leaves_hosts_out(
    registry: FakeRegistry,
    proxy: Proxy,
    names: None,
    monkeypatch: pytest.MonkeyPatch,
    no_proxy: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert ask(f"http://registry.test:{registry.port}").status == 404
    assert proxy.asked == []


def test_loopback_never_goes_through_a_proxy(
    registry: FakeRegistry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert ask(registry.url).status == 404
    assert proxy.asked == []


def test_a_proxy_that_refuses_is_named_without_its_password(
    names: None, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy._refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:s3cret@127.0.0.1:{proxy.port}")
    with pytest.raises(Broken, match="407 Proxy Authentication Required") as caught:
        ask("https://registry.test")
    assert "s3cret" not in str(caught.value)


def refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> errors.SettingsError:
    """What is said of a proxy that can't be one; nothing of its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(errors.SettingsError, match="HTTPS_PROXY") as caught:
        ask("https://registry.test")
    assert "s3c" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("scheme", ["socks5", "https"])
def test_a_proxy_of_another_kind_is_refused_without_its_password(
    names: None, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    refused(f"{scheme}://ada:s3cret@127.0.0.1:{proxy.port}", monkeypatch)


@pytest.mark.parametrize("place", ["ada:s3c/ret@proxy.test:3128", "proxy.test:s3cret", "[s3cret"])
def test_a_proxy_that_is_none_is_told_without_its_password(
    names: None, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    assert refused(f"http://{place}", monkeypatch).__cause__ is None
