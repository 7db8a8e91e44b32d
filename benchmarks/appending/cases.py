"""What is measured beside what, and what it has to reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Into = Literal["warm", "new", "cold", "again", "first", "second"]
Against = Literal["crane", "docker", "floor", "here"]

PEAK_MB = 80.0
INTO = {
    "warm": "the repository of the run before",
    "new": "a new repository of the base's registry",
    "cold": "likewise, and our cache is empty",
    "again": "nothing has changed since the run before",
    "first": "another registry, which has nothing of the base yet; our cache is empty",
    "second": "a new repository of another registry, to which the base was pushed before",
}
AGAINST = {
    "crane": "crane append, of a tar that is there before the clock starts",
    "docker": "docker build (BuildKit, the base in the engine) and docker push",
    "floor": "curl: POSTs, then PUTs of blobs that are there before the clock starts",
    "here": "ours into `new`, of the base's own registry",
    "tar-gzip": "tar -c | gzip -1",
}


@dataclass(frozen=True)
class Case:
    """Ours beside another; the target is the most that the ratio may be."""

    content: str
    into: Into
    link: str
    against: Against
    target: float | None = None
    requests: int | None = None

    @property
    def name(self) -> str:
        """All of it, such as ``20kb-warm-tls-crane``."""
        return f"{self.content}-{self.into}-{self.link}-{self.against}"


CASES = (
    *(
        Case("20kb", into, link, "crane", target)
        for into in ("warm", "new")
        for link, target in (
            ("loopback", 2.0),
            ("tls", None),
            ("tls-auth", None),
            ("tls-20ms", 0.65),
            ("tls-60ms", 0.5),
        )
    ),
    *(Case("20kb", "cold", link, "crane") for link in ("loopback", "tls-20ms", "tls-60ms")),
    Case("20kb", "warm", "loopback", "docker"),
    Case("20kb", "new", "loopback", "docker"),
    Case("20kb", "warm", "loopback", "floor"),
    Case("20kb", "new", "loopback", "floor"),
    *(Case("100mb", "warm", link, "crane", 0.9) for link in ("loopback", "tls")),
    Case("100mb", "new", "loopback", "crane", 0.9),
    Case("100mb", "warm", "loopback", "docker"),
    Case("100mb", "warm", "loopback", "floor"),
    *(Case("256mb", "warm", link, "crane", 0.35) for link in ("loopback", "tls")),
    Case("256mb", "new", "loopback", "crane", 0.35),
    Case("256mb", "warm", "loopback", "docker"),
    Case("256mb", "warm", "loopback", "floor"),
    *(
        Case(content, "again", link, "crane", None, 2)
        for content, link in (("20kb", "loopback"), ("20kb", "tls-20ms"), ("256mb", "loopback"))
    ),
    Case("20kb", "first", "loopback", "crane"),
    Case("20kb", "second", "loopback", "here", 2.0),
    Case("20kb", "second", "tls-20ms", "here", 2.0),
)
PACK = "pack-10000-tar-gzip"
PACK_TARGET = 1.5
