"""Passes connections on: a registry of the bench's network, by a loopback name for clients.

Run as: python -m tests.bench.forward FROM-HOST TO-HOST PORT
"""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from contextlib import suppress
from typing import Any

PIECE = 1 << 18


class Forward(socketserver.BaseRequestHandler):
    """One connection."""

    request: socket.socket
    to: tuple[str, int]

    def handle(self) -> None:
        """Copies both ways until both sides are done."""
        with socket.create_connection(self.to, timeout=10) as there:
            there.settimeout(None)
            back = threading.Thread(target=_copy, args=(there, self.request))
            back.start()
            _copy(self.request, there)
            back.join()


class Server(socketserver.ThreadingTCPServer):
    """A thread a connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tells what went wrong in a line."""
        print(f"{client_address}: {sys.exc_info()[1]!r}", file=sys.stderr, flush=True)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    Forward.to = (sys.argv[2], int(sys.argv[3]))
    with Server((sys.argv[1], int(sys.argv[3])), Forward) as server:
        server.serve_forever()
