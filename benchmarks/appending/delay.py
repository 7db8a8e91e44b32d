"""A long line to a port, by default of this machine: each byte arrives half a round trip later.

    with Line.to(5000, rtt=0.02) as line: ...line.port... line.carried()

Bandwidth is not limited, and a window never grows slowly, as it would on a real line. A connection
costs its round trip with the first bytes sent on it, not in `connect`: a client that opens many,
one after the other, and waits for nothing, is favoured. With TLS each one waits at once.

It is a process of its own, with two threads a direction, so that it takes no time from whom it
measures: python delay.py TO-PORT RTT-SECONDS HOST prints its port, answers each line on stdin with
what it has carried since the one before, and ends with stdin.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

PIECE = 1 << 18
IN_FLIGHT = 1024
"""Pieces on their way, of 256 KiB at most: no limit in effect, but memory has one."""

Pieces = queue.Queue[tuple[float, bytes]]
"""What is on its way, with when it arrives."""


@dataclass(frozen=True)
class Carried:
    """What went over a line: bytes with TLS's own, as sockets see them."""

    connections: int
    sent: int
    received: int


@dataclass(frozen=True)
class Line:
    """A running proxy, as its user sees it."""

    port: int
    process: subprocess.Popen[str]

    @classmethod
    @contextlib.contextmanager
    def to(cls, port: int, *, rtt: float = 0.0, host: str = "127.0.0.1") -> Iterator[Line]:
        """A line to a port, for as long as the context lasts; `rtt` is in seconds."""
        command = [sys.executable, "-I", "-S", __file__, str(port), str(rtt), host]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            try:
                yield cls(int(process.stdout.readline()), process)
            finally:
                process.kill()

    def carried(self) -> Carried:
        """What it carried since this was last asked."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return Carried(**json.loads(self.process.stdout.readline()))


class Tally:
    """Counts what all connections carry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(("connections", "sent", "received"), 0)

    def add(self, what: str, number: int) -> None:
        with self._lock:
            self._counts[what] += number

    def take(self) -> dict[str, int]:
        with self._lock:
            taken, self._counts = self._counts, dict.fromkeys(self._counts, 0)
        return taken


def _serve(to: tuple[str, int], rtt: float, tally: Tally, listener: socket.socket) -> None:
    while True:
        near, _ = listener.accept()
        accepted = time.monotonic()
        far = socket.create_connection(to, timeout=10)
        tally.add("connections", 1)
        for end in (near, far):
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Sent once the connection is there, which takes a round trip, and then half a one.
        _carry(near, far, rtt / 2, accepted + 1.5 * rtt, "sent", tally)
        _carry(far, near, rtt / 2, 0.0, "received", tally)


def _carry(
    source: socket.socket, target: socket.socket, delay: float, first: float, way: str, tally: Tally
) -> None:
    pieces: Pieces = queue.Queue(IN_FLIGHT)

    def take() -> None:
        piece = b"more"
        while piece:
            piece = _received(source)
            tally.add(way, len(piece))
            pieces.put((max(first, time.monotonic() + delay), piece))

    threading.Thread(target=take, daemon=True).start()
    threading.Thread(target=_give, args=(pieces, source, target), daemon=True).start()


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(PIECE)
    except OSError:
        return b""


def _give(pieces: Pieces, source: socket.socket, target: socket.socket) -> None:
    """Sends each piece when it is due; the empty one is the end."""
    piece = b"more"
    while piece:
        due, piece = pieces.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if piece:
                target.sendall(piece)
            else:
                target.shutdown(socket.SHUT_WR)
        except OSError:  # whoever sends has to learn of it; what is on its way goes nowhere
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RD)


def main(to: tuple[str, int], rtt: float) -> None:
    """Carries until stdin ends."""
    tally = Tally()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=_serve, args=(to, rtt, tally, listener), daemon=True).start()
        for _ in sys.stdin:
            print(json.dumps(tally.take()), flush=True)


if __name__ == "__main__":
    main((sys.argv[3], int(sys.argv[1])), float(sys.argv[2]))
