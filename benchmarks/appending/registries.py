"""The registries that the benchmark runs: one where the base is, and another one.

Each is several processes on one store, so that what is in it can be had by plain http, by TLS, and
by TLS with a password, under a name each.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from benchmarks.appending.delay import Carried, Line
from tests.bench import certificates, lifecycle, tools
from tests.bench.bench import Bench, write
from tests.bench.docker import PART as DOCKER
from tests.bench.part import Part

USER, PASSWORD = "pusher", "pusher"
STORES = ("home", "other")
WAYS = ("plain", "tls", "auth")
BIG = 65_536
REQUEST = re.compile(r'"([A-Z]+) (/v2/\S*) HTTP/\S+" (\d+)')


@dataclass(frozen=True)
class Link:
    """How a registry is reached: the process that is asked, and the round trip to it."""

    way: str
    rtt: float = 0.0


LINKS = {
    "loopback": Link("plain"),
    "tls": Link("tls"),
    "tls-auth": Link("auth"),
    "tls-20ms": Link("tls", 0.020),
    "tls-60ms": Link("tls", 0.060),
}


@dataclass(frozen=True)
class Sites:
    """The two registries by their names on a link, such as ``127.0.0.1:21000``."""

    home: str
    other: str
    lines: tuple[Line, ...] = ()

    def carried(self) -> Carried:
        """What went over the lines since this was last asked."""
        parts = [line.carried() for line in self.lines]
        return Carried(
            connections=sum(part.connections for part in parts),
            sent=sum(part.sent for part in parts),
            received=sum(part.received for part in parts),
        )


class Registries:
    """All of them, on a bench of the benchmark's own."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.stores = {name: Store(bench.run / "stores" / name) for name in STORES}
        self._parts = [
            _part(f"{store}-{way}", self.stores[store], way) for store in STORES for way in WAYS
        ]

    @contextmanager
    def up(self, *, docker: bool) -> Iterator[None]:
        """Brings them up, and takes everything away in the end."""
        parts = [*self._parts, *([DOCKER] if docker else [])]
        everything = [*self._parts, DOCKER]
        lifecycle.down(self.bench, everything)  # what a benchmark that was killed has left
        try:
            lifecycle.up(self.bench, parts)
            yield
        finally:
            lifecycle.down(self.bench, everything)

    @contextmanager
    def sites(self, link: Link, *, counted: bool = False) -> Iterator[Sites]:
        """Names for both, over lines where there is a round trip or something to count."""
        ports = [self.bench.port(f"{store}-{link.way}") for store in STORES]
        with ExitStack() as stack:
            lines = []
            if link.rtt or counted:
                lines = [stack.enter_context(Line.to(port, rtt=link.rtt)) for port in ports]
                ports = [line.port for line in lines]
            home, other = (f"127.0.0.1:{port}" for port in ports)
            yield Sites(home, other, tuple(lines))

    def environ(self, link: Link, sites: Sites, folder: Path) -> dict[str, str]:
        """The variables by which any client trusts and is trusted."""
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        names = (sites.home, sites.other) if link.way == "auth" else ()
        auths = {name: {"auth": auth} for name in names}
        write(folder / "docker" / "config.json", json.dumps({"auths": auths}), 0o600)
        found = {"DOCKER_CONFIG": str(folder / "docker")}
        if link.way != "plain":
            authority = str(certificates.authority(self.bench).certificate)
            found |= {"SSL_CERT_FILE": authority, "CURL_CA_BUNDLE": authority}
        return found

    def requests(self, link: Link) -> Requests:
        """What the registries are asked from now on."""
        names = [f"{store}-{link.way}" for store in STORES]
        return Requests([self.bench.processes.log(name) for name in names])


class Requests:
    """Reads access logs on from where they end now."""

    def __init__(self, logs: Sequence[Path]) -> None:
        self._ends = {log: log.stat().st_size for log in logs}

    def seen(self) -> list[tuple[str, str, int]]:
        """Method, path and status of each request since then."""
        found = []
        for log, end in self._ends.items():
            with log.open("rb") as file:
                file.seek(end)
                text = file.read().decode(errors="replace")
            found += [(m[1], m[2], int(m[3])) for m in REQUEST.finditer(text)]
        return found

    @staticmethod
    def told(seen: Iterable[tuple[str, str, int]]) -> dict[str, int]:
        """How many of each method."""
        return dict(sorted(Counter(method for method, _, _ in seen).items()))


@dataclass(frozen=True)
class Store:
    """The files of a registry, which it looks at anew with each request."""

    folder: Path

    def prune(self, kept: frozenset[str]) -> None:
        """Drops each big blob but those: what a run has pushed, before it reaches the disk."""
        for data in self._root.glob("blobs/sha256/*/*/data"):
            if data.stat().st_size > BIG and data.parent.name not in kept:
                shutil.rmtree(data.parent)

    def wipe(self) -> None:
        """Drops all."""
        for name in ("blobs", "repositories"):
            shutil.rmtree(self._root / name, ignore_errors=True)

    @property
    def _root(self) -> Path:
        return self.folder / "docker" / "registry" / "v2"


def _part(name: str, store: Store, way: str) -> Part:
    return Part(
        name=name,
        about=f"distribution, {way}",
        start=functools.partial(_start, store, way),
        ready=functools.partial(_ready, way),
        binaries=(tools.REGISTRY, tools.CRANE),
    )


def _start(store: Store, way: str, bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text"},
        "storage": {
            "filesystem": {"rootdirectory": str(store.folder)},
            "delete": {"enabled": True},
        },
        "http": {
            "addr": f"127.0.0.1:{bench.port(name)}",
            "relativeurls": True,  # so that a line in between stays in between
            "secret": "bench",
        },
    }
    if way != "plain":
        pair = certificates.issue(bench, folder, ["127.0.0.1", "localhost"])
        tls: Mapping[str, str] = {"certificate": str(pair.certificate), "key": str(pair.key)}
        config["http"]["tls"] = tls
    if way == "auth":
        # The fewest rounds that bcrypt has: the registry does them for each request.
        secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(rounds=4)).decode()
        path = write(folder / "htpasswd", f"{USER}:{secret}\n", 0o600)
        config["auth"] = {"htpasswd": {"realm": "bench", "path": str(path)}}
    path = write(folder / "config.json", json.dumps(config, indent=1))
    command: list[str | Path] = [bench.bin / "registry", "serve", path]
    bench.processes.start(name, command, part=name, environ={"OTEL_TRACES_EXPORTER": "none"})


def _ready(way: str, bench: Bench, name: str) -> str | None:
    import ssl
    import urllib.error
    import urllib.request

    tls = (
        None
        if way == "plain"
        else ssl.create_default_context(cafile=certificates.authority(bench).certificate)
    )
    url = f"{'http' if way == 'plain' else 'https'}://127.0.0.1:{bench.port(name)}/v2/"
    try:
        with urllib.request.urlopen(url, timeout=10, context=tls):  # noqa: S310  loopback
            return None
    except urllib.error.HTTPError as refusal:
        with refusal:
            return None if refusal.code == 401 else f"/v2/ answered {refusal.code}"
    except OSError as exc:
        return f"/v2/: {exc}"
