"""A proxy on loopback that counts requests, and cuts connections when it is told to."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.bench.certificates import Pair

_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class Proxy:
    """Hands bytes on; `asked` are the requests, method and path."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self.asked: list[tuple[str, str]] = []
        self.cut_up: int | None = None
        """After so many bytes more to the server, one connection is cut."""
        self.cut_down: int | None = None
        """After so many bytes more from the server, one connection is cut."""
        self.cuts = 0
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listening.close()
        for one in self._open:
            one.close()

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=30)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            for way in ((near, far, "cut_up"), (far, near, "cut_down")):
                threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, which: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if which == "cut_up" and (found := _REQUEST.match(data)):
                    self.asked.append((found[1].decode(), found[2].decode()))
                if self._cuts(which, len(data)):
                    for one in (source, sink):  # a reset, not an end
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        one.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _cuts(self, which: str, length: int) -> bool:
        with self._lock:
            left = getattr(self, which)
            if left is None:
                return False
            setattr(self, which, left - length)
            if left - length > 0:
                return False
            setattr(self, which, None)
            self.cuts += 1
            return True


class _Front(BaseHTTPRequestHandler):
    """Hands requests on, one after the other."""

    protocol_version = "HTTP/1.1"
    target: str

    def _handed_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        behind = HTTPConnection(self.target, timeout=30)
        headers = {key: value for key, value in self.headers.items() if key != "Expect"}
        behind.request(self.command, self.path, body, headers)
        answer = behind.getresponse()
        content = answer.read()
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        behind.close()


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(_Front, f"do_{_method}", _Front._handed_on)


@contextmanager
def with_tls(url: str, pair: Pair) -> Iterator[str]:
    """The URL of a server on loopback that speaks TLS, before the one at `url`."""
    handler = type("Front", (_Front,), {"target": urlsplit(url).netloc})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a refused handshake
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    """A proxy before the server at `url`."""
    with closing(Proxy(url)) as proxy:
        yield proxy
