"""Layers to read, made in memory."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

PASSWD = b"root:x:0:0:root:/root:/bin/bash\n"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Link:
    """A link to `target`."""

    target: str
    hard: bool = False


Files = dict[str, "bytes | Link | None"]


def tar(files: Files, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of those files; None stands for a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            elif isinstance(content, Link):
                member.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
                member.linkname = content.target
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Layer:
    """A layer as a registry gives it, that knows how it was read."""

    stored: bytes
    chunk: int = 1000
    opened: int = 0
    closed: int = 0
    taken: int = field(default=0)

    def __call__(self) -> Iterator[bytes]:
        self.opened += 1
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        try:
            for at in range(0, len(self.stored), self.chunk):
                self.taken += 1
                yield self.stored[at : at + self.chunk]
        finally:
            self.closed += 1

    @property
    def read_whole(self) -> bool:
        return self.taken * self.chunk >= len(self.stored)


def layer(files: Files) -> Layer:
    """A layer of those files, compressed."""
    return Layer(gzip.compress(tar(files), 1))
