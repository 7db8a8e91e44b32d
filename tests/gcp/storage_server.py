"""Cloud Storage's JSON API in this process, beside what stands in for Google's other servers.

It is no part of the bench: it needs neither root nor network, and can be told to fail. Source:
Cloud Storage JSON API v1, objects, uploads and error codes.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import google_crc32c
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.bench import google
from tests.bench.google import PROJECT, Google, Mint

_NO_BUCKET = "The specified bucket does not exist."
_LACKING = "does not have storage.objects access to the Google Cloud Storage object."
_RIGHTS = {"GET": "read", "HEAD": "read", "POST": "write", "PUT": "write", "DELETE": "write"}


@dataclass
class Fault:
    """What the next requests are answered whose path has `on` in it."""

    status: int
    reason: str = ""
    said: str = ""
    on: str = "/storage/v1/"
    method: str = ""
    times: int = 1


@dataclass
class Object:
    """One generation of an object."""

    content: bytes
    generation: int
    metadata: dict[str, str]
    changed: str = field(
        default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    )


class QuickMint(Mint):
    """One that loads its key once: each time takes a tenth of a second."""

    def of_assertion(self, assertion: str) -> str | None:
        """The account that signed a request for a token."""
        try:
            told = jwt.decode(
                assertion, _public(self.key), ["RS256"], options={"verify_aud": False}
            )
        except jwt.InvalidTokenError:
            return None
        return str(told["iss"]).partition("@")[0]


@functools.cache
def _public(key: str) -> rsa.RSAPublicKey:
    found = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found.public_key()


class StorageServer:
    """Buckets of objects, and the faults that the next requests meet."""

    def __init__(self, folder: Path, mint: Mint) -> None:
        self._folder = folder
        self.mint = mint
        self.buckets: dict[str, dict[str, Object]] = {}
        self.uploads: dict[str, tuple[str, str, dict[str, str], bytearray]] = {}
        self.faults: list[Fault] = []
        self.cuts: list[int] = []
        """Bytes after which the next downloads break off."""
        self.taken: set[str] = set()
        """Names of buckets that somebody else makes just before."""
        self.foreign: set[str] = set()
        self.is_open = False
        """Whether it is an emulator, which asks nobody for a login."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.page = 2
        self.then: Callable[[], object] | None = None
        """Happens once, before the next bytes are read."""
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), mint, self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.google = Google(self.url, mint)
        self.repositories = self._server.repositories
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def key(self, account: str = "writer") -> Path:
        """The key of an account, who gets its tokens here."""
        return self.google.key(self._folder / f"{account}.json", account)

    def write(self, bucket: str, key: str, content: bytes, sha256: str = "") -> Object:
        """Writes an object, as another would."""
        metadata = {"sha256": sha256} if sha256 else {}
        with self.lock:
            made = Object(content, time.time_ns(), metadata)
            self.buckets[bucket][key] = made
            return made

    def paths(self, method: str) -> list[str]:
        """What was asked for by a method."""
        return [path for how, path, _ in self.asked if how == method]

    def close(self) -> None:
        """Answers nobody any more."""
        self._server.shutdown()
        self._server.server_close()


