"""The passwords of the bench's ECR: signed, and good for a time."""

from __future__ import annotations

import base64
import secrets
import time
from pathlib import Path

import jwt

from tests.bench.bench import write

USER = "AWS"
SECONDS = 12 * 3600


def key(folder: Path) -> str:
    """What they are signed with; made once."""
    file = folder / "token.key"
    if not file.exists():
        write(file, secrets.token_hex(32), 0o600)
    return file.read_text()


def password(folder: Path, *, seconds: float = SECONDS) -> str:
    """One that ends so many seconds from now."""
    return jwt.encode({"exp": int(time.time() + seconds)}, key(folder), "HS256")


def fault(folder: Path, authorization: str) -> tuple[int, str] | None:
    """Why a registry's request is refused: status and words, as ECR has them; None is welcome."""
    kind, _, coded = authorization.partition(" ")
    if kind.lower() != "basic":
        return 401, "Not Authorized"
    user, _, given = base64.b64decode(coded).decode().partition(":")
    try:
        jwt.decode(given, key(folder), ["HS256"])
    except jwt.ExpiredSignatureError:
        return 403, "Your authorization token has expired. Reauthenticate and try again."
    except jwt.InvalidTokenError:
        user = ""
    return None if user == USER else (401, "Not Authorized")
