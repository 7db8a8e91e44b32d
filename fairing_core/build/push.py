"""Brings an image's blobs to a repository, side by side, and tags it when all are there.

What a registry was seen to hold is remembered: that is skipped, or mounted from where it was seen.
The memory may be wrong (registries collect garbage); the registry then says which blob it lacks,
and everything is looked at again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fairing_core import errors
from fairing_core.build.bases import Base
from fairing_core.build.code import CodeLayer
from fairing_core.build.codec import Layer
from fairing_core.build.image import NewImage
from fairing_core.build.work import Task, Workers
from fairing_core.images.cache import Cache
from fairing_core.images.manifest import Descriptor
from fairing_core.images.repository import Repository
from fairing_core.types import Report

_T = TypeVar("_T")

_WORKERS = 12
"""Most bases have about a dozen layers: their mounts are through when the code is."""
_HOMES = 8
"""Repositories that are remembered of one blob, the newest first."""
_TOLD_EVERY = 0.2  # seconds between two reports


class Traffic:
    """What went over the wire, in blobs and bytes; `report` is told from time to time."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.sent = self.mounted = self.skipped = self.copied = 0
        self.began = self._told = time.monotonic()
        self._lock = threading.Lock()

    def count(self, **more: int) -> None:
        """Adds to the counters."""
        with self._lock:
            for name, number in more.items():
                setattr(self, name, getattr(self, name) + number)
            now = time.monotonic()
            if now - self._told < _TOLD_EVERY:
                return
            self._told = now
        self.tell("pushing")

    def tell(self, name: str) -> None:
        """Reports how far it is."""
        self.report(
            name,
            sent=self.sent,
            mounted=self.mounted,
            skipped=self.skipped,
            copied=self.copied,
            seconds=time.monotonic() - self.began,
        )


