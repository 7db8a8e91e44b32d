"""Objects on their way, against a store in this process that takes its time."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from fairing_core.s3 import S3Store

BEGUN = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"


class Slow(BaseHTTPRequestHandler):
    """Takes a first part at once, and of the others half a megabyte in a second."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self._answer(200, BEGUN)

    def do_DELETE(self) -> None:
        self._answer(204)

    def do_PUT(self) -> None:
        cast(Any, self.server).asked.append(self.command)
        left = int(self.headers["Content-Length"])
        while left and (block := self.rfile.read(min(left, 1 << 18))):
            left -= len(block)
            if "partNumber=1&" not in self.path:
                time.sleep(0.5)  # a line so slow that the others are still on their way
        if not left:
            self._answer(200)

    def _answer(self, status: int, body: bytes = b"") -> None:
        if self.command != "PUT":
            cast(Any, self.server).asked.append(self.command)
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads, server.asked = True, []
    # Else the kernels have taken a whole part before anybody is interrupted.
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_an_interrupted_upload_ends_at_once_and_leaves_no_parts(slow: Any) -> None:
    store = S3Store(
        bucket="lab",
        endpoint_url=f"http://127.0.0.1:{slow.server_port}",
        access_key="ada",
        secret_key="s3cr3t",
    )
    content, began = bytes(40 << 20), 0.0

    def interrupted(_: int) -> None:
        nonlocal began
        began = time.monotonic()
        raise KeyboardInterrupt

    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(KeyboardInterrupt):
        store.put("a", io.BytesIO(content), size=40 << 20, digest=digest, progress=interrupted)
    assert time.monotonic() - began < 5
    assert (slow.asked[0], slow.asked[-1]) == ("POST", "DELETE")
