"""A registry in memory that does what a test tells it to: refuse, redirect, hang up in mid-word.

It keeps manifests, blobs, uploads and mounts as a registry does. `script` puts answers before its
own, for the requests that they fit. Everything that was asked is in `asked`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
TYPES = {
    "oci": (f"{OCI}.manifest.v1+json", f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip"),
    "docker": (
        f"{DOCKER}.distribution.manifest.v2+json",
        f"{DOCKER}.container.image.v1+json",
        f"{DOCKER}.image.rootfs.diff.tar.gzip",
    ),
}
INDEXES = {
    "oci": f"{OCI}.index.v1+json",
    "docker": f"{DOCKER}.distribution.manifest.list.v2+json",
}


@dataclass
class Asked:
    """One request; `body` is filled when it was read."""

    method: str
    path: str
    query: dict[str, str]
    fields: Mapping[str, str]
    target: str
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """What to say. `raw` is sent as it is instead, and then the connection is closed.

    With `early` it is said before the body of the request is read, and the connection is closed.
    """

    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    early: bool = False
    after: float = 0.0
    """Seconds to wait before."""


CUT = Answer(raw=b"")
"""Hangs up without a word."""
RESET = Answer(raw=b"", early=True)
"""Hangs up before it has taken the request's body."""


def refusal(status: int, code: str, message: str = "", detail: Any = None, **more: str) -> Answer:
    """An error as registries word it."""
    error = {"code": code, "message": message or code.lower(), "detail": detail}
    return Answer(status, more, json.dumps({"errors": [error]}).encode())


Reply = Answer | Callable[[Asked], Answer | None]


@dataclass
class _Rule:
    method: str
    path: re.Pattern[str]
    reply: Reply
    times: int


