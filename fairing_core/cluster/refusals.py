"""What an API server's refusal means, and what to do next: pure functions."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from fairing_core import errors


def refusal(method: str, path: str, answer: tuple[int, bytes], server: str) -> errors.ClusterError:
    """What the ``Status`` says that a request was answered with.

    Args:
        method: the request's, ``GET``.
        path: the request's.
        answer: the HTTP status and the body.
        server: the API server's address.

    Source: Kubernetes API conventions, Response Status Kind.
    """
    code, body = answer
    text = body.decode("utf-8", "replace")
    try:
        status = json.loads(text)
        message, reason = str(status.get("message") or text), str(status.get("reason") or "")
    except (ValueError, AttributeError):
        message, reason = text.strip()[:500] or f"HTTP {code}", ""
    about: dict[str, Any] = {"status": code, "reason": reason}
    where = urlsplit(server).netloc
    if code == 401:
        return errors.ClusterDenied(
            f"{where} does not know you: {message}; the kubeconfig's credentials are missing, "
            "wrong or have expired: log in again",
            **about,
        )
    if code == 403 and (" cannot " in message or message.endswith("is forbidden: ")):
        verb, resource, namespace = _asked(method, path)
        return errors.ClusterDenied(
            f"you may not {verb} {resource} in the namespace {namespace!r} of {where}: {message}; "
            "ask for a Role with that verb (examples/cluster/role.yaml has all that are needed)",
            verb=verb,
            resource=resource,
            namespace=namespace,
            **about,
        )
    if code == 404:
        if method == "POST" and message.startswith("namespaces "):
            _, _, namespace = _asked(method, path)
            return errors.ObjectNotFound(
                f"there is no namespace {namespace!r} in {where}; make it, or name another with "
                "namespace=... ('kubectl get namespaces')",
                **about,
            )
        return errors.ObjectNotFound(f"{where}: {message}", **about)
    return errors.ClusterError(f"{where} refused to {_words(method, path)}: {message}", **about)


def _asked(method: str, path: str) -> tuple[str, str, str]:
    """The verb, the resource and the namespace of a request, as a Role names them."""
    parts = urlsplit(path).path.strip("/").split("/")
    at = parts.index("namespaces") if "namespaces" in parts else -2
    namespace = parts[at + 1] if at >= 0 else ""
    rest = (parts[at + 2 :] or parts[at:]) if at >= 0 else parts[-1:]
    resource = rest[0] + (f"/{rest[2]}" if len(rest) > 2 else "")
    named = len(rest) > 1
    verbs = {
        "GET": "get" if named else "list",
        "POST": "create",
        "PATCH": "patch",
        "DELETE": "delete",
    }
    return verbs[method], resource, namespace


def _words(method: str, path: str) -> str:
    verb, resource, namespace = _asked(method, path)
    return f"{verb} {resource} in the namespace {namespace!r}"
