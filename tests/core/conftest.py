"""Registries in memory, and what asks them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fairing_core.images import http
from fairing_core.images.cache import Cache
from fairing_core.images.remote import Remote
from fairing_core.images.route import Route
from fairing_core.types import Credentials
from tests.bench import certificates
from tests.bench.bench import Bench
from tests.core.images.registry import FakeRegistry

Serve = Callable[..., FakeRegistry]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts registries; the test's end stops them."""
    found: list[FakeRegistry] = []

    def start(**more: Any) -> FakeRegistry:
        found.append(FakeRegistry(**more))
        return found[-1]

    yield start
    for each in found:
        each.close()


@pytest.fixture
def registry(serve: Serve) -> FakeRegistry:
    """A registry on plain http for everyone."""
    return serve()


class Deaf:
    """Hosts that take no connection, or say nothing once they have it."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []

    def silent(self, *, waiting: int = 5) -> str:
        """The URL of one that never says a word."""
        found = socket.socket()
        self._open.append(found)
        found.bind(("127.0.0.1", 0))
        found.listen(waiting)
        return f"https://127.0.0.1:{found.getsockname()[1]}"

    def full(self) -> str:
        """The URL of one where so many wait already that nobody gets in."""
        url = self.silent(waiting=0)
        place = self._open[-1].getsockname()
        for _ in range(4):
            waiting = socket.socket()
            self._open.append(waiting)
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(place)
        return url

    def close(self) -> None:
        for each in self._open:
            each.close()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    found = Deaf()
    yield found
    found.close()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """The certificate of an authority that nobody trusts, until told to."""
    return certificates.authority(_authority(tmp_path)).certificate


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A server's certificate by that authority, and its key."""
    names = ["127.0.0.1", "localhost", "registry.test", "other.test"]
    folder = tmp_path / "server"
    folder.mkdir()
    pair = certificates.issue(_authority(tmp_path), folder, names)
    return pair.certificate, pair.key


def _authority(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "authority", tmp_path / "authority" / "run")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that end in .test are this machine, by other names than loopback's."""
    resolve = socket.getaddrinfo

    def found(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return resolve("127.0.0.1" if name.endswith(".test") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)


class Client:
    """Makes remotes that share one cache and one pool, as a build does."""

    def __init__(self, folder: Path) -> None:
        self.cache = Cache(folder)
        self.route = Route()
        self.pool = http.Pool(self.route)
        self._former: list[http.Pool] = []

    def close(self) -> None:
        for pool in (self.pool, *self._former):
            pool.close()

    def remote(
        self,
        host: str,
        *,
        plain_http: bool | None = None,
        ca: Path | None = None,
        credentials: Credentials | None = None,
    ) -> Remote:
        if ca:
            self._former.append(self.pool)
            self.route = Route({host: ca})
            self.pool = http.Pool(self.route)
        return Remote(
            host,
            plain_http=plain_http,
            credentials=lambda: credentials,
            pool=self.pool,
            route=self.route,
            cache=self.cache,
        )


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    found = Client(tmp_path / "cache")
    yield found
    found.close()
