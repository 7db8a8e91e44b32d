"""Lines of a container's log, and how far it has been read.

Kubernetes gives a log from a second on (``sinceTime``), so what was read before comes again. Each
line has its time (``timestamps``), to the nanosecond: the lines from that second on that were given
out already are known by their times, and are skipped. If the last of them does not come again, the
kubelet has rotated the log meanwhile, and what lay between may be lost.

Source: Kubernetes API v1.36, PodLogOptions; kubelet, ReadLogs.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)")
START = b"\x1e[fairing: the program starts]"
END = b"\x1e[fairing: the program has ended"
"""What the keeper writes to both streams, before a program's own and after it
(`fairing_core.runtime.keep`)."""

_STARTS = START + b"\n"
_SECOND = len("2026-11-24T04:00:00")
_LATE = 1  # seconds


class Line(NamedTuple):
    """One line: when it was written (RFC 3339), "" if unknown, and its bytes with the line end."""

    time: str
    text: bytes
    is_first: bool = False
    """Whether its keeper says in it that the program starts."""
    is_last: bool = False
    """Whether the program has ended with it, on this stream, though its container goes on."""


def gap(why: str) -> Line:
    """The line that says that others may be missing."""
    return Line("", f"[fairing: lines may be missing here: {why}]\n".encode())


def split(pieces: Iterator[bytes]) -> Iterator[Line]:
    """Whole lines; the last may lack its line end. What a cut leaves over is not given."""
    rest: list[bytes] = []
    for piece in pieces:
        first, *more = piece.split(b"\n")
        rest.append(first)
        for following in more:
            yield _line(b"".join(rest) + b"\n")
            rest = [following]
    if last := b"".join(rest):
        yield _line(last)


def _line(raw: bytes) -> Line:
    moment, _, text = raw.partition(b" ")
    if not _TIME.fullmatch(moment):
        # The kubelet's own word, of a log that it has deleted.
        return gap(raw.decode("utf-8", "replace").strip())
    # A node writes a long line in parts, and what comes on the other stream may be between two.
    if text.endswith(_STARTS):
        return Line(moment.decode("ascii"), text[: -len(_STARTS)], is_first=True)
    text, end, _ = text.partition(END)
    return Line(moment.decode("ascii"), text, is_last=bool(end))


class Place:
    """How far a container's log has been read."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, str]] = deque()  # lines given out, from `_from` on
        self._second = ("", 0)
        self._from = 0

    def query(self) -> dict[str, str | int]:
        """What to ask for: the log from the place on; before there is one, all of it."""
        if self._seen:
            since = datetime.fromtimestamp(self._from, UTC)
            return {"sinceTime": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {}

    def note(self, line: Line) -> None:
        """Notes a line that is given out."""
        if not line.time:
            return
        if line.time[:_SECOND] != self._second[0]:
            moment = int(datetime.fromisoformat(line.time).timestamp())
            self._second = line.time[:_SECOND], moment
            # Standard output and error are written by two hands: one may be a little late.
            self._from = max(self._from, moment - _LATE)
            while self._seen and self._seen[0][0] < self._from:
                self._seen.popleft()
        self._seen.append((self._second[1], line.time))

    def fresh(self, lines: Iterator[Line]) -> Iterator[Line | None]:
        """Of lines read anew by `query`, those that were not given out; None is a gap."""
        known = deque(time for moment, time in self._seen if moment >= self._from)
        for line in lines:
            if known and line.time:
                if line.time in known:  # mostly the first
                    while known.popleft() != line.time:
                        pass
                    continue
                known.clear()
                yield None
            yield line
