"""Registries: distribution v3 on plain http, with basic auth, with Bearer tokens."""

from __future__ import annotations

import base64
import functools
import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Literal

import bcrypt

from tests.bench import certificates, google, tools
from tests.bench.bench import Bench, write
from tests.bench.kubernetes import network
from tests.bench.part import Part
from tests.bench.tokens import ISSUER, SERVICE, USERS, Signer

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of registry: on loopback, or `inside` the bench's network for clients and cluster.

    One with a name of the nodes' own (`also`) is called by that in the cluster, and on loopback by
    clients.
    """

    part: str
    auth: Literal["none", "basic", "token"]
    inside: bool = False
    also: str = ""
    google: bool = False
    """Whether it takes Google's access tokens, too."""

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return network.NODE if self.inside else LOOPBACK

    def at(self, bench: Bench) -> Registry:
        """Where it is reached in this bench."""
        port = bench.port(self.part)
        ca = None if self.auth == "none" else certificates.authority(bench).certificate
        name = f"{LOOPBACK if self.also else self.host}:{port}"
        return Registry(
            name=name,
            node_name=f"{self.also}:{port}" if self.also else name,
            node_url=f"{'https' if ca else 'http'}://{self.host}:{port}",
            ca=ca,
            users={} if self.auth == "none" else USERS,
        )


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A registry as clients see it. With a `ca` it speaks TLS; `users` have passwords."""

    name: str
    node_name: str
    """What nodes call it: the same, but for the one with two names."""
    node_url: str
    """Where nodes find it."""
    ca: Path | None
    users: Mapping[str, str]
    prefix: str = ""
    """The first part of a test's own repositories."""

    def image(self, rest: str) -> str:
        """The full name of an image in the test's own repositories, such as ``model:1``."""
        return "/".join(filter(None, (self.name, self.prefix, rest)))

    @property
    def url(self) -> str:
        """Its address for HTTP clients."""
        return f"{'https' if self.ca else 'http'}://{self.name}"

    def ask(
        self, path: str, authorization: str = "", method: str = "GET"
    ) -> tuple[int, Message, bytes]:
        """Status, headers and body of one request, whatever the status."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)
        if authorization:
            request.add_header("Authorization", authorization)
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.headers, refusal.read()

    def basic(self, user: str) -> str:
        """The Authorization header of one of its users."""
        return "Basic " + base64.b64encode(f"{user}:{self.users[user]}".encode()).decode()

    def docker_config(self, user: str = "") -> str:
        """A config.json with the credentials of `user`, as Docker, crane and pull secrets read."""
        auth = self.basic(user).partition(" ")[2] if user else ""
        return json.dumps({"auths": {self.name: {"auth": auth}} if user else {}})


VARIANTS = (
    Variant(part="registry", auth="none"),
    Variant(part="registry-basic", auth="basic"),
    Variant(part="registry-token", auth="token"),
    Variant(part="cluster-registry", auth="none", inside=True),
    Variant(part="cluster-registry-basic", auth="basic", inside=True),
    Variant(part="cluster-registry-token", auth="token", inside=True),
    Variant(
        part="registry-two-names", auth="none", inside=True, also="registry.nodes.bench.internal"
    ),
)
ABOUT = {
    "none": "distribution v3.1.2, plain http",
    "basic": "distribution v3.1.2, TLS and basic auth",
    "token": "distribution v3.1.2, TLS and Bearer tokens, scopes enforced",
}


def named(part: str) -> Variant:
    """The kind of registry that `part` runs."""
    return next(each for each in VARIANTS if each.part == part)


def part(variant: Variant) -> Part:
    """The part that runs a registry of that kind."""
    where = "for clients and the cluster" if variant.inside else "on loopback"
    if variant.also:
        where = "on loopback, and by another name in the cluster"
    return Part(
        name=variant.part,
        about=f"{ABOUT[variant.auth]}, {where}",
        start=functools.partial(_start, variant),
        ready=functools.partial(_ready, variant),
        environment=functools.partial(_environment, variant),
        binaries=(tools.REGISTRY, tools.CRANE),
        debian=("skopeo",),
        needs=("network",) if variant.inside else (),
        root=variant.inside,
    )


def storage(bench: Bench, part: str) -> Path:
    """Where the registry of that part keeps blobs and repositories."""
    return _data(bench.folder(part)) / "docker" / "registry" / "v2"


def _data(folder: Path) -> Path:
    return folder / "data"


def _start(variant: Variant, bench: Bench, name: str) -> None:
    folder = bench.folder(name)
    port = bench.port(name)
    addr = f"{variant.host}:{port}"

    def run(process: str, words: Sequence[str | Path], **environ: str) -> None:
        command = network.inside(bench, words) if variant.inside else words
        bench.processes.start(process, command, part=name, environ=environ)

    def ours(module: str, *words: str | Path) -> list[str | Path]:
        return [sys.executable, "-m", f"tests.bench.{module}", *words]

    if variant.auth != "none":
        certificates.issue(bench, folder, [variant.host, "localhost", LOOPBACK])
    if variant.auth == "token":
        Signer.make(folder)
        behind = str(bench.port(f"{name}-behind"))
        addr = f"{LOOPBACK}:{behind}"
        front = ours("front", variant.host, str(port), behind, folder)
        if variant.google:
            front.append(bench.folder(google.PART))
        run(f"{name}-front", front, PYTHONPATH=str(ROOT))
    config = write(folder / "config.json", json.dumps(_config(variant, addr, folder), indent=1))
    # It exports traces otherwise.
    run(name, [bench.bin / "registry", "serve", config], OTEL_TRACES_EXPORTER="none")
    if variant.also:
        forward = ours("forward", LOOPBACK, variant.host, str(port))
        environ = {"PYTHONPATH": str(ROOT)}
        bench.processes.start(f"{name}-forward", forward, part=name, environ=environ)


def _config(variant: Variant, addr: str, folder: Path) -> dict[str, Any]:
    """The registry's configuration: YAML, of which JSON is a part."""
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "text"},
        "storage": {
            "filesystem": {"rootdirectory": str(_data(folder))},
            "delete": {"enabled": True},
        },
        # Relative, so that whoever calls it by another name is sent to that name again.
        "http": {"addr": addr, "relativeurls": True, "secret": "bench"},
    }
    if variant.auth == "basic":
        lines = [f"{user}:{_hash(password)}" for user, password in USERS.items()]
        path = write(folder / "htpasswd", "\n".join(lines), 0o600)
        config["auth"] = {"htpasswd": {"realm": "bench", "path": str(path)}}
        tls = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")}
        config["http"]["tls"] = tls
    if variant.auth == "token":
        config["auth"] = {
            "token": {
                "realm": f"https://{addr}/token",  # asked for, and then not used:
                "autoredirect": True,  # the realm is at the name that the client called
                "autoredirectpath": "/token",
                "service": SERVICE,
                "issuer": ISSUER,
                "jwks": str(folder / "jwks.json"),
            }
        }
    return config


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=5)).decode()


def _ready(variant: Variant, bench: Bench, name: str) -> str | None:
    wanted = 200 if variant.auth == "none" else 401
    try:
        status = variant.at(bench).ask("/v2/")[0]
    except OSError as exc:
        return f"/v2/: {exc}"
    return None if status == wanted else f"/v2/ answered {status} instead of {wanted}"


def _environment(variant: Variant, bench: Bench) -> Mapping[str, str]:
    there = variant.at(bench)
    name = f"FAIRING_BENCH_{variant.part.upper().replace('-', '_')}"
    found = {name: there.name}
    if there.ca:
        found[f"{name}_CA"] = str(there.ca)
    for user, password in there.users.items():
        found[f"{name}_{user.upper()}"] = f"{user}:{password}"
    if there.node_name != there.name:
        found[f"{name}_NODES"] = there.node_name
    return found
