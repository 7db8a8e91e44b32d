"""A Docker engine in memory, on a unix socket or loopback, that does what a test tells it to."""

from __future__ import annotations

import base64
import io
import json
import re
import socketserver
import tarfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.core.images.registry import FakeRegistry

BASE_ID = f"sha256:{'b' * 64}"
MADE_ID = f"sha256:{'a' * 64}"
Messages = Sequence[Mapping[str, Any]]


@dataclass
class Call:
    """One request; credentials are those of its headers."""

    method: str
    path: str
    query: Mapping[str, str]
    auth: Any
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def files(self) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self.body)) as tar:
            found = {each.name: tar.extractfile(each) for each in tar.getmembers()}
            return {name: file.read() for name, file in found.items() if file}


@dataclass
class FakeEngine:
    """An engine that has `images`, by any name, and builds what it is given.

    `links` says where programs lead to, `etc` what is in /etc, `log` what a build says, `pushes`
    what a push says; `refusals` are answers by the path's beginning. Instead of a message with the
    words "hangs up" it does so, and in the midst of a file with them.
    """

    socket: Path
    registry: FakeRegistry | None = None
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    pulls: dict[str, dict[str, Any]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    etc: dict[str, bytes] = field(default_factory=dict)
    log: Messages = ()
    pushes: Messages | None = None
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    user: str = ""

    def __post_init__(self) -> None:
        engine = self

        class Handler(_Handler):
            fake = engine

        self._server = _Server(str(self.socket), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def image(self, name: str, **config: Any) -> dict[str, Any]:
        """Has an image of that name from now on."""
        self.images[name] = image(name, **config)
        return self.images[name]

    def asked(self, text: str) -> list[Call]:
        return [call for call in self.calls if re.search(text, str(call))]

    def answer(self, call: Call) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON (a list is a stream, bytes are as they are) and headers."""
        for start, (status, message) in self.refusals.items():
            if call.path.startswith(start):
                return status, {"message": message}, {}
        if call.path == "/version":
            return 200, {"ApiVersion": "1.41", "Version": "20.10", "MinAPIVersion": "1.12"}, {}
        if call.path == "/build":
            self.images[MADE_ID] = image(call.query["t"], User=self.user) | {"Id": MADE_ID}
            return 200, [*self.log, {"aux": {"ID": MADE_ID}}], {}
        if call.path == "/images/create":
            return self._pulled(f"{call.query['fromImage']}:{call.query['tag']}")
        if named := re.fullmatch(r"/images/(.+)/json", call.path):
            found = self.images.get(named[1])
            return (200, found, {}) if found else (404, {"message": "No such image"}, {})
        if named := re.fullmatch(r"/images/(.+)/push", call.path):
            return 200, self._pushed(named[1], call.query["tag"]), {}
        if call.path == "/containers/create":
            return 201, {"Id": "c0"}, {}
        if call.path.endswith("/archive"):
            return self._file(call)
        return (204, b"", {}) if call.method == "DELETE" else (404, {"message": "what?"}, {})

    def _pulled(self, name: str) -> tuple[int, Any, Mapping[str, str]]:
        if name not in self.pulls:
            return 404, {"message": f"manifest for {name} not found: manifest unknown"}, {}
        self.images[name] = self.pulls[name]
        detail = {"current": 5_000, "total": 4_000}
        layer = {"status": "Downloading", "id": "l1", "progressDetail": detail}
        return 200, [{"status": "Pulling"}, layer, {"status": "Pull complete", "id": "l1"}], {}

    def _pushed(self, name: str, tag: str) -> Messages:
        if self.pushes is not None:
            return self.pushes
        assert self.registry
        host, _, repository = name.partition("/")
        assert host == self.registry.host
        digest = self.registry.image(repository, tag)
        layer = {"status": "Pushing", "id": "l1"}
        return [
            {"status": f"The push refers to repository [{name}]"},
            {**layer, "progressDetail": {"current": 512, "total": 400}},
            {**layer, "progressDetail": {"current": 1024, "total": 400}},
            {"status": "Layer already exists", "id": "l2"},
            {"status": "Mounted from base", "id": "l3"},
            {"aux": {"Tag": tag, "Digest": digest, "Size": 740}},
        ]

    def _file(self, call: Call) -> tuple[int, Any, Mapping[str, str]]:
        path = call.query["path"]
        if call.method == "HEAD":
            if path not in self.links:
                return 404, b"", {}
            stat = json.dumps({"name": path, "linkTarget": self.links[path]}).encode()
            told = base64.b64encode(stat).decode()
            return 200, b"", {"X-Docker-Container-Path-Stat": told}
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            for name, content in self.etc.items():
                entry = tarfile.TarInfo(f"etc/{name}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        return (200, made.getvalue(), {}) if self.etc else (404, {"message": "no"}, {})


def image(name: str, **config: Any) -> dict[str, Any]:
    """What an engine says of an image."""
    repository = name.rpartition(":")[0]
    return {
        "Id": BASE_ID,
        "RepoDigests": [f"{repository}@sha256:{'d' * 64}"],
        "Os": "linux",
        "Architecture": config.pop("architecture", "amd64"),
        "Config": {"User": "", "Env": ["PATH=/usr/bin:/bin"], **config},
    }


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what a test wanted."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeEngine

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None: ...

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+", "", unquote(parts.path))
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        sent = self.headers.get("X-Registry-Auth") or self.headers.get("X-Registry-Config")
        auth = json.loads(base64.urlsafe_b64decode(sent)) if sent else None
        call = Call(self.command, path, query, auth, self._body())
        self.fake.calls.append(call)
        status, told, fields = self.fake.answer(call)
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        if isinstance(told, list):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for each in [*(json.dumps(one).encode() + b"\r\n" for one in told), b""]:
                if b"hangs up" in each:
                    self.close_connection = True
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(each), each))
            return
        raw = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        if b"hangs up" in raw:
            self.close_connection = True
            raw = raw[: len(raw) // 2]
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        with suppress(ValueError):  # who sends broke off
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return found

    do_GET = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - as the base calls them
