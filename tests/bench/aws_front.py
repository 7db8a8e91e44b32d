"""The fronts of the bench's AWS, in one process.

- The API: moto's, but for the tokens of ECR, which moto makes up, and the roles of pods, which are
  given to who shows a token of the cluster.
- ECR's registry: a registry that wants such a token, and knows no repository that nobody made.
- S3: MinIO, which knows of no accounts, so that the owner of buckets is looked at here.

Run as: python -m tests.bench.aws_front FOLDER HOST API REGISTRY S3 MOTO BEHIND MINIO
"""

from __future__ import annotations

import base64
import datetime
import http.client
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.bench import aws_roles, aws_tokens, front
from tests.bench.bench import Bench, write

ACCOUNT = "123456789012"
REGION = "us-east-1"
UNSIGNED = 3
"""The actions that `prepare` takes before moto checks who asks."""

_CODE = re.compile(rb"<Code>(\w+)</Code>\s*<Message>(.*?)</Message>", re.DOTALL)
_KINDS = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


class Closing(BaseHTTPRequestHandler):
    """Refuses, and ends the connection: what comes yet would be read as the next request."""

    def refuse(self, status: int, body: bytes, kind: str, **fields: str) -> None:
        """Answers with those words."""
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""


class Roles(Closing):
    """Gives roles to pods."""

    folder: Path

    def gave_role(self, body: bytes) -> bool:
        """Whether that was asked for."""
        form = parse_qs(body.decode("utf-8", "replace"))
        if form.get("Action") != ["AssumeRoleWithWebIdentity"]:
            return False
        role, token = form["RoleArn"][0], form["WebIdentityToken"][0]
        status, text = aws_roles.assumed(Bench.here(), self.folder, role, token)
        self.refuse(status, text.encode(), "text/xml")
        return True


class Api(Roles):
    """moto's API, with two answers of its own."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    moto: int
    registry: str

    def do_POST(self) -> None:
        """Answers a request, of any service."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.gave_role(body):
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.moto, timeout=60)
        try:
            connection.request("POST", self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        status = answer.status
        if target := self.headers.get("X-Amz-Target", ""):
            if status == 200 and target.endswith("GetAuthorizationToken"):
                content = self._token()
            if found := _CODE.search(content) if status >= 400 else None:
                status, content = 400, _in_json(*found.groups())
        self.send_response_only(status)
        for name, value in answer.getheaders():
            if name.lower() not in {*front.HOP_BY_HOP, "content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        """Says that it is there."""
        self.refuse(200, b"ready", "text/plain")

    def _token(self) -> bytes:
        both = f"{aws_tokens.USER}:{aws_tokens.password(self.folder)}"
        told = {
            "authorizationToken": base64.b64encode(both.encode()).decode(),
            "expiresAt": time.time() + aws_tokens.SECONDS,
            "proxyEndpoint": f"https://{self.registry}",
        }
        return json.dumps({"authorizationData": [told]}).encode()


class Ecr(Closing, front.Front):
    """ECR's registry."""

    folder: Path
    made: set[str]
    moto: int

    def do_GET(self) -> None:
        """Passes a request on, if it may."""
        if fault := aws_tokens.fault(self.folder, self.headers.get("Authorization", "")):
            status, words = fault
            code = "DENIED" if status == 403 else "UNAUTHORIZED"
            self._error(status, code, words, Www_Authenticate='Basic realm="ecr"')
            return
        name = self.path.partition("?")[0].removeprefix("/v2/")
        for end in ("/blobs/", "/manifests/", "/tags/", "/referrers/"):
            name = name.partition(end)[0]
        if name and not self._is_there(name):
            words = (
                f"The repository with name '{name}' does not exist in the registry with id "
                f"'{ACCOUNT}'"
            )
            self._error(404, "NAME_UNKNOWN", words)
            return
        self._pass_on()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815  http.server's names

    def _error(self, status: int, code: str, words: str, **fields: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": words}]}).encode()
        self.refuse(status, body, "application/json", **fields)

    def _is_there(self, name: str) -> bool:
        ecr = client("ecr", self.moto, self.folder)
        try:
            ecr.describe_repositories(repositoryNames=[name])
        except ecr.exceptions.RepositoryNotFoundException:
            return False
        return True


class S3(Roles, front.Front):
    """S3, whose buckets are all this account's."""

    def do_POST(self) -> None:
        """Gives roles, too: with S3_ENDPOINT, kaniko 1.24 asks for all of AWS there."""
        if self.headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded"):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.gave_role(body):
                self.refuse(400, b"", "text/plain")
            return
        self.do_GET()

    def do_GET(self) -> None:
        """Passes a request on, unless another owner is expected."""
        if self.headers.get("x-amz-expected-bucket-owner", ACCOUNT) != ACCOUNT:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>'
                "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            )
            self.refuse(403, body.encode(), "application/xml")
            return
        self._pass_on()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  http.server's names


def _in_json(code: bytes, message: bytes) -> bytes:
    """A refusal as services that speak JSON say it: moto checks who asks for all in one way."""
    kind = _KINDS.get(code.decode(), code.decode())
    return json.dumps({"__type": kind, "message": message.decode()}).encode()


def client(service: str, moto: int, folder: Path) -> Any:
    """boto3's client of moto's `service`, as the administrator; with made up keys at first."""
    import boto3

    keys = {"aws_access_key_id": "AKIANOBODY", "aws_secret_access_key": "nobody"}
    file = folder / "admin.json"
    if file.exists():
        keys = json.loads(file.read_text())
    url = f"http://127.0.0.1:{moto}"
    return boto3.Session().client(service, endpoint_url=url, region_name=REGION, **keys)


def prepare(moto: int, folder: Path) -> None:
    """Makes the administrator, and the repositories of base images."""
    iam = client("iam", moto, folder)
    if not (folder / "admin.json").exists():
        iam.create_user(UserName="admin")
        allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=text)
        made = iam.create_access_key(UserName="admin")["AccessKey"]
        keys = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
        }
        write(folder / "admin.json", json.dumps(keys), 0o600)
    ecr = client("ecr", moto, folder)
    for name in ("base/python", "base/user", "base/ml"):
        try:
            ecr.create_repository(repositoryName=name)
        except ecr.exceptions.RepositoryAlreadyExistsException:
            continue


def main(folder: Path, host: str, *ports: int) -> None:
    """Serves until it is ended."""
    api, registry, s3, moto, behind, minio = ports
    prepare(moto, folder)
    Api.moto, Api.folder, Api.registry = moto, folder, f"{host}:{registry}"
    Ecr.folder, Ecr.registry, Ecr.moto = folder, behind, moto
    S3.behind, S3.registry, S3.folder = host, minio, folder
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    server = front.Server((host, registry), Ecr)
    server.tls = tls
    others = [ThreadingHTTPServer((host, s3), S3), ThreadingHTTPServer((host, api), Api)]
    for each in (server, *others):
        each.daemon_threads = True
    for each in (server, others[0]):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    print(datetime.datetime.now(datetime.UTC).isoformat(), "ready", flush=True)
    others[1].serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
