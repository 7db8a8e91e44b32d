"""Cloud Storage: fake-gcs-server, which checks no tokens, and a gate before it that does.

Clients of this machine go through the gate; pods without tokens may go to the server behind it.

Run the gate as: python -m tests.bench.gcs HOST PORT BEHIND-PORT FOLDER-OF-TOKENS
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench import google, tools
from tests.bench.bench import Bench
from tests.bench.front import Front
from tests.bench.google import Google, Mint
from tests.bench.kubernetes import network
from tests.bench.part import Part

PART = "gcs"
_READS = ("GET", "HEAD")


@dataclass(frozen=True)
class Buckets:
    """The server, as a test sees it."""

    url: str
    """Its address for clients: tokens are checked."""
    pod_url: str
    """Its address for pods: nothing is checked."""
    google: Google = field(repr=False)

    def ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        """Status and body of one request, as nobody checks it."""
        request = urllib.request.Request(
            f"{self.pod_url}{path}", body, {"Content-Type": kind}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()

    def make(self, bucket: str) -> None:
        """Makes a bucket."""
        status, said = self.ask(
            "POST", f"/storage/v1/b?project={google.PROJECT}", json.dumps({"name": bucket}).encode()
        )
        assert status == 200, said

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Writes an object as somebody else would: without a digest in its metadata."""
        from urllib.parse import quote

        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        status, said = self.ask("POST", path, content, "application/octet-stream")
        assert status == 200, said

    def keys(self, bucket: str) -> list[str]:
        """The names of all that is in a bucket."""
        told = json.loads(self.ask("GET", f"/storage/v1/b/{bucket}/o")[1])
        return [each["name"] for each in told.get("items", ())]

    def drop(self, bucket: str) -> None:
        """Takes a bucket away, with all that is in it."""
        from urllib.parse import quote

        for key in self.keys(bucket):
            self.ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}")
        self.ask("DELETE", f"/storage/v1/b/{bucket}")


def buckets(bench: Bench) -> Buckets:
    """The server of this bench."""
    return Buckets(
        f"http://{network.NODE}:{bench.port(PART)}",
        f"http://{network.NODE}:{bench.port(f'{PART}-behind')}",
        google.google(bench),
    )


class Gate(Front):
    """Lets requests with a good token through, and those whose URL is signed."""

    mint: Mint
    server_at: tuple[str, int]
    near: str
    far: str

    def do_GET(self) -> None:  # noqa: N802  http.server's name
        """Answers any request."""
        right = "read" if self.command in _READS else "write"
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        query = parse_qs(urlsplit(self.path).query)
        if "X-Goog-Signature" in query:
            self._pass_on()
            return
        may = self.mint.may(token) if kind == "Bearer" else None
        if may is None:
            said = "Invalid Credentials" if token else "Anonymous caller does not have access."
            self._refuse(401, said, "authError" if token else "required")
        elif right not in may:
            said = f"{google.email(str(self.mint.account(token)))} does not have "
            verb = "get" if right == "read" else "create"
            said += f"storage.objects.{verb} access to the Google Cloud Storage object. "
            self._refuse(403, said + "(or it may not exist).", "forbidden")
        elif query.get("project", [google.PROJECT]) != [google.PROJECT]:
            said = "the account does not have storage.buckets.create access to the Google Cloud"
            self._refuse(403, f"{said} project (or it may not exist).", "forbidden")
        else:
            self._pass_on()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815  http.server's names

    def send_header(self, keyword: str, value: str) -> None:
        """Sends clients of the gate to the gate again."""
        super().send_header(keyword, value.replace(self.far, self.near))

    def _refuse(self, code: int, said: str, reason: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = {"message": said, "domain": "global", "reason": reason}
        self._tell(code, {"error": {"code": code, "message": said, "errors": [fault]}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        print(f"{client_address}: {sys.exc_info()[1]!r}", file=sys.stderr, flush=True)


def _start(bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    far = urlsplit(buckets(bench).pod_url).netloc
    server: list[str | Path] = [bench.bin / "fake-gcs-server", "-scheme", "http"]
    server += ["-host", network.NODE, "-port", far.rpartition(":")[2]]
    server += ["-backend", "filesystem", "-filesystem-root", folder / "data"]
    server += ["-external-url", f"http://{far}", "-public-host", far, "-log-level", "warn"]
    (folder / "data").mkdir(exist_ok=True)
    bench.processes.start(f"{name}-behind", network.inside(bench, server), part=name)
    gate: list[str | Path] = [sys.executable, "-m", "tests.bench.gcs", network.NODE]
    gate += [str(bench.port(name)), far.rpartition(":")[2], bench.folder(google.PART)]
    environ = {"PYTHONPATH": str(google.ROOT)}
    bench.processes.start(name, network.inside(bench, gate), part=name, environ=environ)


def _ready(bench: Bench, name: str) -> str | None:
    found = buckets(bench)
    try:
        status = found.ask("GET", "/_internal/healthcheck")[0]
        urllib.request.urlopen(f"{found.url}/storage/v1/b", timeout=5).close()
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return None if (status, refusal.code) == (200, 401) else f"it answers {status}"
    except OSError as exc:
        return f"{found.url}: {exc}"
    return f"{found.url} asks for no token"


def _environment(bench: Bench) -> Mapping[str, str]:
    found = buckets(bench)
    return {"FAIRING_BENCH_GCS_URL": found.url, "FAIRING_BENCH_GCS_POD_URL": found.pod_url}


GCS = Part(
    name=PART,
    about="fake-gcs-server, a Cloud Storage, with a gate before it that checks tokens",
    start=_start,
    ready=_ready,
    environment=_environment,
    needs=("network", google.PART),
    binaries=(tools.FAKE_GCS,),
    root=True,
)


def main(host: str, port: int, behind: int, folder: Path) -> None:
    """Serves until it is ended."""
    Gate.behind, Gate.registry, Gate.mint = host, behind, Mint(folder)
    Gate.far, Gate.near = f"{host}:{behind}", f"{host}:{port}"
    with _Server((host, port), Gate) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
