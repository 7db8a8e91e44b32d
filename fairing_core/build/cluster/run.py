"""One build in a cluster, from its Job to the digest that its engine tells."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from fairing_core import errors, log
from fairing_core.build.cluster import faults
from fairing_core.build.cluster.engines import MAIN
from fairing_core.build.cluster.job import FETCH, Rendered
from fairing_core.cluster import jobstate, labels, owned
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.foresee import refusal
from fairing_core.cluster.handle import JobRun, collection
from fairing_core.types import Diagnosis, Report, RunStatus

logger = log.named(__name__)

Object = Mapping[str, Any]

_POLL = (0.05, 0.5)  # seconds between two looks
_TAIL = 40  # lines of the log that an error has
_LINES = 5_000  # of which the cause is looked for
_OLD = 600  # seconds after which a Job that was never started belongs to a client that died
# What no waiting cures, and seconds for which it may be a moment's.
_HOPELESS: Mapping[str, float] = {
    "container-config": 10.0,
    "image-name": 0.0,
    "image-not-found": 10.0,
    "image-denied": 10.0,
    "image-tls": 10.0,
    "image-architecture": 0.0,
    "image-unreachable": 30.0,
    "service-account": 0.0,
    "quota": 0.0,
    "admission": 0.0,
}


class BuildRun:
    """A build's Job, watched to its end; `close` takes it away.

    Args:
        cluster: where it builds.
        rendered: the Job and its Secrets.
        report: told of the log, line by line.
    """

    def __init__(self, cluster: Cluster, rendered: Rendered, report: Report) -> None:
        self._cluster = cluster
        self._report = report
        self._lines: deque[str] = deque(maxlen=_LINES)
        job = rendered.job
        self._namespace: str = job["metadata"]["namespace"]
        self._fetches = "initContainers" in job["spec"]["template"]["spec"]
        _sweep(cluster, self._namespace)
        try:
            made = cluster.create(collection(self._namespace), job)
        except errors.ClusterError as exc:
            raise refusal(exc, job) from exc
        self._run = JobRun(cluster, made)
        try:
            owned.create(cluster, made, rendered.secrets)
            start = {"metadata": {"uid": made["metadata"]["uid"]}, "spec": {"suspend": False}}
            cluster.patch(f"{collection(self._namespace)}/{self._run.name}", start)
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The Job's name."""
        return self._run.name

    def close(self) -> None:
        """Deletes the Job, and with it its pod and its Secrets."""
        self._run.delete()

    def digest(self, *, feed: Callable[[], Iterator[bytes]] | None, start_timeout: float) -> str:
        """What the engine says that it has pushed, once it has ended well.

        Args:
            feed: what it is given on stdin.
            start_timeout: seconds that its pod may take to start.

        Raises:
            BuildError: it failed, with the cause and the end of the log.
        """
        reader = FETCH if feed is not None and self._fetches else MAIN
        self._wait_for_start(start_timeout, reader)
        if feed is not None:
            self._feed(feed(), reader)
        self._follow()
        status = self._run.wait(60)
        if status is not RunStatus.SUCCEEDED:
            self._fail()
        ends = [jobstate.state_of(pod).get("terminated") or {} for pod in self._pods()]
        digest = str(ends[-1].get("message") or "").strip() if ends else ""
        if not digest.startswith("sha256:"):
            raise errors.BuildError(
                f"the build {self.name} ended well, but told no digest of an image: {digest!r}",
                kind="no-digest",
                tail=self._tail(),
            )
        return digest

    def _wait_for_start(self, patience: float, container: str) -> None:
        began = time.monotonic()
        pause = _POLL[0]
        first: dict[str, float] = {}
        told = ""
        while True:
            pods = self._pods()
            if any(_has_begun(pod, container) for pod in pods) or self._run.status.is_terminal:
                return
            now = time.monotonic()
            found = self._run.why() if now - began > 1 or not pods else None
            if found is not None:
                first.setdefault(found.kind, now)
                hopeless = _HOPELESS.get(found.kind)
                if hopeless is not None and now - first[found.kind] >= hopeless:
                    self._raise(found)
                if found.cause != told:
                    told = found.cause
                    logger.warning("the build %s waits: %s", self.name, told)
            if now - began > patience:
                self._raise(
                    found
                    or Diagnosis("not-started", f"its pod has not started within {patience:g} s")
                )
            time.sleep(pause)
            pause = min(pause * 1.3, _POLL[1])

    def _feed(self, blocks: Iterator[bytes], container: str) -> None:
        pod = jobstate.name_of(self._pods()[-1])
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod}/attach"
        try:
            self._cluster.feed(path, blocks, container=container)
        except ConnectionError as exc:
            if isinstance(exc, errors.FairingError):
                raise
            raise errors.BuildError(
                f"the context of the build {self.name} broke off on its way: {exc}; build again, "
                "or set up a store, which resumes",
                kind="context-cut",
                tail=self._tail(),
            ) from exc

    def _follow(self) -> None:
        rest = ""
        for piece in self._run.logs(follow=True):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)

    def _line(self, line: str) -> None:
        self._lines.append(line)
        self._report("build-log", line=line)

    def _fail(self) -> NoReturn:
        pods = self._pods()
        if self._fetches and pods and not jobstate.has_started(pods[-1]):
            self._read_fetch(pods[-1])
        found = self._run.why() or Diagnosis("unknown", "it failed")
        if found.kind in ("exit-code", "exception", "import", "missing-file", "ended"):
            fault = faults.fault(self._lines)
            if fault is not None:
                found = Diagnosis(fault.kind, fault.cause, next=fault.next)
        self._raise(found)

    def _read_fetch(self, pod: Object) -> None:
        """The log of the container that fetches the context, where the build never began."""
        path = f"/api/v1/namespaces/{self._namespace}/pods/{jobstate.name_of(pod)}/log"
        with contextlib.suppress(errors.ClusterError, ConnectionError):
            raw = b"".join(self._cluster.stream(path, threading.Event(), container=FETCH))
            for line in raw.decode("utf-8", "replace").splitlines():
                self._line(line)

    def _raise(self, found: Diagnosis) -> NoReturn:
        tail = self._tail()
        shown = "\n".join(f"  | {line}" for line in tail.splitlines()[-12:])
        raise errors.BuildError(
            f"the build {self.name} failed: {found}" + (f"\n{shown}" if shown else ""),
            kind=found.kind,
            tail=tail,
        )

    def _tail(self) -> str:
        return "".join(f"{line}\n" for line in list(self._lines)[-_TAIL:])

    def _pods(self) -> Sequence[Object]:
        selector = labels.selector({labels.JOB_UID: self._run.uid})
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        return jobstate.by_age(self._cluster.listed(path, labelSelector=selector))


def _has_begun(pod: Object, container: str) -> bool:
    status = pod.get("status", {})
    known = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    states = [one.get("state") or {} for one in known if one["name"] == container]
    return any("running" in state or "terminated" in state for state in states)


def _sweep(cluster: Cluster, namespace: str) -> None:
    """Deletes Jobs that were never started: who made them was killed before that."""
    with contextlib.suppress(errors.ClusterError):
        selector = f"{labels.selector(labels.OURS)},{labels.BUILDER}"
        for job in cluster.listed(collection(namespace), labelSelector=selector):
            meta = job["metadata"]
            made = jobstate.time_of(meta["creationTimestamp"])
            if not job["spec"].get("suspend") or made is None:
                continue
            if (datetime.now(UTC) - made).total_seconds() > _OLD:
                path = f"{collection(namespace)}/{meta['name']}"
                cluster.delete(path, uid=meta["uid"])
