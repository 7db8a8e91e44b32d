"""One build in a cluster, from its Job to the digest that its engine tells."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fairing_core import errors, log
from fairing_core.build.cluster import faults
from fairing_core.build.cluster.engines import MAIN
from fairing_core.build.cluster.job import FETCH, Rendered
from fairing_core.cluster import jobstate, labels, owned
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.foresee import refusal
from fairing_core.cluster.handle import JobRun, collection
from fairing_core.types import Diagnosis, Report, RunStatus
from fairing_core.values import replace

logger = log.named(__name__)

Object = Mapping[str, Any]

_POLL = (0.05, 0.5)  # seconds between two looks
_TAIL = 40  # lines of the log that an error has
_SHOWN = 12  # of those, in its message
_LINES = 5_000  # of which the cause is looked for
_CUT = 5.0  # seconds for a build to notice that nobody feeds it any more
_OLD = 600  # seconds after which a Job that was never started belongs to a client that died
# What no waiting cures, and seconds for which it may be a moment's.
_HOPELESS: Mapping[str, float] = {
    "command-not-executable": 10.0,
    "command-not-found": 10.0,
    "container-config": 10.0,
    "container-start": 30.0,
    "image": 60.0,
    "image-name": 0.0,
    "image-not-found": 10.0,
    "image-denied": 10.0,
    "image-tls": 10.0,
    "image-architecture": 0.0,
    "image-unreachable": 30.0,
    "service-account": 0.0,
    "quota": 0.0,
    "admission": 0.0,
    "not-admitted": 10.0,
    "volume-not-mounted": 30.0,
}
# What to do about a build, where that is something else than for a run.
_CURES: Mapping[str, str] = {
    "deadline": "give it longer: timeout=",
    "evicted": "ask for what it needs: resources={'memory': ..., 'limits': {'ephemeral-storage': "
    "...}}",
    "image-denied": "name the Secret that has a login for it (image_pull_secrets=), or another "
    "image (engine_image=, fetch_image=)",
    "image-not-found": "name one that is there: engine_image=, fetch_image=",
    "out-of-memory": "give it more: resources={'memory': ...}",
    "unschedulable": "ask for less (resources=, node_selector=), or wait longer (start_timeout=)",
}
# Where the end of the log says more than the cause, which is a line of it.
_TOLD_BY_THE_LOG = frozenset({"run-failed", "failed", "out-of-memory", "deadline", "evicted"})
# What the end of a container says where only its log knows more.
_OF_THE_LOG = frozenset({"exit-code", "ended", "exception", "import", "missing-file"})


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
        self._needs = rendered.needs
        self._fetches = "initContainers" in job["spec"]["template"]["spec"]
        sweep(cluster, self._namespace)
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
        """Deletes the Job, and with it its pod and its Secrets; where it can't, they expire."""
        try:
            self._run.delete()
        except errors.ClusterError as exc:
            logger.warning("the build %s is left to expire: %s", self.name, exc)

    def digest(self, *, feed: Callable[[], Iterator[bytes]] | None, start_timeout: float) -> str:
        """What the engine says that it has pushed, once it has ended well.

        Args:
            feed: what it is given on stdin.
            start_timeout: seconds that its pod may stand without anything running in it.

        Raises:
            BuildError: it failed, with the cause and the end of the log.
        """
        try:
            if feed is not None:
                reader = FETCH if self._fetches else MAIN
                self._wait_for(reader, start_timeout)
                self._feed(feed(), reader)
            self._wait_for(MAIN, start_timeout)
            self._follow()
            status = self._run.wait(60)
        except errors.RunNotFound as exc:
            raise self._error(
                Diagnosis("deleted", "somebody deleted its Job", next="build again")
            ) from exc
        if status is not RunStatus.SUCCEEDED:
            raise self._failure()
        ends = [jobstate.state_of(pod).get("terminated") or {} for pod in self._pods()]
        digest = str(ends[-1].get("message") or "").strip() if ends else ""
        if not digest.startswith("sha256:"):
            cause = f"it ended well, but told no digest of an image: {digest[:100]!r}"
            cure = "see whether engine= is what engine_image= has"
            raise self._error(Diagnosis("no-digest", cause, next=cure))
        return digest

    def _wait_for(self, container: str, patience: float) -> None:
        """Comes back once `container` has begun, or all has ended.

        Raises:
            BuildError: it never will, or nothing of the pod has run for so many seconds.
        """
        began = idle = time.monotonic()
        pause = _POLL[0]
        first: dict[str, float] = {}
        told = ""
        while True:
            pods = self._pods()
            if any(_has_begun(pod, container) for pod in pods) or self._run.status.is_terminal:
                return
            now = time.monotonic()
            if any(map(_is_running, pods)):  # what comes before it
                idle = now
            found = self._run.why() if now - began > 1 or not pods else None
            if found is not None:
                first.setdefault(found.kind, now)
                hopeless = _HOPELESS.get(found.kind)
                if hopeless is not None and now - first[found.kind] >= hopeless:
                    raise self._error(found)
                if found.cause != told:
                    told = found.cause
                    logger.warning("the build %s waits: %s", self.name, told)
            if now - idle > patience:
                late = Diagnosis(
                    "not-started",
                    f"its pod has not started within {patience:g} s",
                    next="give it longer (start_timeout=)",
                )
                raise self._error(found or late)
            time.sleep(pause)
            pause = min(pause * 1.3, _POLL[1])

    def _feed(self, blocks: Iterator[bytes], container: str) -> None:
        pods = self._pods()
        if not pods or self._run.status.is_terminal:
            return  # whoever waits for its end tells why
        path = f"/api/v1/namespaces/{self._namespace}/pods/{jobstate.name_of(pods[-1])}/attach"
        try:
            self._cluster.feed(path, blocks, container=container)
        except ConnectionError as exc:
            if isinstance(exc, errors.FairingError):
                raise
            # Nobody reads where it has ended of itself, and its log says why. Not every container's
            # stdin ends with the connection that fed it.
            cut = None
            with contextlib.suppress(errors.WaitTimeout):
                self._run.wait(_CUT)
                self._follow()
                cut = self._failure()
            if cut is None or cut.kind == "failed":
                cause = f"its context broke off on the way: {exc}"
                cure = "build again, or set up a store, which takes cut connections up again"
                cut = self._error(Diagnosis("context-cut", cause, next=cure))
            raise cut from exc

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

    def _failure(self) -> errors.BuildError:
        """Why it failed: by the cluster, else by the engine's own log."""
        pods = self._pods()
        if self._fetches and pods and not jobstate.has_started(pods[-1]):
            self._read_fetch(pods[-1])
        found = self._run.why() or Diagnosis("failed", "nothing says why")
        if found.kind in _OF_THE_LOG:
            fault = faults.fault(self._lines)
            code = self._run.outcome().exit_code
            if fault is not None:
                shown = f" (exit code {code})" if code else ""
                found = Diagnosis(fault.kind, f"{fault.cause}{shown}", next=fault.next)
            elif code:
                found = Diagnosis("failed", f"exit code {code}, and its log names no error")
        return self._error(found)

    def _read_fetch(self, pod: Object) -> None:
        """The log of the container that fetches the context, where the build never began."""
        path = f"/api/v1/namespaces/{self._namespace}/pods/{jobstate.name_of(pod)}/log"
        with contextlib.suppress(errors.ClusterError, ConnectionError):
            raw = b"".join(self._cluster.stream(path, threading.Event(), container=FETCH))
            for line in raw.decode("utf-8", "replace").splitlines():
                self._line(line)

    def _error(self, found: Diagnosis) -> errors.BuildError:
        cure = self._needs if found.kind == "admission" else _CURES.get(found.kind)
        if cure:
            found = replace(found, next=cure)
        tail = self._tail()
        shown = tail.splitlines()[-_SHOWN:] if found.kind in _TOLD_BY_THE_LOG else []
        return errors.BuildError(
            "\n".join([f"the build {self.name} failed: {found}", *(f"  | {one}" for one in shown)]),
            kind=found.kind,
            tail=tail,
        )

    def _tail(self) -> str:
        return "".join(f"{line}\n" for line in list(self._lines)[-_TAIL:])

    def _pods(self) -> Sequence[Object]:
        selector = labels.selector({labels.JOB_UID: self._run.uid})
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        return jobstate.by_age(self._cluster.listed(path, labelSelector=selector))


