"""Users of a MinIO: three requests of its admin API, which S3's clients don't know.

Documented by its client: https://pkg.go.dev/github.com/minio/madmin-go/v3
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.bench.bench import BenchError

if TYPE_CHECKING:
    from tests.bench.minio import Store


def policy(actions: Sequence[str], on: Sequence[str]) -> str:
    """A policy that allows those actions on those buckets and objects, as JSON."""
    allowed = {
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": [f"arn:aws:s3:::{each}" for each in on],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def add(root: Store, name: str, secret: str, allowed: str | None) -> None:
    """Makes the user `name`, with a policy of the same name."""
    told = json.dumps({"secretKey": secret, "status": "enabled"})
    _put(root, "add-user", {"accessKey": name}, _sealed(root.secret_key, told.encode()))
    if allowed:
        _put(root, "add-canned-policy", {"name": name}, allowed.encode())
        bound = {"policyName": name, "userOrGroup": name, "isGroup": "false"}
        _put(root, "set-user-or-group-policy", bound, b"")


def _put(root: Store, what: str, query: dict[str, str], body: bytes) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = f"{root.url}/minio/admin/v3/{what}?{urllib.parse.urlencode(query)}"
    signed = AWSRequest("PUT", url, data=body)
    S3SigV4Auth(Credentials(root.access_key, root.secret_key), "s3", root.region).add_auth(signed)
    headers = dict(signed.headers.items())
    request = urllib.request.Request(url, body, headers, method="PUT")
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except urllib.error.HTTPError as refusal:
        with refusal:
            raise BenchError(f"MinIO refused {what}: {refusal.read().decode()}") from refusal


def _sealed(password: str, content: bytes) -> bytes:
    """How the API takes secrets: argon2id, then AES-GCM in the frames of sio; here one frame."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    salt, nonce = os.urandom(32), os.urandom(8)
    derive = Argon2id(salt=salt, length=32, iterations=1, lanes=4, memory_cost=64 * 1024)
    cipher = AESGCM(derive.derive(password.encode()))

    def numbered(frame: int) -> bytes:
        return nonce + frame.to_bytes(4, "little")

    bound = cipher.encrypt(numbered(0), b"", b"")
    last = b"\x80" + bound
    return salt + b"\x00" + nonce + cipher.encrypt(numbered(1), content, last)
