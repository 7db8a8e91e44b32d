"""What names a run.

Source: RFC 1123, 2.1, as Kubernetes takes it for labels.
"""

from __future__ import annotations

import os
import re

from fairing_core import errors

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32; no l, o, 0, 1: names are read aloud


def check_name(name: str) -> None:
    """Refuses what is no DNS label.

    Raises:
        InvalidArgument: `name` can't name a run.
    """
    if not _NAME.fullmatch(name):
        raise errors.InvalidArgument(
            f"{name!r} can't name a run; use at most 63 small letters, digits and '-', "
            "with a letter or digit at both ends"
        )


def random_name(start: str) -> str:
    """`start`, as far as a DNS label can have it, and eight random letters."""
    slug = re.sub(r"[^a-z0-9]+", "-", start.lower()).strip("-")[:40].strip("-")
    return f"{slug or 'run'}-{''.join(_ALPHABET[byte % 32] for byte in os.urandom(8))}"
