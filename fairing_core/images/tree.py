"""The files that an image shows: its layers laid over each other, as far as somebody asks."""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from fairing_core.images.tarstream import DIRECTORY, HARD_LINK, SYMBOLIC_LINK, Entry

WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINKS = 40  # that Linux follows in one path


class _Node(NamedTuple):
    entry: Entry
    layer: int


class Tree:
    """Names of an image, gathered from its top layer down; paths are relative to the root.

    Whiteouts and what is no folder hide what the layers below have under that name.

    Source: OCI image specification v1.1, "Applying Changesets".
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._layer = 0
        self._hidden: set[str] = set()  # "a": a and all in it, "a/": all in it
        self._hides_below: set[str] = set()

    def __len__(self) -> int:
        return len(self._nodes) + len(self._hidden) + len(self._hides_below)

    def add(self, entry: Entry) -> bool:
        """Whether the image shows this entry of the present layer."""
        folder, _, base = entry.name.rpartition("/")
        if base.startswith(WHITEOUT):
            if base == _OPAQUE:
                self._hides_below.add(folder + "/")
            elif not base.startswith(WHITEOUT + WHITEOUT):  # notes of aufs for itself
                self._hides_below.add(posixpath.join(folder, base.removeprefix(WHITEOUT)))
            return False
        if self._covered(entry.name):
            return False
        self._nodes[entry.name] = _Node(entry, self._layer)
        return True

    def next_layer(self) -> None:
        """What is added from now on is from the layer below."""
        self._layer += 1
        self._hidden |= self._hides_below
        self._hides_below = set()

    def get(self, path: str) -> Entry | None:
        """The entry of that very name."""
        node = self._nodes.get(path)
        return node.entry if node else None

    def hops(self, path: str) -> list[str]:
        """`path` without links in its folders, then where it leads, link by link.

        The last may be a name that isn't known (yet). Empty if links lead round in a circle.
        """
        found: list[str] = []
        for _ in range(_LINKS):
            real = posixpath.join(self._folder(posixpath.dirname(path)), posixpath.basename(path))
            entry = self.get(real)
            found.append(real)
            if entry is None or entry.kind not in {HARD_LINK, SYMBOLIC_LINK}:
                return found
            path = _target(real, entry)
        return []

    def _covered(self, name: str) -> bool:
        node = self._nodes.get(name)
        if name in self._hidden or (node is not None and node.layer < self._layer):
            return True
        while name:
            name = name.rpartition("/")[0]
            if name in self._hidden or name + "/" in self._hidden:
                return True
            node = self._nodes.get(name)
            if node and node.layer < self._layer and node.entry.kind != DIRECTORY:
                return True
        return False

    def _folder(self, path: str) -> str:
        """Where that folder really is."""
        todo = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del done[-1:]
            if part in {"", ".", ".."}:
                continue
            done.append(part)
            entry = self.get("/".join(done))
            if entry is not None and entry.kind == SYMBOLIC_LINK:
                links += 1
                if links > _LINKS:
                    return path
                if entry.link.startswith("/"):
                    done = []
                else:
                    done.pop()
                todo.extend(entry.link.split("/")[::-1])
        return "/".join(done)


def _target(path: str, entry: Entry) -> str:
    if entry.kind == HARD_LINK:
        return entry.link
    return posixpath.join("/", posixpath.dirname(path), entry.link)