class FakeRegistry:
    """A registry on loopback; stop it with `close`.

    Args:
        tls: a certificate and its key, as PEM files.
        users: passwords by user; without any, everyone may do all.
        tokens: asks for Bearer tokens instead of Basic.
    """

    def __init__(
        self,
        *,
        tls: tuple[Path, Path] | None = None,
        users: Mapping[str, str] | None = None,
        tokens: bool = False,
    ) -> None:
        self.users = dict(users or {})
        self.tokens = tokens
        self.refresh_tokens: set[str] = set()
        self.seconds: int | None = 300
        self.valid: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.connections = 0
        self.location = "{path}"
        self.detail: Callable[[str], Any] = lambda digest: {"Tag": digest}
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.registry = self
        self._server.daemon_threads = True
        self._tls: ssl.SSLContext | None = None
        if tls:
            self.secure(*tls)
        self.realm = f"{self.url}/token"
        serve = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        serve.start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def secure(self, certificate: Path | None, key: Path | None) -> None:
        """From now on it speaks TLS; without a certificate, no more."""
        self._tls = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate, key)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.hang_up()

    def hang_up(self) -> None:
        """Closes every kept connection, as registries do with those that wait for long."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def script(self, method: str, path: str, *replies: Reply, times: int = 1) -> None:
        """The next requests of that method whose path has `path` in it get these replies in turn.

        Each `times` times; a reply that is a function may return None: the usual answer then.
        """
        for reply in replies:
            self._rules.append(_Rule(method, re.compile(path), reply, times))

    def count(self, method: str, path: str = "") -> int:
        """How many such requests there were."""
        return len(self.requests(method, path))

    def requests(self, method: str, path: str = "") -> list[Asked]:
        """Those requests."""
        with self._lock:
            return [
                each
                for each in self.asked
                if each.method == method and re.search(path, each.target)
            ]

    # --- what it has ------------------------------------------------------------------------------

    def blob(self, repository: str, content: bytes) -> str:
        """Puts a blob into a repository."""
        digest = digest_of(content)
        self.blobs.setdefault(repository, {})[digest] = content
        return digest

    def put(self, repository: str, tag: str, manifest: bytes, kind: str) -> str:
        """Puts a manifest into a repository."""
        digest = digest_of(manifest)
        for name in (tag, digest):
            self.manifests.setdefault(repository, {})[name] = (kind, manifest)
        return digest

    def image(
        self,
        repository: str,
        tag: str = "latest",
        *layers: bytes,
        family: str = "oci",
        config: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> str:
        """Puts an image there; `config` and `manifest` change what it says. Gives its digest."""
        types = TYPES[family]
        layers = layers or (b"layer",)
        table = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "1000:100", "Env": ["PATH=/usr/bin", "A=1"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(b"x" + each) for each in layers]},
            "history": [{"created_by": "base"} for _ in layers],
            **(config or {}),
        }
        raw = json.dumps(table).encode()
        told = {
            "schemaVersion": 2,
            "mediaType": types[0],
            "config": described(raw, types[1]),
            "layers": [described(each, types[2]) for each in layers],
            **(manifest or {}),
        }
        for each in (raw, *layers):
            self.blob(repository, each)
        return self.put(repository, tag, json.dumps(told).encode(), types[0])

    def index(
        self, repository: str, tag: str, *entries: Mapping[str, Any], family: str = "oci"
    ) -> str:
        """Puts an index there."""
        table = {"schemaVersion": 2, "mediaType": INDEXES[family], "manifests": list(entries)}
        return self.put(repository, tag, json.dumps(table).encode(), INDEXES[family])

    def entry(self, repository: str, digest: str, platform: str | None = None) -> dict[str, Any]:
        """An index's entry for a manifest that is there."""
        kind, raw = self.manifests[repository][digest]
        found: dict[str, Any] = described(raw, kind)
        if platform:
            names = ("os", "architecture", "variant")
            found["platform"] = dict(zip(names, platform.split("/"), strict=False))
        return found

    def table(self, repository: str, reference: str) -> dict[str, Any]:
        """What a manifest says."""
        found: dict[str, Any] = json.loads(self.manifests[repository][reference][1])
        return found

    def config(self, repository: str, reference: str) -> dict[str, Any]:
        """What an image's config says."""
        digest = self.table(repository, reference)["config"]["digest"]
        found: dict[str, Any] = json.loads(self.blobs[repository][digest])
        return found

    def revoke(self) -> None:
        """Every token has expired."""
        self.valid.clear()

    # --- answers ----------------------------------------------------------------------------------

    def scripted(self, asked: Asked, *, early: bool) -> Answer | None:
        with self._lock:
            for rule in self._rules:
                if rule.method != asked.method or not rule.path.search(asked.target):
                    continue
                is_early = isinstance(rule.reply, Answer) and rule.reply.early
                if is_early != early:
                    return None
                rule.times -= 1
                if not rule.times:
                    self._rules.remove(rule)
                return rule.reply if isinstance(rule.reply, Answer) else rule.reply(asked)
        return None

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            return self._token(asked)
        if (refused := self._refused(asked)) is not None:
            return refused
        if match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", asked.path):
            return self._manifest(asked, match[1], match[2])
        if match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", asked.path):
            return self._upload(asked, match[1], match[2])
        if match := re.fullmatch(r"/v2/(.+)/blobs/(.+)", asked.path):
            return self._blob(match[1], match[2])
        return refusal(404, "UNSUPPORTED")

    def _refused(self, asked: Asked) -> Answer | None:
        if not self.users:
            return None
        sent = asked.fields.get("authorization", "")
        if self.tokens:
            scopes = self.valid.get(sent.removeprefix("Bearer "))
            repository = re.sub(r"^/v2/(.+?)/(manifests|blobs)/.*", r"\1", asked.path)
            if scopes is not None and f"repository:{repository}:" in scopes:
                return None
            challenge = f'Bearer realm="{self.realm}",service="fake"'
        else:
            if self._user(sent):
                return None
            challenge = 'Basic realm="fake"'
        return refusal(401, "UNAUTHORIZED", **{"WWW-Authenticate": challenge})

    def _user(self, authorization: str) -> str | None:
        scheme, _, value = authorization.partition(" ")
        if scheme != "Basic":
            return None
        user, _, password = base64.b64decode(value).decode().partition(":")
        return user if self.users.get(user) == password else None

    def _token(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            form = {key: values[0] for key, values in parse_qs(asked.body.decode()).items()}
            allowed = form.get("refresh_token") in self.refresh_tokens
            scopes = form["scope"]
        else:
            sent = asked.fields.get("authorization", "")
            allowed = not sent or self._user(sent) is not None
            scopes = " ".join(parse_qs(urlsplit(asked.target).query).get("scope", []))
        if not allowed:
            return refusal(401, "UNAUTHORIZED", "incorrect username or password")
        token = secrets.token_hex(8)
        self.valid[token] = scopes
        told: dict[str, Any] = {"token": token}
        if self.seconds is not None:
            told["expires_in"] = self.seconds
        return Answer(200, {}, json.dumps(told).encode())

    def _manifest(self, asked: Asked, repository: str, reference: str) -> Answer:
        there = self.manifests.setdefault(repository, {})
        if asked.method == "PUT":
            for each in _named(json.loads(asked.body)):
                if each not in self.blobs.get(repository, {}):
                    detail = self.detail(each)
                    return refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown", detail)
            digest = self.put(
                repository, reference, asked.body, asked.fields.get("content-type", "")
            )
            return Answer(201, {"Docker-Content-Digest": digest})
        if reference not in there:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, raw = there[reference]
        return Answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(raw)}, raw)

    def _blob(self, repository: str, digest: str) -> Answer:
        content = self.blobs.get(repository, {}).get(digest)
        return refusal(404, "BLOB_UNKNOWN") if content is None else Answer(200, {}, content)

    def _upload(self, asked: Asked, repository: str, name: str) -> Answer:
        there = self.blobs.setdefault(repository, {})
        if asked.method == "POST":
            mount, source = asked.query.get("mount"), asked.query.get("from", "")
            if mount and mount in self.blobs.get(source, {}):
                there[mount] = self.blobs[source][mount]
                return Answer(201, {"Location": f"/v2/{repository}/blobs/{mount}"})
            name = secrets.token_hex(4)
            self.uploads[name] = bytearray()
        elif name not in self.uploads:
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown")
        elif asked.method == "DELETE":
            del self.uploads[name]
            return Answer(204)
        else:
            self.uploads[name] += asked.body
        if asked.method == "PUT":
            content, wanted = bytes(self.uploads.pop(name)), asked.query.get("digest", "")
            if digest_of(content) != wanted:
                return refusal(400, "DIGEST_INVALID")
            there[wanted] = content
            return Answer(201, {"Docker-Content-Digest": wanted})
        path = f"/v2/{repository}/blobs/uploads/{name}"
        return Answer(202, {"Location": self.location.format(path=path, url=self.url)})


