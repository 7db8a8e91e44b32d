"""The token registry's front: TLS, its token server at /token, all else passed to the registry.

Both are on one host and port, since clients refuse a realm at another private address.

With a folder of Google's tokens it takes those, too, as Artifact Registry does.

Run as: python -m tests.bench.front HOST PORT REGISTRY-PORT FOLDER [FOLDER-OF-TOKENS]
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import ssl
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench import tokens
from tests.bench.google import USER, Mint

PIECE = 1 << 18
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"}


class Front(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    behind = "127.0.0.1"
    """The host that the registry is at."""
    registry: int
    signer: tokens.Signer
    mint: Mint | None = None

    def do_GET(self) -> None:
        """Answers any request."""
        if urlsplit(self.path).path == "/token":
            self._token()
        else:
            self._pass_on()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  http.server's names

    def do_POST(self) -> None:
        """Answers a POST; clients try one at /token first and, told 404, ask by GET."""
        if urlsplit(self.path).path == "/token":
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._tell(404, {"errors": [{"code": "UNSUPPORTED", "message": "ask by GET"}]})
        else:
            self._pass_on()

    def _token(self) -> None:
        user = ""
        kind, _, coded = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            user, _, password = base64.b64decode(coded).decode().partition(":")
            known = tokens.USERS.get(user) == password
            if self.mint and user == USER:
                may = self.mint.may(password)
                user, known = _user(may or frozenset()), may is not None
            if not known:
                fault = {"code": "UNAUTHORIZED", "message": "wrong user or password"}
                self._tell(401, {"errors": [fault]})
                return
        asked = parse_qs(urlsplit(self.path).query).get("scope", [])
        access = tokens.access(user, " ".join(asked).split())
        token = self.signer.token(user, access)
        issued = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = {"token": token, "access_token": token, "issued_at": issued}
        self._tell(200, {**answer, "expires_in": tokens.SECONDS})

    def _tell(self, code: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pass_on(self) -> None:
        chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
        body = _pieces(self.rfile, int(self.headers.get("Content-Length") or 0))
        if chunked:
            body = _chunks(self.rfile)
        connection = http.client.HTTPConnection(self.behind, self.registry, timeout=60)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():  # one by one: skopeo sends many of Accept
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(body, encode_chunked=chunked)
            self._answer(connection.getresponse())
        finally:
            connection.close()

    def _answer(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = response.getheader("Content-Length")
        bare = self.command == "HEAD" or response.status in {204, 304}
        if length is None and not bare:
            self.send_header("Connection", "close")  # its end is the body's end
        self.end_headers()
        while not bare and (piece := response.read(PIECE)):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the registry does, and an Authorization header is nobody's business."""


class Server(ThreadingHTTPServer):
    """A thread a connection; the handshake is the thread's, so that no slow client blocks all."""

    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shakes hands, then answers."""
        request.settimeout(Front.timeout)
        with self.tls.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tells what went wrong in a line."""
        print(f"{client_address}: {sys.exc_info()[1]!r}", file=sys.stderr, flush=True)


def _pieces(source: BufferedIOBase, length: int) -> Iterator[bytes]:
    while length and (piece := source.read(min(length, PIECE))):
        length -= len(piece)
        yield piece


def _chunks(source: BufferedIOBase) -> Iterator[bytes]:
    while size := int(source.readline().partition(b";")[0], 16):
        yield from _pieces(source, size)
        source.readline()
    while source.readline().strip():  # trailers
        pass


def _user(may: frozenset[str]) -> str:
    """The user that whoever may so much is for this registry."""
    return "pusher" if "write" in may else "reader" if "read" in may else ""


def main(host: str, port: int, registry: int, folder: Path, google: Path | None = None) -> None:
    """Serves until it is ended."""
    Front.mint = None if google is None else Mint(google)
    Front.registry, Front.signer = registry, tokens.Signer.make(folder)
    with Server((host, port), Front) as server:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.tls.load_cert_chain(folder / "server.crt", folder / "server.key")
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *map(Path, sys.argv[4:6]))
