"""A build's context as an archive: what an engine that runs a Dockerfile is given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fairing_core import errors
from fairing_core.build import codec, dockerfile, layer
from fairing_core.build.codec import Layer
from fairing_core.build.dockerfile import Owner
from fairing_core.build.image import Changes
from fairing_core.build.wanted import DOCKERFILE, REQUIREMENTS
from fairing_core.faults import fault, source
from fairing_core.types import BuildContext, ContextFile
from fairing_core.values import frozen, replace

ROOT = "."
"""The folder in an archive where a context is at its root."""


@frozen
class Archive:
    """The files of a context with their Dockerfile, below a folder of the archive.

    `key` (64 hex digits) stands for all that is in it.
    """

    files: tuple[ContextFile, ...]
    below: str
    key: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def tar(self) -> Iterator[memoryview]:
        """It, uncompressed; see `layer.tar`."""
        return layer.tar(self.files, uid=0, gid=0, below=self.below)

    def gzip(self, sink: BinaryIO) -> Layer:
        """Writes it, compressed, to `sink`; gives its size and digest.

        The same files may be other bytes with another codec; `key` is the same.
        """
        return codec.compress(self.tar(), sink.write)


def archived(context: BuildContext, text: str, *, below: str = ROOT, is_generated: bool) -> Archive:
    """The archive of a context and its Dockerfile, which is `text`."""
    raw = text.encode("utf-8", "surrogateescape")
    own = ContextFile(DOCKERFILE, raw, size=len(raw), reason="how it is built")
    files = [file for file in context.files if file.destination != DOCKERFILE]
    if is_generated and (places := dockerfile.places(files)):
        files = [
            replace(file, destination=places.get(file.destination, file.destination))
            for file in files
        ]
    words = (layer.FORMAT, context.digest, below, hashlib.sha256(raw).hexdigest())
    key = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()
    return Archive(tuple(sorted([*files, own], key=lambda one: one.destination)), below, key)


def users_own(context: BuildContext, path: Path | None) -> str | None:
    """The text of the user's own Dockerfile: the one at `path`, else that of the context.

    Raises:
        MissingInput: there is none at `path`.
        UnreadableInput: it can't be read.
        EmptyEntry: nothing is in it.
    """
    file = _named(context, DOCKERFILE)
    if path is not None:
        file = ContextFile(DOCKERFILE, path, size=0)
    if file is None:
        return None
    text = _text(file)
    if not text.strip():
        raise errors.EmptyEntry(f"the Dockerfile {source(file)} is empty")
    return text


def generated(context: BuildContext, base: str, changes: Changes, owner: Owner) -> str:
    """The Dockerfile that is made where the user brings none; see `dockerfile.generated`."""
    file = _named(context, REQUIREMENTS)
    requirements = None if file is None else _text(file)
    return dockerfile.generated(base, context.files, changes, owner, requirements=requirements)


def _named(context: BuildContext, destination: str) -> ContextFile | None:
    return next((one for one in context.files if one.destination == destination), None)


def _text(file: ContextFile) -> str:
    content = file.content
    try:
        raw = content if isinstance(content, bytes) else content.read_bytes()
    except OSError as exc:
        raise fault(source(file), exc) from exc
    return raw.decode("utf-8", "surrogateescape")
