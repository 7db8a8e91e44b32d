"""A proxy on loopback that counts requests, and cuts connections when it is told to."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class Proxy:
    """Hands bytes on; `asked` are the requests, method and path."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self.asked: list[tuple[str, str]] = []
        self.cut_up: int | None = None
        """After so many bytes more to the server, one connection is cut."""
        self.cut_down: int | None = None
        """After so many bytes more from the server, one connection is cut."""
        self.cuts = 0
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        self._listening.close()
        for one in self._open:
            one.close()

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, timeout=30)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            for way in ((near, far, "cut_up"), (far, near, "cut_down")):
                threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, which: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if which == "cut_up" and (found := _REQUEST.match(data)):
                    self.asked.append((found[1].decode(), found[2].decode()))
                if self._cuts(which, len(data)):
                    for one in (source, sink):  # a reset, not an end
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        one.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _cuts(self, which: str, length: int) -> bool:
        with self._lock:
            left = getattr(self, which)
            if left is None:
                return False
            setattr(self, which, left - length)
            if left - length > 0:
                return False
            setattr(self, which, None)
            self.cuts += 1
            return True


@contextmanager
def before(url: str) -> Iterator[Proxy]:
    """A proxy before the server at `url`."""
    with closing(Proxy(url)) as proxy:
        yield proxy
