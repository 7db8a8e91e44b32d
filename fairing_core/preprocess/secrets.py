"""Files that look like secrets, which shall not end in an image unless somebody says so.

Their name tells, or the first few KB of those whose name does not tell enough. It is a net for
accidents, no proof: a password in a script passes it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fairing_core import errors
from fairing_core.preprocess import ignores
from fairing_core.types import ContextFile

_HEAD = 4096  # bytes of a file that are looked at
_SHOWN = 5  # files that the error names

_KEY = "a private key"
_LOGIN = "holds logins"
_BY_NAME = tuple(
    (re.compile(pattern, re.IGNORECASE), why)
    for pattern, why in (
        (r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?", _KEY),
        (r".*\.(?:p12|pfx|jks|keystore|keytab|ppk|kdbx)", "a store of keys"),
        (r"\.env(?!\.(?:example|sample|template|dist)$)(?:\..+)?", "holds a program's secrets"),
        (r"secrets\.(?:ya?ml|toml|json)", "holds a program's secrets"),
        (r"[._]netrc|\.pypirc|\.git-credentials|\.pgpass|\.my\.cnf|\.htpasswd", _LOGIN),
        (r"\.vault-token|\.boto|\.s3cfg|\.databrickscfg|kaggle\.json", _LOGIN),
        (r"credentials(?:\.json|\.csv|\.tfrc\.json)?", "holds a cloud's keys"),
        (r"client_secret.*\.json|application_default_credentials\.json", "holds a cloud's keys"),
        (r"kubeconfig|.*\.kubeconfig", "is a login to a cluster"),
    )
)
_BY_PLACE = {
    (".kube", "config"): "is a login to a cluster",
    (".docker", "config.json"): "holds logins to registries",
    ("gcloud", "credentials.db"): "holds a cloud's keys",
}
# The beginning of what is in a file of such a name.
_BY_CONTENT = tuple(
    (re.compile(name, re.IGNORECASE), re.compile(content), why)
    for name, content, why in (
        (r"[^.]+|.*\.(?:pem|key|crt|cer|txt)", rb"-----BEGIN [A-Z ]*PRIVATE KEY", _KEY),
        (r".*\.json", rb'"private_key"\s*:\s*"-----BEGIN', "a service account's key"),
        (r"\.npmrc|\.yarnrc(?:\.yml)?", rb"_authToken|_password|_auth\b|npmAuthToken", _LOGIN),
        (r"pip\.(?:conf|ini)|\.condarc", rb"://[^/\s:@]+:[^/\s@]+@", _LOGIN),
    )
)


def stop(files: Iterable[ContextFile], *, root: str | None, allowed: Sequence[str]) -> None:
    """Lets nothing pass that looks like a secret, but what `allowed` says.

    Args:
        files: what is to travel.
        root: the folder that `allowed` starts at.
        allowed: files and patterns, as in an ignore file.

    Raises:
        SecretFile: a file looks like one; names each, and what to do.
        InvalidArgument: a pattern means nothing.
    """
    rules = ignores.of_patterns(allowed, "allow_secrets")
    found = []
    for file in files:
        path = file.content
        if not isinstance(path, Path) or (why := _reason(path, file.size)) is None:
            continue
        below = _below(path, root)
        if rules.leaving_out(below) is None:
            found.append((below, why))
    if not found:
        return
    shown = ", ".join(f"{below} ({why})" for below, why in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise errors.SecretFile(
        f"{shown}{more} would be in the image, where whoever pulls it can read it; leave it out (a "
        "line in .fairingignore, or not among the inputs) and give the run a Kubernetes Secret, or "
        f"say that it may travel: allow_secrets=[{found[0][0]!r}]",
        paths=tuple(below for below, _ in found),
    )


def _reason(path: Path, size: int) -> str | None:
    """Why it looks like a secret."""
    name = path.name
    for pattern, why in _BY_NAME:
        if pattern.fullmatch(name):
            return why
    if (path.parent.name, name) in _BY_PLACE:
        return _BY_PLACE[path.parent.name, name]
    if not size:
        return None
    head: bytes | None = None
    for pattern, content, why in _BY_CONTENT:
        if pattern.fullmatch(name):
            head = _head(path) if head is None else head
            if content.search(head):
                return why
    return None


def _head(path: Path) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEAD)
    except OSError:
        return b""  # whoever packs it says so


def _below(path: Path, root: str | None) -> str:
    from fairing_core.preprocess.inputs import as_posix, relative_to

    text = os.fspath(path)
    below = None if root is None else relative_to(os.path.abspath(text), root)
    return as_posix(text if below is None else below)
