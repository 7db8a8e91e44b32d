"""Where a run's outputs are taken from: its pod, or a store; asked for from any byte on.

A transfer that breaks off is resumed, and what does not have its digest is not taken.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.cluster import labels
from fairing_core.cluster.client import AGAIN, FAILED, Cluster
from fairing_core.cluster.jobstate import main_of, name_of
from fairing_core.interfaces import Storage
from fairing_core.types import Report

Object = Mapping[str, Any]

BUNDLE = b"fairing outputs 1 "
"""How the object of a store begins that has outputs; the keeper's, too."""

_TRIES = 8  # connections that bring nothing new
_PAUSES = (0.1, 5.0)  # seconds between two of them
_TOLD_EVERY = 8 << 20  # bytes
_BLOCK = 1 << 20
_LONGEST_LINE = 64


class Source(ABC):
    """Where outputs are: asked for all of them, then for each from a byte on."""

    where: str

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def index(self) -> list[dict[str, Any]]:
        """What it has."""
        for tries in itertools.count(1):
            try:
                return self._index()
            except ConnectionError as exc:
                self._bear(exc, tries, "the list of outputs")
        raise AssertionError("unreachable")

    def release(self) -> bool:
        """Says that all of it is home; whether that was heard."""
        return True

    def fetch(
        self, number: int, entry: Object, place: Path, part: Path, progress: Progress
    ) -> None:
        """One file, resumed where an earlier try broke off, checked, and then put in its place."""
        place.parent.mkdir(parents=True, exist_ok=True)
        tries = 0
        while (size := part.stat().st_size if part.exists() else -1) < entry["size"]:
            try:
                with part.open("ab") as file:
                    for block in self._blocks(number, max(size, 0)):
                        file.write(block)
                        progress.add(len(block))
            except ConnectionError as exc:
                tries = 1 if part.exists() and part.stat().st_size > max(size, 0) else tries + 1
                self._bear(exc, tries, entry["path"] or "the result")
            else:
                if part.stat().st_size <= max(size, 0):
                    break  # that was all, whatever was announced
        if _digest(part) != entry["sha256"]:
            part.unlink()
            raise errors.ResultUnavailable(
                f"{entry['path'] or 'the result'} did not come home as {self.where} announced it: "
                "its SHA-256 differs; ask again while it is there",
                uri=self._uri,
            )
        part.replace(place)

    @abstractmethod
    def _index(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _blocks(self, number: int, offset: int) -> Iterator[bytes]: ...

    def _bear(self, error: ConnectionError, tries: int, what: str) -> None:
        """Waits for a while; raises where that would not help, or was tried often enough."""
        may_pass = (errors.ClusterUnreachable, errors.StorageUnreachable)
        if isinstance(error, errors.FairingError) and not isinstance(error, may_pass):
            raise error
        if tries == _TRIES:
            raise errors.ClusterUnreachable(
                f"{what} breaks off again and again on its way from {self.where}: {error}; "
                "what came is kept, ask again"
            ) from error
        time.sleep(min(_PAUSES[0] * 2 ** (tries - 1), _PAUSES[1]))


class Keeper(Source):
    """What keeps the outputs in a pod."""

    def __init__(self, cluster: Cluster, pod: Object, uri: str) -> None:
        super().__init__(uri)
        meta = pod["metadata"]
        self._cluster = cluster
        self.where = f"the pod {name_of(pod)}"
        self._path = f"/api/v1/namespaces/{meta['namespace']}/pods/{name_of(pod)}/exec"
        self._container = main_of(pod)
        self._command: list[str] = json.loads(meta["annotations"][labels.KEEPER])

    def release(self) -> bool:
        """Lets the pod end; whether it heard of it. One that is about to end may not."""
        try:
            b"".join(self._said("release"))
        except errors.ClusterDenied:
            raise
        except (errors.ClusterError, ConnectionError):
            return False
        return True

    def _index(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(b"".join(self._said("index")))
        return found

    def _blocks(self, number: int, offset: int) -> Iterator[bytes]:
        return self._said("send", str(number), str(offset))

    def _said(self, *words: str) -> Iterator[bytes]:
        command = [*self._command, *words]
        try:
            yield from self._cluster.execute(self._path, command, container=self._container)
        except errors.ClusterError as exc:
            if exc.status not in AGAIN or exc.reason == FAILED:
                raise
            raise ConnectionError(str(exc)) from exc


class Stored(Source):
    """The object of a store that has the outputs of a pod.

    Its form is that of `fairing_core.runtime.keep`: a line, the index, then file after file.
    """

    def __init__(self, storage: Storage, url: str, uri: str, *, run: str) -> None:
        super().__init__(uri)
        self._run = run
        self._storage = storage
        self._url = url
        self.where = url
        self._starts: list[tuple[int, int]] = []

    def _index(self) -> list[dict[str, Any]]:
        with self._storage.open(self._url) as stream:
            line = stream.readline(_LONGEST_LINE)
            length = line.removeprefix(BUNDLE).strip()
            if not line.startswith(BUNDLE) or not length.isdigit():
                raise errors.ResultUnavailable(
                    f"{self._url} is no outputs of a run; something else was written there",
                    uri=self._uri,
                )
            found = json.loads(stream.read(int(length)))
        if found["run"] != self._run:
            raise errors.ResultUnavailable(
                f"{self._url} has the outputs of another run of that name by now: {found['run']}",
                uri=self._uri,
            )
        at = len(line) + int(length)
        files: list[dict[str, Any]] = found["files"]
        for entry in files:
            self._starts.append((at, at + entry["size"]))
            at += entry["size"]
        return files

    def _blocks(self, number: int, offset: int) -> Iterator[bytes]:
        start, end = self._starts[number]
        left = end - start - offset
        with self._storage.open(self._url, start=start + offset) as stream:
            while left and (block := stream.read(min(left, _BLOCK))):
                left -= len(block)
                yield block


class Progress:
    """Tells of the bytes that came, now and then."""

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._total = total
        self._came = self._told = 0

    def add(self, count: int) -> None:
        self._came += count
        if self._came - self._told >= _TOLD_EVERY:
            self._told = self._came
            self._report("fetching", bytes=self._came, total=self._total)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