@contextlib.contextmanager
def ending_by_sigterm() -> Iterator[None]:
    """SIGTERM ends what goes on as Ctrl-C does, where nobody else has a mind of it.

    By default it ends a program at once, and the build would go on without anybody.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _has_begun(pod: Object, container: str) -> bool:
    states = [one.get("state") or {} for one in _containers(pod) if one["name"] == container]
    return any("running" in state or "terminated" in state for state in states)


def _is_running(pod: Object) -> bool:
    return any("running" in (one.get("state") or {}) for one in _containers(pod))


def _containers(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def sweep(cluster: Cluster, namespace: str, *, now: datetime | None = None) -> None:
    """Deletes Jobs that were never started: who made them was killed before that.

    Who may not do that leaves them; they cost nothing.
    """
    now = now or datetime.now(UTC)
    with contextlib.suppress(errors.ClusterError):
        selector = f"{labels.selector(labels.OURS)},{labels.BUILDER}"
        for job in cluster.listed(collection(namespace), labelSelector=selector):
            meta = job["metadata"]
            made = jobstate.time_of(meta["creationTimestamp"])
            if job["spec"].get("suspend") and made and (now - made).total_seconds() > _OLD:
                logger.info("deleting the build %s, which was never started", meta["name"])
                cluster.delete(f"{collection(namespace)}/{meta['name']}", uid=meta["uid"])