class _Server(google._Server):
    def __init__(self, at: tuple[str, int], mint: Mint, storage: StorageServer) -> None:
        super().__init__(at, mint)
        self.storage = storage
        self.RequestHandlerClass = _Answer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that hang up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Answer(google._Answer):
    server: _Server
    wbufsize = 1 << 16  # else each answer waits for the kernel's delayed acknowledgement
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: N802 - as http.server calls it
        self._storage(super().do_GET)

    def do_POST(self) -> None:  # noqa: N802 - as http.server calls it
        self._storage(super().do_POST)

    def do_PUT(self) -> None:  # noqa: N802 - as http.server calls it
        self._storage(lambda: self._refuse(404, "notFound", "Not Found"))

    def do_DELETE(self) -> None:  # noqa: N802 - as http.server calls it
        self._storage(lambda: self._refuse(404, "notFound", "Not Found"))

    def _storage(self, otherwise: Callable[[], None]) -> None:
        parts = urlsplit(self.path)
        self.of = self.server.storage
        self.of.asked.append((self.command, self.path, dict(self.headers)))
        if fault := self._fault_now(parts.path):
            self._body()
            self._refuse(fault.status, fault.reason, fault.said or "told to fail")
            return
        found = re.fullmatch(
            r"(?:/upload|/download)?/storage/v1/b(?:/([^/]+)(?:/o(?:/([^/]+))?)?)?", parts.path
        )
        if found is None:
            otherwise()
            return
        body = self._body()
        if not self._may(_RIGHTS[self.command]):
            return
        query = dict(parse_qsl(parts.query))
        bucket, key = unquote(found[1] or ""), unquote(found[2] or "")
        with self.of.lock:
            self._answer(parts.path, bucket, key, query, body)

    def _answer(
        self, path: str, bucket: str, key: str, query: Mapping[str, str], body: bytes
    ) -> None:
        if not bucket:
            self._make_bucket(query, json.loads(body))
        elif bucket in self.of.foreign:
            self._refuse(403, "forbidden", _LACKING)
        elif bucket not in self.of.buckets:
            self._refuse(404, "notFound", _NO_BUCKET)
        elif path.startswith("/upload"):
            self._upload(bucket, query, body)
        elif not key:
            self._list(bucket, query)
        elif (found := self.of.buckets[bucket].get(key)) is None:
            self._refuse(404, "notFound", f"No such object: {bucket}/{key}")
        elif not self._is_met(query, found):
            self._refuse(412, "conditionNotMet", "At least one of the pre-conditions did not hold.")
        elif self.command == "DELETE":
            del self.of.buckets[bucket][key]
            self._send(204, "application/json", b"")
        elif query.get("alt") == "media":
            self._download(found)
        else:
            self._tell(200, _told(bucket, key, found))

    def _make_bucket(self, query: Mapping[str, str], asked: Mapping[str, Any]) -> None:
        name = asked["name"]
        if query["project"] != PROJECT:
            self._refuse(403, "forbidden", "does not have storage.buckets.create access")
        elif name in self.of.taken or name in self.of.buckets:
            self.of.foreign |= self.of.taken & {name}
            self._refuse(409, "conflict", "The requested bucket name is not available.")
        else:
            self.of.buckets[name] = {}
            self._tell(200, {"kind": "storage#bucket", **asked})

    def _upload(self, bucket: str, query: Mapping[str, str], body: bytes) -> None:
        if self.command == "PUT":
            self._piece(query["upload_id"], body)
        elif query["uploadType"] == "multipart":
            _, told, content = body.split(b"\r\n\r\n", 2)
            asked = json.loads(told.partition(b"\r\n--")[0])
            self._written(bucket, asked, query, content.rpartition(b"\r\n--")[0])
        else:
            asked = json.loads(body)
            name = secrets.token_hex(16)
            self.of.uploads[name] = (bucket, json.dumps(asked), dict(query), bytearray())
            where = f"{self.of.url}/upload/storage/v1/b/{bucket}/o"
            self._send(200, "application/json", b"", Location=f"{where}?upload_id={name}")

    def _piece(self, name: str, body: bytes) -> None:
        bucket, asked, query, had = self.of.uploads[name]
        said = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", self.headers["Content-Range"])
        assert said is not None
        assert said[1] is None or int(said[1]) == len(had), "a piece is missing"
        had += body
        if said[2] == str(len(had)):
            self._written(bucket, json.loads(asked), query, bytes(had))
        else:
            self._send(308, "application/json", b"", Range=f"bytes=0-{len(had) - 1}")

    def _written(
        self, bucket: str, asked: Mapping[str, Any], query: Mapping[str, str], content: bytes
    ) -> None:
        key = asked.get("name") or query["name"]
        if asked.get("crc32c") not in (None, _crc32c(content)):
            self._refuse(400, "invalid", "Provided CRC32C does not match calculated CRC32C.")
        elif not self._is_met(query, self.of.buckets[bucket].get(key)):
            self._refuse(412, "conditionNotMet", "At least one of the pre-conditions did not hold.")
        else:
            sha256 = (asked.get("metadata") or {}).get("sha256", "")
            self._tell(200, _told(bucket, key, self.of.write(bucket, key, content, sha256)))

    def _list(self, bucket: str, query: Mapping[str, str]) -> None:
        after, prefix = query.get("pageToken", ""), query.get("prefix", "")
        objects = self.of.buckets[bucket]
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        page = keys[: self.of.page]
        answer: dict[str, Any] = {"items": [_told(bucket, key, objects[key]) for key in page]}
        if len(keys) > len(page):
            answer["nextPageToken"] = page[-1]
        self._tell(200, answer)

    def _download(self, found: Object) -> None:
        said = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "bytes=0-"))
        assert said is not None
        start, size = int(said[1]), len(found.content)
        if start >= size:
            self._refuse(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
            return
        piece = found.content[start : int(said[2]) + 1 if said[2] else size]
        ends = f"bytes {start}-{start + len(piece) - 1}/{size}"
        cut = self.of.cuts.pop(0) if self.of.cuts else None
        self._send(
            206,
            "application/octet-stream",
            piece,
            cut=cut,
            **{"Content-Range": ends, "X-Goog-Generation": str(found.generation)},
        )

    def _is_met(self, query: Mapping[str, str], found: Object | None) -> bool:
        wanted = query.get("ifGenerationMatch")
        return wanted is None or int(wanted) == (0 if found is None else found.generation)

    def _fault_now(self, path: str) -> Fault | None:
        for fault in self.of.faults:
            if fault.times and fault.on in path and fault.method in ("", self.command):
                fault.times -= 1
                return fault
        return None

    def _may(self, right: str) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        may = frozenset({"read", "write"}) if self.of.is_open else self.server.mint.may(token)
        if may is None:
            self._refuse(401, "authError", "Invalid Credentials")
        elif right not in may:
            self._refuse(403, "forbidden", f"{self.server.mint.account(token)} {_LACKING}")
        return may is not None and right in may

    def _body(self) -> bytes:
        if then := self.of.then if self.command in ("POST", "PUT") else None:
            self.of.then = None
            then()
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _refuse(self, status: int, reason: str, said: str) -> None:
        why = [{"domain": "global", "reason": reason, "message": said}]
        self._tell(status, {"error": {"code": status, "message": said, "errors": why}})

    def _send(
        self, code: int, kind: str, body: bytes, *, cut: int | None = None, **headers: str
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut is not None


def _crc32c(content: bytes) -> str:
    return base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()


def _told(bucket: str, key: str, found: Object) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "bucket": bucket,
        "name": key,
        "size": str(len(found.content)),
        "generation": str(found.generation),
        "metadata": found.metadata,
        "crc32c": _crc32c(found.content),
        "timeCreated": found.changed,
        "updated": found.changed,
    }
