"""Which Python modules a layer brings, by names in ``site-packages`` and where code goes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fairing_core.images.tarstream import DIRECTORY, entries

UNCLEAR = "*"
"""Among the names: the layer has something by which modules come from elsewhere."""

_PLACE = re.compile(rb"(?:(?:.*/)?(?:site|dist)-packages|app)/([^/]+)(/.*)?")
_SUFFIX = re.compile(rb"(?:\.cpython-[^.]*|\.pypy[^.]*|\.abi3)?\.(?:py|pyc|so)")
# Of those that start code when Python starts, the ones that bring no modules.
_KNOWN_PTH = re.compile(rb"distutils-precedence|_virtualenv|.*-nspkg|a1_coverage|sitecustomize")


def modules(chunks: Iterable[bytes]) -> frozenset[str]:
    """The top-level names of modules that a layer (as it is stored) brings, and `UNCLEAR`.

    What a layer removes is not looked at: it counts as there.

    Raises:
        BadLayer: it is damaged, or of an unknown kind.
    """
    found = set[bytes]()

    def select(name: bytes, kind: bytes, _link: bytes) -> None:
        place = _PLACE.fullmatch(name)
        if place is None:
            return
        top, below = place[1], place[2]
        if below or kind == DIRECTORY:
            found.add(b"*" if top.endswith(b".egg") else top)
        elif suffix := _SUFFIX.search(top):
            found.add(top[: suffix.start()])
        elif top.endswith(b".egg-link") or (
            top.endswith(b".pth") and not _KNOWN_PTH.fullmatch(top[:-4])
        ):
            found.add(b"*")

    for _ in entries(chunks, select):
        pass
    names = {name.decode("utf-8", "replace") for name in found}
    return frozenset(name for name in names if name == UNCLEAR or name.isidentifier())
