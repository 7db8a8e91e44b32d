"""Brings home what a run leaves behind: from a store, or through its pod, which stays up for that.

The pod's first process (`fairing_core.runtime.keep`) tells the size and the SHA-256 of each file,
and sends it from any byte on, or has written all of it to the store as one object. A transfer that
breaks off is resumed, and what does not have its digest is not taken.
"""

from __future__ import annotations

import contextlib
import hashlib
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
from fairing_core.cluster.jobstate import name_of, state_of
from fairing_core.cluster.podlog import PodLog
from fairing_core.cluster.sources import Keeper, Progress, Source, Stored
from fairing_core.interfaces import CertifiedStorage, Storage, certificates_of
from fairing_core.types import Artifact, OwnedSecret, PodPatch, Report

logger = log.named(__name__)

OUTPUTS = "outputs/"
"""What the keys of outputs in a store begin with."""

Object = Mapping[str, Any]

_STORE = "FAIRING_STORE_URL"
_TRUSTED = "FAIRING_STORE_CA"
_LONGEST = 100_000  # bytes of certificates; a variable takes no more than 131,071
_RUN = "FAIRING_RUN_UID"
_SECRET = "outputs"  # noqa: S105 - its name
_STORED = "stored"  # no pod's name: a Job's have their Job's before them
_WEEK = 604_800  # seconds; no signature is good for longer
_ENDING = 10.0  # seconds in which the API server knows of a container's end
_PAUSE = 0.2  # seconds between two looks whether it does


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
    if isinstance(storage, CertifiedStorage):
        trusted = {**key, "key": "ca"}
        env.append({"name": _TRUSTED, "valueFrom": {"secretKeyRef": trusted}})
    return PodPatch({}, {"env": env}, annotations={labels.OUTPUTS: url}, origin="outputs")


def signed(storage: Storage, job: Object) -> tuple[OwnedSecret, ...]:
    """The Secret by which the pods of a Job may write to its object in the store, if they may."""
    if (url := stored_at(job)) is None:
        return ()
    try:
        target = storage.signed_url(url, seconds=_WEEK, mode="write")
        trusted = certificates_of(storage)
    except errors.StorageError as exc:
        logger.warning("%s; so outputs stay in the pod until they are fetched", exc)
        return ()
    if target is None:
        return ()
    if trusted is not None and len(trusted) > _LONGEST:
        logger.warning(
            "the store's certificates are %d bytes, too many for pods, so outputs stay in the pod "
            "until they are fetched; name a file with its authority alone",
            len(trusted),
        )
        return ()
    # Comments may be in any encoding, of which a variable and `ssl` take no other.
    more = {} if trusted is None else {"ca": trusted.decode("ascii", "ignore").encode()}
    return (OwnedSecret(_SECRET, {"url": target.encode(), **more}),)


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
                if entry["path"] is not None and not entry.get("error"):
                    at = index.parent / "files" / entry["path"]
                    digest = f"sha256:{entry['sha256']}"
                    found.append(Artifact(before + entry["path"], entry["size"], digest, at))
        return found

    def left_out(self) -> dict[str, str]:
        """Of the pods whose outputs are home, what was asked for and is not among them, and why."""
        indexes = [json.loads(one.read_bytes()) for one in self._folder.glob("*/index.json")]
        return {
            entry["path"]: entry["error"]
            for index in indexes
            for entry in index
            if entry.get("error")
        }

    def were_fetched(self, pod: str = "*") -> bool:
        """Whether a pod's outputs are home, however many they are."""
        return any(self._folder.glob(f"{pod}/index.json"))

    def were_stored(self) -> bool:
        """Whether outputs are home that came from a store."""
        return self.were_fetched(_STORED)

    def result(self, kept: Mapping[str, Any]) -> bytes | None:
        """The result record whose size and digest are `kept`, if it is home."""
        for path in self._folder.glob("*/result.json"):
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == kept["sha256"]:
                return content
        return None

    def bring_home(self, pods: Sequence[Object], report: Report) -> None:
        """Takes what each pod keeps, and lets the pod end.

        One that ends meanwhile (its time is over, or somebody else has let it end) is warned of;
        one whose log can't be had now is looked at the next time.

        Raises:
            ClusterDenied: this user may not read logs, or run commands in pods.
            ClusterUnreachable: connections break off again and again.
            ResultUnavailable: the pod sends what it did not announce.
            StateError: the disk is full, or can't be written to.
        """
        for pod in pods:
            if name_of(pod) in self._released or "running" not in state_of(pod):
                continue
            if PodLog(self._cluster, pod).is_kept():
                self._take_from(pod, report)

    def fetch(self, storage: Storage, url: str, report: Report) -> None:
        """Takes what the run has written to a store, if it has.

        Raises:
            StorageError: and its kinds.
            ResultUnavailable: it is not what was announced.
            StateError: the disk is full, or can't be written to.
        """
        if storage.stat(url) is not None:
            self._take(Stored(storage, url, self._uri, run=self._uid), _STORED, report)

    def forget(self) -> None:
        """Removes what is home."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take_from(self, pod: Object, report: Report) -> None:
        try:
            self._take(Keeper(self._cluster, pod, self._uri), name_of(pod), report)
        except errors.ClusterDenied:
            raise
        except errors.ClusterError as exc:
            deadline = time.monotonic() + _ENDING
            while PodLog(self._cluster, pod).is_running():
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)
            logger.warning("%s ended before its outputs were home: %s", name_of(pod), exc)

    def _take(self, source: Source, name: str, report: Report) -> None:
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

    def _take_all(self, source: Source, folder: Path, report: Report) -> None:
        index = source.index()
        wanted = [(n, entry) for n, entry in enumerate(index) if not entry.get("error")]
        total = sum(entry["size"] for _, entry in wanted)
        files = sum(entry["path"] is not None for _, entry in wanted)
        progress = Progress(report, total)
        for number, entry in wanted:
            place, part = self._place(folder, entry), folder / f"{number}.part"
            source.fetch(number, entry, place, part, progress)
        unfinished = folder / "index.next"
        unfinished.write_text(json.dumps(index), encoding="utf-8")
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


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else of this machine fetches the same."""
    with (folder / "lock").open("a") as lock:
        with contextlib.suppress(ImportError):  # Windows
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
