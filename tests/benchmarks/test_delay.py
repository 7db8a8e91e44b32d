"""The benchmark's long line."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.appending.delay import Carried, Line

RTT = 0.05


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets, until the client's end."""

    def serve(one: socket.socket) -> None:
        with one:
            while piece := one.recv(65_536):
                one.sendall(piece)

    def accept() -> None:
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(one,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        waiting = threading.Thread(target=accept)
        waiting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        waiting.join()


def ping(connection: socket.socket) -> float:
    started = time.monotonic()
    connection.sendall(b"ping")
    assert connection.recv(4) == b"ping"
    return time.monotonic() - started


def test_an_exchange_takes_a_round_trip_and_the_first_one_that_of_connecting_too(
    echo: int,
) -> None:
    with (
        Line.to(echo, rtt=RTT) as line,
        socket.create_connection(("127.0.0.1", line.port), timeout=10) as connection,
    ):
        assert ping(connection) > 1.9 * RTT
        taken = [ping(connection) for _ in range(5)]
    assert RTT <= min(taken) < 2 * RTT


def test_what_is_sent_together_arrives_together(echo: int) -> None:
    with (
        Line.to(echo, rtt=RTT) as line,
        socket.create_connection(("127.0.0.1", line.port), timeout=10) as connection,
    ):
        ping(connection)
        started = time.monotonic()
        for _ in range(20):
            connection.sendall(b"ping")
            time.sleep(0.001)
        got = b""
        while len(got) < 80:
            got += connection.recv(80)
        assert time.monotonic() - started < 10 * RTT  # and not 20 round trips


def test_a_line_carries_all_that_it_is_given_to_its_end_and_counts_it(echo: int) -> None:
    content = random.Random(1).randbytes(3_000_000)
    with Line.to(echo, rtt=0.01) as line:
        with socket.create_connection(("127.0.0.1", line.port), timeout=10) as connection:

            def send() -> None:
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)

            sending = threading.Thread(target=send)
            sending.start()
            got = bytearray()
            while piece := connection.recv(65_536):
                got += piece
            sending.join()
        assert bytes(got) == content
        assert line.carried() == Carried(1, len(content), len(content))
        assert line.carried() == Carried(0, 0, 0)
