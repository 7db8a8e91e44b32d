"""What registries and token servers say in their answers, for people and for the next try.

Sources: OCI distribution specification v1.1, "Error Codes"; RFC 9110, 10.2.3 (Retry-After).
"""

from __future__ import annotations

import json
import time


def asked_pause(text: str) -> float | None:
    """Seconds that Retry-After asks for (RFC 9110, 10.2.3)."""
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def diagnosis(content: bytes) -> tuple[str | None, str]:
    """The registry's own code and message, as far as it gave some."""
    try:
        first = json.loads(content)["errors"][0]
        code, said = str(first.get("code") or "") or None, str(first.get("message") or "")
        detail = first.get("detail")
        if detail and isinstance(detail, str | dict | list):
            text = detail if isinstance(detail, str) else json.dumps(detail)
            said = f"{said}: {text[:300]}" if said else text[:300]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        said = content[:200].decode("utf-8", "replace").strip().partition("\n")[0]
        return None, f"it answered {said!r}" if said else "it did not say why"
    return code, said or "it did not say why"
