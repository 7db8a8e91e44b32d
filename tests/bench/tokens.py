"""Bearer tokens of the token-auth registry: who may do what, and the signed proof of it.

The format is distribution's: https://distribution.github.io/distribution/spec/auth/jwt/
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.bench.bench import write

ISSUER = "fairing-bench"
SERVICE = "registry"
SECONDS = 300
"""How long a token is good."""

USERS = {"pusher": "pusher-7Qm2", "reader": "reader-9Xt4"}
"""Passwords of the bench's registries: `pusher` may do all, `reader` may only pull.

With basic auth `reader` may push too: an htpasswd file knows users, and no rights.
"""


@dataclass(frozen=True)
class Signer:
    """A key, with the file of public keys that the registry reads."""

    key: Path
    jwks: Path

    @classmethod
    def make(cls, folder: Path) -> Signer:
        """A signer with a new key, unless the folder has one."""
        signer = cls(folder / "token.key", folder / "jwks.json")
        if signer.jwks.exists():
            return signer
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write(signer.key, secret.decode(), 0o600)
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        keys = [{**public, "kid": "bench", "use": "sig", "alg": "RS256"}]
        write(signer.jwks, json.dumps({"keys": keys}))
        return signer

    def token(
        self, user: str, access: list[dict[str, Any]], *, seconds: int = SECONDS, now: int = 0
    ) -> str:
        """A token for `access` that ends `seconds` after `now`, the present by default."""
        now = now or int(time.time())
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "exp": now + seconds,
            "nbf": now - 10,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        return jwt.encode(claims, self.key.read_bytes(), "RS256", headers={"kid": "bench"})


def access(user: str, scopes: list[str]) -> list[dict[str, Any]]:
    """What of the wanted scopes `user` is granted; "" is an anonymous user, who may pull base/*.

    A scope is ``repository:NAME:ACTION,ACTION``.
    """
    granted = []
    for scope in scopes:
        kind, _, rest = scope.partition(":")
        name, _, wanted = rest.rpartition(":")
        actions = [each for each in wanted.split(",") if _may(user, each, name)]
        if actions:
            granted.append({"type": kind, "name": name, "actions": actions})
    return granted


def _may(user: str, action: str, repository: str) -> bool:
    if user == "pusher":
        return True
    return action == "pull" and (user == "reader" or repository.startswith("base/"))