class Push:
    """One push to one repository.

    Args:
        target: where to.
        tag: of the image.
        cache: remembers what repositories hold.
        report: told of the traffic.
    """

    def __init__(self, target: Repository, tag: str, *, cache: Cache, report: Report) -> None:
        self.traffic = Traffic(report)
        self._target = target
        self._tag = tag
        self._cache = cache
        self._workers = Workers(_WORKERS, "push")
        self._stopped = False
        self._sessions: list[Task[str]] = []
        self._tagged: Task[str | None] | None = None

    def start(self, work: Callable[..., _T], *arguments: Any) -> Task[_T]:
        """Does something side by side with the rest."""
        return self._workers.start(work, *arguments)

    def prepare(self, *, unchanged: bool) -> None:
        """Sends what can be sent before anything is known.

        Args:
            unchanged: whether the image is likely to be there already.
        """
        if unchanged:
            self._tagged = self.start(self._target.head, self._tag)
        else:
            self._sessions = [self.start(self._target.begin) for _ in range(2)]

    def is_there(self, image: NewImage) -> bool:
        """Whether the tag already names this very image."""
        if self._tagged is None:
            return False
        return self._tagged.result() == image.digest

    def blobs(
        self,
        base: Base,
        code: CodeLayer,
        image_of: Callable[[Layer], NewImage],
        *,
        trusting: bool = True,
    ) -> NewImage:
        """Brings all blobs there; the image that they make.

        Args:
            base: what is built on.
            code: the new layer.
            image_of: puts the layer on top of the base.
            trusting: False looks at what the memory says is there.
        """
        self._stopped = False
        known = code.known if trusting else None
        work: list[Task[Any]] = []
        try:
            if known is not None and self._is_home(known.digest):
                layer = known
                self.traffic.count(skipped=1)
            elif code.is_small:
                layer, content = code.pack()
                work.append(self.start(self._send, layer.digest, content, self._session()))
            else:
                made: Task[Layer] = self._workers.task()
                work.append(self.start(self._pour, code, made, self._session()))
                work += self._places(base, trusting)
                layer = self._first(made, work)
            image = image_of(layer)
            work.append(self.start(self._send, image.config_digest, image.config, self._session()))
            if code.is_small or layer is known:
                work += self._places(base, trusting)
            self._workers.wait(work)
        except BaseException:
            self._stopped = True
            raise
        self._remember(layer.digest)
        return image

    def tag(self, image: NewImage) -> bool:
        """Puts the manifest; False when the registry lacks a blob that it was seen to hold.

        Raises:
            RegistryError: it refuses for another reason.
        """
        response = self._target.tag(self._tag, image.manifest, image.media_type)
        if response.status in (200, 201, 202):
            response.close()
            return True
        try:
            content = response.read(1 << 20)
        except OSError:
            content = b""
        if response.status not in (400, 404) or b"BLOB_UNKNOWN" not in content:
            what = f"can't tag {self._target.full_name}:{self._tag}"
            self._target.remote.fail_with(response.status, content, what)
        return False

    def forget(self, image: NewImage) -> None:
        """Forgets where the image's blobs were seen."""
        for entry in json.loads(image.manifest)["layers"]:
            self._cache.drop("homes", self._home_key(entry["digest"]))

    def close(self) -> None:
        """Ends what still goes on."""
        self._stopped = True
        self._workers.close()

    # --- blobs ---------------------------------------------------------------------------------

    def _session(self) -> Task[str] | None:
        return self._sessions.pop(0) if self._sessions else None

    def _send(self, digest: str, content: bytes, session: Task[str] | None) -> None:
        self._target.send(digest, content, session.result() if session else None)
        self.traffic.count(sent=len(content))

    def _pour(self, code: CodeLayer, made: Task[Layer], session: Task[str] | None) -> None:
        latest: list[Layer] = []

        def blocks() -> Iterator[bytes]:
            for block in code.blocks():
                if self._stopped:
                    raise errors.FairingError("stopped")
                yield block
                self.traffic.count(sent=len(block))
            latest[:] = [code.made]
            if not made.done():
                made.succeed(code.made)

        try:
            self._target.pour_unknown(
                blocks, lambda: latest[0].digest, session.result() if session else None
            )
        except BaseException as exc:
            if not made.done():
                made.fail(exc)
            raise
        if made.result() != latest[0]:
            raise errors.UnreadableInput(
                "the files changed while they were sent; submit again once they are finished"
            )

    def _first(self, made: Task[Layer], work: list[Task[Any]]) -> Layer:
        """The layer once it is made, or the first failure of what goes on beside it."""
        self._workers.wait([made], beside=work)
        return made.result()

    def _places(self, base: Base, trusting: bool) -> list[Task[Any]]:
        if base.repository.full_name == self._target.full_name:
            return []
        unique = {layer.digest: layer for layer in base.manifest.layers}
        layers = sorted(unique.values(), key=lambda layer: -layer.size)
        there = [layer for layer in layers if trusting and self._is_home(layer.digest)]
        self.traffic.count(skipped=len(there))
        return [
            self.start(self._place, base, layer)
            for layer in layers
            if layer not in there and not layer.is_elsewhere
        ]

    def _place(self, base: Base, blob: Descriptor) -> None:
        """Mounts a layer of the base, or copies it."""
        if self._stopped:
            return
        session = None
        for source in self._sources(base, blob):
            if session is not None:
                self._target.abandon(session)
            session = self._target.mount(blob.digest, source)
            if session is None:
                self.traffic.count(mounted=1)
                self._remember(blob.digest)
                return
        if self._target.has(blob.digest):
            if session is not None:
                self._target.abandon(session)
            self.traffic.count(skipped=1)
        else:
            self.traffic.report("copying", bytes=blob.size, to=self._target.remote.host)
            self._target.pour(blob, lambda: self._copied(base, blob), session)
            self.traffic.count(copied=1)
        self._remember(blob.digest)

    def _copied(self, base: Base, blob: Descriptor) -> Iterator[bytes]:
        def counted(count: int) -> None:
            if self._stopped:
                raise errors.FairingError("stopped")
            self.traffic.count(sent=count)

        return base.repository.stream(blob, progress=counted)

    def _sources(self, base: Base, blob: Descriptor) -> list[str]:
        """The repositories of the target's registry to mount a layer from."""
        if base.repository.remote is self._target.remote:
            return [base.repository.name]
        homes = [home for home in self._homes(blob.digest) if home != self._target.name][:2]
        for home in homes:
            self._target.remote.wants(f"repository:{home}:pull")
        return homes

    # --- memory --------------------------------------------------------------------------------

    def _is_home(self, digest: str) -> bool:
        return self._target.name in self._homes(digest)

    def _homes(self, digest: str) -> list[str]:
        found = self._cache.load("homes", self._home_key(digest))
        return [str(home) for home in found] if isinstance(found, list) else []

    def _remember(self, digest: str) -> None:
        homes = self._homes(digest)
        if self._target.name not in homes:
            self._cache.save("homes", self._home_key(digest), [self._target.name, *homes][:_HOMES])

    def _home_key(self, digest: str) -> str:
        return f"{self._target.remote.host}\0{digest}"
