"""Google's identities for the bench: a metadata server, OAuth tokens, IAM, Artifact Registry's API.

An account's name says what it may: `writer` all, `reader` only read, `nobody` nothing; `expired`
gets tokens that have ended, `brief` all for `BRIEF` seconds at a time, and the keys of `revoked`
are not taken any more. All are in one project.

Run as: python -m tests.bench.google HOST PORT FOLDER
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.bench.bench import Bench, write
from tests.bench.kubernetes import network
from tests.bench.part import Part

PART = "gcp-metadata"
ROOT = Path(__file__).parents[2]
PROJECT, LOCATION = "lab-1", "europe-west3"
USER = "oauth2accesstoken"
"""Whom a registry of Google's takes access tokens from."""
SECONDS = 3600
BRIEF = 20
ACCOUNTS = ("writer", "reader", "nobody", "expired", "brief", "revoked")
_ALL, _READ = frozenset({"read", "write"}), frozenset({"read"})
_MAY: Mapping[str, frozenset[str]] = {
    "writer": _ALL,
    "expired": _ALL,
    "brief": _ALL,
    "reader": _READ,
}


def email(account: str) -> str:
    """The full name of an account."""
    return f"{account}@{PROJECT}.iam.gserviceaccount.com"


def lasting(account: str) -> int:
    """Seconds for which an account's tokens are said to be good."""
    return BRIEF if account == "brief" else SECONDS


