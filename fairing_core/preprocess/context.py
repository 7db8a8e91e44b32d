"""The build context: files in their order, free of conflicts, and the digest over them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from fairing_core import errors, log
from fairing_core.faults import changed, fault, source
from fairing_core.preprocess import secrets
from fairing_core.types import BuildContext, ContextFile, Import

logger = log.named(__name__)

LARGE = 100_000_000
"""Bytes over which a single file is warned about."""

_CHUNK = 1 << 20
_HEADER = b"fairing context 1\n"


def pack(
    files: Iterable[ContextFile],
    command: Sequence[str],
    *,
    workdir: str,
    python: str | None = None,
    root: str | None = None,
    allow_secrets: Sequence[str] = (),
    imports: Sequence[Import] = (),
    outputs: Sequence[str] = (),
    needs: Sequence[str] = (),
) -> BuildContext:
    """`files` and `command` as one value: sorted, checked, and named by their digest.

    A file that is there twice, with the same bytes and mode, travels once.

    Args:
        files: what travels.
        command: what starts it.
        workdir: where that starts.
        python: the X.Y that the code needs.
        root: the folder that `allow_secrets` starts at.
        allow_secrets: files and patterns that may travel though they look like secrets.
        imports: the modules that the code needs, and that are not among `files`.
        outputs: what it leaves behind.
        needs: the distributions that the command itself needs.

    Raises:
        SecretFile: a file looks like a secret.
        ConflictingInputs: two sources claim one destination.
        UnreadableInput: a file can't be read, or changed while it was.
        MissingInput: a file is gone.
    """
    chosen = _settle(files)
    secrets.stop(chosen, root=root, allowed=allow_secrets)
    for file in chosen:
        if file.size > LARGE:
            logger.warning(
                "%s is large (%s MB) and travels with every new image; "
                "leave it out, or fetch it at run time",
                source(file),
                format(file.size / 1e6, ".0f"),
            )
    return BuildContext(
        chosen,
        tuple(command),
        digest=_digest(chosen, command),
        workdir=workdir,
        python=python,
        imports=tuple(imports),
        outputs=tuple(outputs),
        needs=tuple(needs),
    )


def _settle(files: Iterable[ContextFile]) -> tuple[ContextFile, ...]:
    chosen: dict[str, ContextFile] = {}
    for file in files:
        first = chosen.setdefault(file.destination, file)
        if first is not file and not _same(first, file):
            raise errors.ConflictingInputs(
                f"two different sources for {file.destination}: {source(first)} and "
                f"{source(file)}; rename one of them, or give it another place with output_map"
            )
    for destination, file in chosen.items():
        parent = destination
        while parent := parent.rpartition("/")[0]:
            if blocking := chosen.get(parent):
                raise errors.ConflictingInputs(
                    f"{source(file)} should become {destination}, but {parent} is a file, "
                    f"{source(blocking)}; rename one of them"
                )
    return tuple(chosen[destination] for destination in sorted(chosen))


def _same(one: ContextFile, other: ContextFile) -> bool:
    if (one.mode, one.size) != (other.mode, other.size):
        return False
    if one.content == other.content:
        return True
    return all(a == b for a, b in zip(_chunks(one), _chunks(other), strict=True))


def _digest(files: Iterable[ContextFile], command: Sequence[str]) -> str:
    # Every part is preceded by its length, so that no two contexts give one stream of bytes.
    stream = hashlib.sha256(_HEADER)
    stream.update(_number(len(command)))
    for word in command:
        stream.update(_framed(word))
    for file in files:
        stream.update(_framed(file.destination))
        stream.update(_number(file.mode) + _number(file.size))
        for chunk in _chunks(file):
            stream.update(chunk)
    return f"sha256:{stream.hexdigest()}"


def _framed(text: str) -> bytes:
    # A file's name may hold bytes that are no UTF-8; Python carries them as surrogates.
    raw = text.encode("utf-8", "surrogateescape")
    return _number(len(raw)) + raw


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _chunks(file: ContextFile) -> Iterator[bytes]:
    """The file's bytes; exactly as many as its size."""
    left = file.size
    try:
        with _open(file) as content:
            while chunk := content.read(min(left + 1, _CHUNK)):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
    except OSError as exc:
        raise fault(source(file), exc) from exc
    if left:
        raise changed(file)


def _open(file: ContextFile) -> BinaryIO:
    if isinstance(file.content, bytes):
        return io.BytesIO(file.content)
    return open(file.content, "rb", buffering=0)  # small files are most files