def described(content: bytes, kind: str) -> dict[str, Any]:
    """How one blob names another."""
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _named(manifest: Mapping[str, Any]) -> Sequence[str]:
    blobs = [manifest.get("config"), *manifest.get("layers", ())]
    return [each["digest"] for each in blobs if each and not each.get("urls")]


class _Server(ThreadingHTTPServer):
    registry: FakeRegistry


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def handle(self) -> None:
        self.server.registry.connections += 1
        connection = self.connection
        with self.server.registry._lock:
            self.server.registry._open.add(connection)
        try:
            is_tls = connection.recv(1, socket.MSG_PEEK) == b"\x16"
            if self.server.registry._tls:
                if not is_tls:  # as Go's server says it
                    text = b"Client sent an HTTP request to an HTTPS server.\n"
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n" + text)
                    return
                self.connection = self.server.registry._tls.wrap_socket(
                    connection, server_side=True
                )
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", 1 << 16)
            elif is_tls:  # likewise
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                return
            super().handle()
        except (OSError, ValueError):
            return
        finally:
            with self.server.registry._lock:
                self.server.registry._open.discard(connection)
            if self.connection is not connection:
                with suppress(OSError, ValueError):
                    self.wfile.close()
                self.connection.close()

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        fields = {key.lower(): value for key, value in self.headers.items()}
        asked = Asked(self.command, unquote(parts.path), query, fields, self.path)
        with self.server.registry._lock:
            self.server.registry.asked.append(asked)
        found = self.server.registry.scripted(asked, early=True)
        if found is None:
            asked.body = self._body()
            found = self.server.registry.scripted(
                asked, early=False
            ) or self.server.registry.answer(asked)
        time.sleep(found.after)
        self._say(found)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _serve  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            found = bytearray()
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(found)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say(self, answer: Answer) -> None:
        if answer.raw is not None:
            self.wfile.write(answer.raw)
            self.wfile.flush()
            self.close_connection = True
            if not answer.raw:  # a reset, not an end
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        self.send_response(answer.status)
        for name, value in answer.fields.items():
            self.send_header(name, value)
        if answer.early:
            self.close_connection = True
        if "Content-Length" not in answer.fields and answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()
        if answer.early:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.2)
            with suppress(OSError):
                while self.connection.recv(1 << 16):
                    pass

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""
