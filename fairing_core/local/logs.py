"""Reads a growing log: exact, from its end when only that is wanted, and as it grows."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 16
_SILENCE = 0.2  # seconds after which a line that does not end is given in parts
_POLL = 0.1


def read(
    path: Path, *, tail: int | None = None, limit: int | None = None, over: Callable[[], bool]
) -> Iterator[str]:
    r"""Lines with their line ends (``\n`` only), until the log's end once `over` is true.

    A line still being written comes in parts. `tail` lines at the end are given, no more than
    `limit` bytes of them.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        if tail is not None:
            file.seek(_start_of_tail(file, tail, limit))
        yield from _follow(file, over)


def _follow(file: BinaryIO, over: Callable[[], bool]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest: list[str] = []  # the parts of the line that has no end yet
    since = time.monotonic()
    pause = 0.01
    last = over()  # looked at before reading: what is read after it is all there is
    while True:
        if data := file.read(_BLOCK):
            pause = 0.01
            lines = decoder.decode(data).split("\n")
            if len(lines) > 1:
                yield "".join((*rest, lines[0], "\n"))
                for line in lines[1:-1]:
                    yield line + "\n"
                rest.clear()
                since = time.monotonic()
            if lines[-1]:
                rest.append(lines[-1])
        elif last:
            break
        else:
            if rest and time.monotonic() - since >= _SILENCE:
                yield "".join(rest)
                rest.clear()
            if not rest:
                since = time.monotonic()
            time.sleep(pause)
            pause = min(pause * 1.5, _POLL)
            last = over()
    if text := "".join((*rest, decoder.decode(b"", final=True))):
        yield text


def _start_of_tail(file: BinaryIO, lines: int, limit: int | None) -> int:
    """Where the last `lines` lines begin; reads backwards, no more than it needs."""
    end = file.seek(0, os.SEEK_END)
    first = 0 if limit is None else max(0, end - limit)
    if lines == 0:
        return end
    position, left = end, lines
    while position > first:
        size = min(_BLOCK, position - first)
        position -= size
        file.seek(position)
        block = file.read(size)
        at = len(block)
        if position + size == end and block.endswith(b"\n"):
            at -= 1  # this one ends the last line, it begins none
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            left -= 1
            if left == 0:
                return position + at + 1
    return first
