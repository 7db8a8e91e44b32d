"""Brings home what a run leaves behind: from a store, or through its pod, which stays up for that.

The pod's first process (`fairing_core.runtime.keep`) tells the size and the SHA-256 of each file,
and sends it from any byte on, or has written all of it to the store as one object. A transfer that
breaks off is resumed, and what does not have its digest is not taken.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import posixpath
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairing_core import errors, log
from fairing_core.cluster import labels
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.jobstate import main_of, name_of, state_of
from fairing_core.cluster.podlog import PodLog
from fairing_core.interfaces import Storage
from fairing_core.types import Artifact, OwnedSecret, PodPatch, Report

logger = log.named(__name__)

OUTPUTS = "outputs/"
"""What the keys of outputs in a store begin with."""

Object = Mapping[str, Any]

_BUNDLE = b"fairing outputs 1 "  # these three are the keeper's, too (fairing_core.runtime.keep)
_STORE = "FAIRING_STORE_URL"
_RUN = "FAIRING_RUN_UID"
_SECRET = "outputs"  # noqa: S105 - its name
_WEEK = 604_800  # seconds; no signature is good for longer
_TRIES = 8  # connections that bring nothing new
_PAUSES = (0.1, 5.0)  # seconds between two of them
_TOLD_EVERY = 8 << 20  # bytes
_BLOCK = 1 << 20
_LONGEST_LINE = 64


def storing(storage: Storage, name: str, content: object) -> PodPatch:
    """What a pod needs to write its outputs to a store, once its program has ended.

    Without the Secret that `signed` gives, it keeps them instead. `content` is what the run is made
    of: with its `name` it names the object, which tells whose it is, as another run's may be there.
    """
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:12]
    url = storage.url(f"{OUTPUTS}{name}-{digest}")
    key = {"name": f"{name}-{_SECRET}", "key": "url", "optional": True}
    uid = {"fieldPath": f"metadata.labels['{labels.JOB_UID}']"}
    env = [
        {"name": _STORE, "valueFrom": {"secretKeyRef": key}},
        {"name": _RUN, "valueFrom": {"fieldRef": uid}},
    ]
    return PodPatch({}, {"env": env}, annotations={labels.OUTPUTS: url}, origin="outputs")


def signed(storage: Storage, job: Object) -> tuple[OwnedSecret, ...]:
    """The Secret by which the pods of a Job may write to its object in the store, if they may."""
    if (url := stored_at(job)) is None:
        return ()
    try:
        target = storage.signed_url(url, seconds=_WEEK, mode="write")
    except errors.StorageError as exc:
        logger.warning("%s; so outputs stay in the pod until they are fetched", exc)
        return ()
    return () if target is None else (OwnedSecret(_SECRET, {"url": target.encode()}),)


def stored_at(job: Object) -> str | None:
    """Where in a store the outputs of a Job are, or will be."""
    template: Object = job["spec"].get("template", {}).get("metadata") or {}
    url: str | None = (template.get("annotations") or {}).get(labels.OUTPUTS)
    return url


def root() -> Path:
    """``$FAIRING_ARTIFACTS``, else ``$XDG_DATA_HOME/fairing/artifacts``."""
    named = os.environ.get("FAIRING_ARTIFACTS")
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(named or f"{data}/fairing/artifacts").expanduser().absolute()


class Outputs:
    """The outputs of one run, here and in its pods.

    Args:
        cluster: where it runs.
        uid: the Job's.
        uri: the run's, for errors.
        many: whether several pods run side by side; each then has a folder of its own.
    """

    def __init__(self, cluster: Cluster, uid: str, *, uri: str, many: bool) -> None:
        self._cluster = cluster
        self._uid = uid
        self._uri = uri
        self._folder = root() / uid
        self._many = many
        self._released: set[str] = set()

    def here(self) -> list[Artifact]:
        """What is home: of the last pod that was brought home, or of each that ran beside it."""
        pods = sorted(self._folder.glob("*/index.json"), key=lambda path: path.stat().st_mtime)
        found = []
        for index in pods if self._many else pods[-1:]:
            before = f"{index.parent.name.rpartition('-')[2]}/" if self._many else ""
            for entry in json.loads(index.read_bytes()):
                if entry["path"] is not None:
                    at = index.parent / "files" / entry["path"]
                    digest = f"sha256:{entry['sha256']}"
                    found.append(Artifact(before + entry["path"], entry["size"], digest, at))
        return found

    def were_fetched(self) -> bool:
        """Whether a pod's outputs are home, however many they are."""
        return any(self._folder.glob("*/index.json"))

    def result(self, kept: Mapping[str, Any]) -> bytes | None:
        """The result record whose size and digest are `kept`, if it is home."""
        for path in self._folder.glob("*/result.json"):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == kept["sha256"]:
                return content
        return None

    def bring_home(self, pods: Sequence[Object], report: Report) -> None:
        """Takes what each pod keeps, and lets the pod end.

        Raises:
            ClusterDenied: this user may not run commands in pods.
            ClusterUnreachable: connections break off again and again.
            ResultUnavailable: the pod is gone, or sends what it did not announce.
            StateError: the disk is full, or can't be written to.
        """
        for pod in pods:
            if name_of(pod) in self._released or "running" not in state_of(pod):
                continue
            if PodLog(self._cluster, pod).is_kept():
                self._take(_Keeper(self._cluster, pod, self._uri), name_of(pod), report)

    def fetch(self, storage: Storage, url: str, report: Report) -> None:
        """Takes what the run has written to a store, if it has.

        Raises:
            StorageError: and its kinds.
            ResultUnavailable: it is not what was announced.
            StateError: the disk is full, or can't be written to.
        """
        if storage.stat(url) is not None:
            self._take(_Stored(storage, url, self._uri, run=self._uid), "stored", report)

    def forget(self) -> None:
        """Removes what is home."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take(self, source: _Source, name: str, report: Report) -> None:
        folder = self._folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                if not (folder / "index.json").exists():
                    self._take_all(source, folder, report)
        except OSError as exc:
            if isinstance(exc, errors.FairingError):
                raise
            raise errors.StateError(
                f"{exc.filename or folder} can't be written: {exc.strerror}; make room, or name "
                "another folder: FAIRING_ARTIFACTS"
            ) from exc
        if source.release():
            self._released.add(name)

    def _take_all(self, source: _Source, folder: Path, report: Report) -> None:
        index = source.index()
        wanted = [(n, entry) for n, entry in enumerate(index) if not entry.get("error")]
        total = sum(entry["size"] for _, entry in wanted)
        files = sum(entry["path"] is not None for _, entry in wanted)
        progress = _Progress(report, total)
        for number, entry in wanted:
            place, part = self._place(folder, entry), folder / f"{number}.part"
            source.fetch(number, entry, place, part, progress)
        unfinished = folder / "index.next"
        unfinished.write_text(json.dumps([entry for _, entry in wanted]), encoding="utf-8")
        unfinished.replace(folder / "index.json")
        report("fetched", files=files, bytes=total)

    def _place(self, folder: Path, entry: Object) -> Path:
        """Where a file goes; the pod names it, and may name nothing outside."""
        path: str | None = entry["path"]
        if path is None:
            return folder / "result.json"
        normal = posixpath.normpath(path)
        if normal != path or path.startswith(("/", "../")) or path in (".", "..") or "\0" in path:
            raise errors.ResultUnavailable(
                f"the pod names an output {path!r}, which is no path here",
                uri=self._uri,
            )
        return folder / "files" / path


class _Source:
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
        self, number: int, entry: Object, place: Path, part: Path, progress: _Progress
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
                break  # that was all, whatever was announced
        if _digest(part) != entry["sha256"]:
            part.unlink()
            raise errors.ResultUnavailable(
                f"{entry['path'] or 'the result'} did not come home as {self.where} announced it: "
                "its SHA-256 differs; ask again while it is there",
                uri=self._uri,
            )
        part.replace(place)

    def _index(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _blocks(self, number: int, offset: int) -> Iterator[bytes]:
        raise NotImplementedError

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


class _Keeper(_Source):
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
        return self._cluster.execute(self._path, command, container=self._container)


class _Stored(_Source):
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
            length = line.removeprefix(_BUNDLE).strip()
            if not line.startswith(_BUNDLE) or not length.isdigit():
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


class _Progress:
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


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else of this machine fetches the same."""
    with (folder / "lock").open("a") as lock:
        with contextlib.suppress(ImportError):  # Windows
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
