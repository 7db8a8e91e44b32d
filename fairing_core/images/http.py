"""HTTP/1.1 on sockets: as little as a registry needs, at a fraction of the import time of others.

It does what decides an upload's speed and right end: bodies that are made while they are sent, an
answer that comes before the body is through, a kept connection that the other side has closed.

Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import io
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from fairing_core.images.route import Broken, Closed, Origin, Route

_BLOCK = 1 << 18
_LINE = 1 << 16
_FIELDS = 200

Body = bytes | Iterable[bytes | memoryview]
"""What is sent: bytes, or blocks (chunked unless the request says a Content-Length)."""


class TooLong(Broken):
    """An answer is longer than what was asked for can be."""


class _HungUp(Exception):
    """The other side takes no more of a request."""


class _Stale(Exception):
    """A kept connection had been closed before it could be used again."""


class Response:
    """An answer; its body is read from the connection, which is free again once it is read."""

    def __init__(self, connection: Connection, method: str) -> None:
        self._connection = connection
        self._file = connection.file
        self.status, self.fields = self._head()
        self._chunked = "chunked" in self.fields.get("transfer-encoding", "").lower()
        self._left: int | None = None if self._chunked else self._length()
        if method == "HEAD" or self.status in (204, 304) or self.status < 200:
            self._chunked, self._left = False, 0
        if self.fields.get("connection", "").lower() == "close" or (
            self._left is None and not self._chunked
        ):
            connection.reusable = False
        self._ended = False
        if self._left == 0:
            self._end()

    def _length(self) -> int | None:
        told = {each.strip() for each in self.fields.get("content-length", "").split(",")}
        if told == {""}:
            return None
        length = told.pop()
        if told or not length.isdecimal():
            raise Broken("an answer that does not tell its length right")
        return int(length)

    def field(self, name: str) -> str:
        """A header field's value, by its name in small letters; empty where there is none."""
        return self.fields.get(name, "")

    def blocks(self) -> Iterator[bytes]:
        """The body, as it comes.

        Raises:
            Broken: the connection ended before it.
        """
        if self._ended:
            return
        try:
            if self._chunked:
                yield from self._chunks()
            else:
                yield from self._plain()
        except BaseException:
            self._ended = True
            self._connection.close()
            raise
        self._end()

    def read(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            Broken: it is longer than `limit` bytes, or cut.
        """
        found = bytearray()
        for block in self.blocks():
            found += block
            if len(found) > limit:
                self._connection.close()
                raise TooLong(f"an answer of more than {limit:,} bytes")
        return bytes(found)

    def close(self) -> None:
        """Leaves the rest of the body; a short one is read, so that the connection can be kept."""
        if self._ended:
            return
        if self._left is not None and self._left <= _LINE:
            with suppress(OSError):
                self.read(_LINE)
                return
        self._connection.close()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._connection.release()

    def _head(self) -> tuple[int, dict[str, str]]:
        while True:
            line = self._line()
            version, _, rest = line.partition(" ")
            if not version.startswith("HTTP/1.") or not rest[:3].isdecimal():
                raise Broken(f"no HTTP answer: {line[:60]!r}")
            if version == "HTTP/1.0":
                self._connection.reusable = False
            fields: dict[str, str] = {}
            for _ in range(_FIELDS):
                line = self._line()
                if not line:
                    break
                name, colon, value = line.partition(":")
                if colon:
                    key, value = name.strip().lower(), value.strip()
                    fields[key] = f"{fields[key]}, {value}" if key in fields else value
            else:
                raise Broken(f"more than {_FIELDS} header fields")
            if not rest.startswith("1"):  # 100 and 103 come before the answer
                return int(rest[:3]), fields

    def _line(self) -> str:
        line = self._file.readline(_LINE)
        if not line.endswith(b"\n"):
            raise Broken(
                "a line of the answer is too long"
                if len(line) == _LINE
                else "the connection was closed before an answer came"
            )
        return line.rstrip(b"\r\n").decode("latin-1")

    def _plain(self) -> Iterator[bytes]:
        while self._left is None or self._left > 0:
            block = self._some(_BLOCK if self._left is None else min(self._left, _BLOCK))
            if not block:
                if self._left is None:
                    return
                raise Broken(f"the answer was cut {self._left:,} bytes before its end")
            if self._left is not None:
                self._left -= len(block)
            yield block

    def _chunks(self) -> Iterator[bytes]:
        while True:
            try:
                left = int(self._line().partition(";")[0], 16)
            except ValueError:
                left = -1
            if left < 0:
                raise Broken("a chunk without its size")
            if left == 0:
                while self._line():
                    pass
                return
            while left:
                block = self._some(min(left, _BLOCK))
                if not block:
                    raise Broken("the answer was cut within a chunk")
                left -= len(block)
                yield block
            self._line()

    def _some(self, size: int) -> bytes:
        return self._file.read1(size)


class Connection:
    """A connection to one origin, for one request at a time; opened by the first one."""

    def __init__(self, origin: Origin, route: Route, release: Callable[[Connection], None]) -> None:
        self.origin = origin
        self.reusable = True
        self.file: io.BufferedReader
        self._route = route
        self._release = release
        self._socket: socket.socket | None = None
        self._kept = False
        self._repeatable = True

    def request(
        self, method: str, target: str, fields: Mapping[str, str], body: Body | None = None
    ) -> Response:
        """Sends a request, and gives the answer as soon as its head is here.

        Raises:
            OSError: no connection, or it broke.
        """
        self._repeatable = _at_once(body) is not None
        try:
            if self._socket is None:
                self._socket = self._route.open(self.origin)
                self.file = io.BufferedReader(socket.SocketIO(self._socket, "r"), _BLOCK)
                if not self.reusable:  # it was closed while it was opened
                    raise Closed("stopped")
            elif not self._repeatable and self._has_ended():
                raise _Stale
            response = self._exchange(method, target, fields, body)
            self._kept = True
            return response
        except BaseException:
            self.close()
            raise

    def _exchange(
        self, method: str, target: str, fields: Mapping[str, str], body: Body | None
    ) -> Response:
        target = self._route.target(self.origin, target)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.origin.netloc}"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        lines += [f"{name}: {value}" for name, value in self._route.fields(self.origin).items()]
        chunked = False
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = b""
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None and "Content-Length" not in fields:
            lines.append("Transfer-Encoding: chunked")
            chunked = True
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        try:
            if (whole := _at_once(body)) is not None:
                self._send(head + whole)
            else:
                self._send(head)
                self._send_body(body, chunked=chunked)
        except _HungUp as exc:
            # It may have said why before it hung up: read that, and use the connection no more.
            self.reusable = False
            response = self._answer(method)
            if response.status < 400:
                raise Broken("the connection was closed before it had taken all") from exc
            return response
        return self._answer(method)

    def _answer(self, method: str) -> Response:
        try:
            return Response(self, method)
        except TimeoutError:
            raise
        except OSError as exc:
            if self._kept and self._repeatable:
                raise _Stale from exc
            raise  # it may have taken some of what was sent, and would have that twice

    def _has_ended(self) -> bool:
        """Whether the other side has closed it: there is something to read, and nothing asked."""
        assert self._socket is not None
        look = select.poll()
        look.register(self._socket, select.POLLIN)
        return bool(look.poll(0))

    def _send_body(self, body: Body | None, *, chunked: bool) -> None:
        if isinstance(body, bytes):
            view = memoryview(body)
            for start in range(0, len(body), _BLOCK):
                self._send(view[start : start + _BLOCK])
        elif body is not None:
            for block in body:
                if not chunked:
                    self._send(block)
                elif block:
                    self._send(b"".join((b"%x\r\n" % len(block), block, b"\r\n")))
            if chunked:
                self._send(b"0\r\n\r\n")

    def _send(self, data: bytes | memoryview) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise
        except OSError as exc:
            raise _HungUp from exc

    def close(self) -> None:
        """Closes it."""
        self.reusable = False
        if self._socket is not None:
            with suppress(OSError):  # wakes a thread that waits for it
                self._socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                self._socket.close()
        self._release(self)

    def release(self) -> None:
        """Called by the answer once it is read."""
        if self.reusable:
            self._release(self)
        else:
            self.close()


def _at_once(body: Body | None) -> bytes | None:
    """A body that goes out with the head, and may go out again; None of one that does not."""
    if body is None:
        return b""
    return body if isinstance(body, bytes) and len(body) <= _LINE else None


class Pool:
    """Connections that are kept between requests, for many threads."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def request(
        self,
        origin: Origin,
        method: str,
        target: str,
        fields: Mapping[str, str],
        body: Callable[[], Body] | None = None,
    ) -> Response:
        """One request; `body` is called again where a kept connection turns out to be closed.

        A body of blocks, or one that is long, is not sent again once it has begun.

        Raises:
            OSError: no connection, or it broke.
            Closed: the pool was closed.
        """
        while True:
            connection = self._take(origin)
            try:
                return connection.request(method, target, fields, body() if body else None)
            except _Stale:
                continue
            except (OSError, ValueError) as exc:  # a ValueError: read from a closed file
                if self._closed.is_set():
                    raise Closed("stopped") from exc
                raise

    def pause(self, seconds: float) -> None:
        """Waits.

        Raises:
            Closed: the pool was closed meanwhile.
        """
        if self._closed.wait(seconds):
            raise Closed("stopped")

    def close(self) -> None:
        """Closes all of them, also under the threads that wait for an answer."""
        with self._lock:
            self._closed.set()
            connections = list(self._all)
            self._idle.clear()
        self._route.close()
        for connection in connections:
            connection.close()

    def _take(self, origin: Origin) -> Connection:
        with self._lock:
            if self._closed.is_set():
                raise Closed("stopped")
            idle = self._idle.get(origin)
            if idle:
                return idle.pop()
            connection = Connection(origin, self._route, self._put)
            self._all.add(connection)
        return connection

    def _put(self, connection: Connection) -> None:
        with self._lock:
            if connection.reusable:
                self._idle.setdefault(connection.origin, []).append(connection)
            else:
                self._all.discard(connection)
