"""What Kubernetes makes of ``$`` in a container's command, arguments and variables.

``$(NAME)`` becomes the value of a variable of the container, and stays as it is where there is
none; ``$$`` becomes ``$``. A ``$`` before what is not ASCII garbles that: a byte is taken for a
character.

Source: Kubernetes API v1.36, Container (args, command, env); third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_READ = re.compile(r"\$(?=[$(]|[^\x00-\x7f])")
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def literal(text: str) -> str:
    """What has to be written for a container to be given `text` as it is.

    >>> literal("$HOME costs $5"), literal("$(HOME)"), literal("$$")
    ('$HOME costs $5', '$$(HOME)', '$$$')
    """
    return _READ.sub("$$", text) if "$" in text else text


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """What a container with these `variables` is given.

    >>> expanded("$(A) $$(A) $(B) $A", {"A": "a"})
    'a $(A) $(B) $A'
    """

    def found(match: re.Match[str]) -> str:
        return "$" if match[1] is None else variables.get(match[1], match[0])

    return _REFERENCE.sub(found, text)