@dataclass(frozen=True)
class Mint:
    """Makes access tokens and knows its own again, by a secret in a file."""

    folder: Path

    @property
    def _secret(self) -> str:
        return (self.folder / "secret").read_text()

    @property
    def key(self) -> str:
        """The private key of every account, PEM."""
        return (self.folder / "account.key").read_text()

    def prepare(self) -> None:
        """Makes secret and key, unless they are there."""
        if (self.folder / "account.key").exists():
            return
        write(self.folder / "secret", secrets.token_hex(32), 0o600)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write(self.folder / "account.key", pem.decode(), 0o600)

    def token(self, account: str) -> str:
        """An access token; that of `expired` has ended."""
        now = int(time.time())
        ends = now - 60 if account == "expired" else now + lasting(account)
        claims = {"sub": email(account), "iat": now - 120, "exp": ends, "jti": secrets.token_hex(4)}
        return "ya29." + jwt.encode(claims, self._secret, "HS256")

    def account(self, token: str) -> str | None:
        """Whose token it is; None where it is nobody's, or has ended."""
        try:
            told = jwt.decode(token.removeprefix("ya29."), self._secret, ["HS256"])
        except jwt.InvalidTokenError:
            return None
        return str(told["sub"]).partition("@")[0]

    def may(self, token: str) -> frozenset[str] | None:
        """What its owner may: read, write; None where the token is not good."""
        found = self.account(token)
        return None if found is None else _MAY.get(found, frozenset())

    def of_assertion(self, assertion: str) -> str | None:
        """The account that signed a request for a token."""
        public = serialization.load_pem_private_key(self.key.encode(), None).public_key()
        try:
            told = jwt.decode(
                assertion,
                public,  # type: ignore[arg-type]
                ["RS256"],
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError:
            return None
        return str(told["iss"]).partition("@")[0]

    def signed(self, content: bytes) -> bytes:
        """A signature by the accounts' key."""
        key = serialization.load_pem_private_key(self.key.encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key.sign(content, padding.PKCS1v15(), hashes.SHA256())


@dataclass(frozen=True)
class Google:
    """What stands in for Google's own servers, as a test sees it."""

    url: str
    """Where IAM, the tokens of keys, and Artifact Registry's API are."""
    mint: Mint

    def metadata(self, account: str = "writer") -> str:
        """What GCE_METADATA_HOST has to be for a machine of that account."""
        return f"{urlsplit(self.url).netloc}/as/{account}"

    def key(self, path: Path, account: str = "writer") -> Path:
        """Writes an account's key, as the console gives it."""
        content = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "bench",
            "private_key": self.mint.key,
            "client_email": email(account),
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(content))
        return path

    def token(self, account: str = "writer") -> str:
        """An access token."""
        return self.mint.token(account)


def google(bench: Bench) -> Google:
    """The servers of this bench."""
    return Google(f"http://{network.NODE}:{bench.port(PART)}", Mint(bench.folder(PART)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, at: tuple[str, int], mint: Mint) -> None:
        self.mint = mint
        self.repositories: dict[str, dict[str, Any]] = {}
        super().__init__(at, _Answer)


class _Answer(BaseHTTPRequestHandler):
    """Answers as Google's servers do, as far as clients of ours ask."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if found := re.match(r"(?:/as/(\w+))?(/computeMetadata/v1/|/?$)(.*)", parts.path):
            self._metadata(found[1] or "writer", found[3], parse_qs(parts.query))
        elif found := re.fullmatch(r"/v1/(projects/.*/repositories/[^/]+)", parts.path):
            self._repository(found[1])
        else:
            self._fault(404, "NOT_FOUND", "no such method")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path == "/token":
            self._token(parse_qs(body.decode()))
        elif found := re.fullmatch(
            r"/v1/projects/-/serviceAccounts/([\w-]+)@[^:]+:(\w+)", parts.path
        ):
            self._iam(found[1], found[2], json.loads(body))
        elif found := re.fullmatch(
            r"/v1/(projects/[^/]+/locations/[^/]+/repositories)", parts.path
        ):
            name = parse_qs(parts.query)["repositoryId"][0]
            self._make(f"{found[1]}/{name}", json.loads(body))
        else:
            self._fault(404, "NOT_FOUND", "no such method")

    def _metadata(self, account: str, path: str, query: Mapping[str, list[str]]) -> None:
        if path and self.headers.get("Metadata-Flavor") != "Google":
            self._text(403, "Missing Metadata-Flavor:Google header.")
            return
        own = f"instance/service-accounts/(?:default|{re.escape(email(account))})"
        if re.fullmatch(f"{own}/token", path):
            token = self.server.mint.token(account)
            self._hand_out(account, token)
        elif re.fullmatch(f"{own}/?", path) and "recursive" in query:
            scopes = ["https://www.googleapis.com/auth/cloud-platform"]
            told = {"aliases": ["default"], "email": email(account), "scopes": scopes}
            self._tell(200, told)
        elif re.fullmatch(f"{own}/email", path):
            self._text(200, email(account))
        elif path == "project/project-id":
            self._text(200, PROJECT)
        elif path == "instance/attributes/cluster-location":
            self._text(200, LOCATION)
        elif path == "universe/universe-domain":
            self._text(200, "googleapis.com")
        elif not path:
            self._text(200, "computeMetadata/\n")
        else:
            self._text(404, "Not Found")

    def _token(self, form: Mapping[str, list[str]]) -> None:
        account = self.server.mint.of_assertion(form.get("assertion", [""])[0])
        if account is None or account == "revoked":
            fault = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            self._tell(400, fault)
            return
        self._hand_out(account, self.server.mint.token(account))

    def _hand_out(self, account: str, token: str) -> None:
        answer = {"access_token": token, "expires_in": lasting(account), "token_type": "Bearer"}
        self._tell(200, answer)

    def _iam(self, account: str, method: str, asked: Mapping[str, Any]) -> None:
        if not self._allows("write"):
            return
        if method == "generateAccessToken":
            ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + SECONDS))
            token = self.server.mint.token(account)
            self._tell(200, {"accessToken": token, "expireTime": ends})
        elif method == "signBlob":
            signed = self.server.mint.signed(base64.b64decode(asked["payload"]))
            self._tell(200, {"keyId": "bench", "signedBlob": base64.b64encode(signed).decode()})
        else:
            self._fault(404, "NOT_FOUND", "no such method")

    def _repository(self, name: str) -> None:
        if not self._allows("read") or not self._in_project(name, "get"):
            return
        if name in self.server.repositories:
            self._tell(200, self.server.repositories[name])
        else:
            self._fault(404, "NOT_FOUND", "Requested entity was not found.")

    def _make(self, name: str, asked: Mapping[str, Any]) -> None:
        if not self._allows("write") or not self._in_project(name, "create"):
            return
        if name in self.server.repositories:
            self._fault(409, "ALREADY_EXISTS", "the repository already exists")
            return
        self.server.repositories[name] = {**asked, "name": name}
        operation = f"{name.rpartition('/repositories/')[0]}/operations/{secrets.token_hex(8)}"
        self._tell(200, {"name": operation, "done": False})

    def _in_project(self, name: str, verb: str) -> bool:
        if name.split("/")[1] == PROJECT:
            return True
        right = f"artifactregistry.repositories.{verb}"
        said = f"Permission '{right}' denied on resource '//{name}' (or it may not exist)."
        self._fault(403, "PERMISSION_DENIED", said)
        return False

    def _allows(self, right: str) -> bool:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        may = self.server.mint.may(token) if kind == "Bearer" else None
        if may is None:
            self._fault(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        elif right not in may:
            self._fault(403, "PERMISSION_DENIED", "Permission denied.")
        return may is not None and right in may

    def _fault(self, code: int, status: str, said: str) -> None:
        self._tell(code, {"error": {"code": code, "message": said, "status": status}})

    def _tell(self, code: int, answer: Mapping[str, Any]) -> None:
        self._send(code, "application/json", json.dumps(answer).encode())

    def _text(self, code: int, text: str) -> None:
        self._send(code, "application/text", text.encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: tokens are nobody's business."""


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    Mint(folder).prepare()
    words: list[str | Path] = [sys.executable, "-m", "tests.bench.google", network.NODE]
    words += [str(bench.port(name)), folder]
    command = network.inside(bench, words)
    bench.processes.start(name, command, part=name, environ={"PYTHONPATH": str(ROOT)})


def _ready(bench: Bench, name: str) -> str | None:
    url = google(bench).url
    try:
        with urllib.request.urlopen(f"{url}/", timeout=5):
            return None
    except OSError as exc:
        return f"{url}: {exc}"


def _environment(bench: Bench) -> Mapping[str, str]:
    return {"FAIRING_BENCH_GCE_METADATA_HOST": google(bench).metadata()}


METADATA = Part(
    name=PART,
    about="what stands in for Google's metadata server, OAuth, IAM and Artifact Registry's API",
    start=_start,
    ready=_ready,
    environment=_environment,
    needs=("network",),
    root=True,
)


def main(host: str, port: int, folder: Path) -> None:
    """Serves until it is ended."""
    with _Server((host, port), Mint(folder)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
