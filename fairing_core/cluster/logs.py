"""The output of a run's pods, side by side or one after the other."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairing_core import errors, log
from fairing_core.cluster import jobstate
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.lines import Line, gap
from fairing_core.cluster.podlog import PodLog

logger = log.named(__name__)

Object = Mapping[str, Any]

_PAUSES = (0.05, 1.0)  # seconds between two looks at the pods
_GONE = gap("its pods were deleted, or have gone with their nodes, and the log with them")


class Output:
    """The output of all pods of a run, as text.

    Args:
        cluster: where they run.
        look: the Job and its pods now; raises RunNotFound once the Job is gone.
        many: whether several pods run side by side: then each line says whose it is.
        attend: lets a pod end that is kept for its outputs, where another attempt waits for that.
    """

    def __init__(
        self,
        cluster: Cluster,
        look: Callable[[], tuple[Object, Sequence[Object]]],
        *,
        many: bool,
        attend: Callable[[], None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._look = look
        self._many = many
        self._attend = attend

    def so_far(self, tail: int | None = None) -> Iterator[str]:
        """What is there now."""
        job, pods = self._look()
        if _is_gone(job, pods):
            yield _text(_GONE, "")
            return
        sources = self._sources(pods)
        if not self._many:
            # One after the other: each is another attempt.
            for source in sources if tail is None else sources[-1:]:
                yield from (_text(line, "") for line in source.so_far(tail))
            return
        merged = heapq.merge(*(_keyed(source, tail) for source in sources), key=lambda one: one[0])
        lines = (_text(line, prefix) for _, line, prefix in merged)
        yield from lines if tail is None else deque(lines, maxlen=tail)

    def follow(self, tail: int | None = None) -> Iterator[str]:
        """What is there, and what comes, until the run has ended and all of it was given."""
        merged = _Merged(self._many)
        pause, told = _PAUSES[0], ""
        try:
            while True:
                job, pods = self._now()
                for source in self._sources(pods):
                    merged.add(source, tail)
                if not merged.active and (job is None or _has_ended(job, pods)):
                    if job is not None and not merged.names and _is_gone(job, pods):
                        yield _text(_GONE, "")
                    return
                if job is not None and not merged.active and merged.kept:
                    if not job["spec"].get("backoffLimit") and merged.names >= _names(pods):
                        return
                    self._attend()
                if job is not None and not merged.names:
                    told = _tell(job, pods, told)
                for line in merged.lines():
                    yield line
                    pause = _PAUSES[0]
                if not merged.active:
                    time.sleep(pause)
                    pause = min(pause * 1.1, _PAUSES[1])
        finally:
            merged.stop.set()

    def _now(self) -> tuple[Object | None, Sequence[Object]]:
        try:
            return self._look()
        except errors.RunNotFound:
            return None, ()

    def _sources(self, pods: Sequence[Object]) -> list[PodLog]:
        """Of the pods whose program has started."""
        started = [pod for pod in jobstate.by_age(pods) if jobstate.has_started(pod)]
        return [PodLog(self._cluster, pod) for pod in started]


class _Merged:
    """The lines of several pods as they come, each read by a thread of its own."""

    def __init__(self, many: bool) -> None:
        self.active = 0
        self.names: set[str] = set()
        self.kept: set[str] = set()
        """Pods whose program has ended, and which are kept for its outputs."""
        self.stop = threading.Event()
        self._many = many
        self._queue: queue.Queue[str | BaseException | None] = queue.Queue(maxsize=10_000)

    def add(self, source: PodLog, tail: int | None) -> None:
        """Follows a pod, unless it does already."""
        if source.name in self.names:
            return
        self.names.add(source.name)
        self.active += 1
        threading.Thread(
            target=self._work, args=(source, tail), name=f"log of {source.name}", daemon=True
        ).start()

    def lines(self) -> Iterator[str]:
        """Those that come, until a pod's end, or, of several, until others may have begun."""
        began = time.monotonic()
        while self.active and (not self._many or time.monotonic() - began < _PAUSES[1]):
            try:
                item = self._queue.get(timeout=_PAUSES[1])
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                self.active -= 1
                return
            yield item

    def _work(self, source: PodLog, tail: int | None) -> None:
        prefix = _prefix(source) if self._many else ""
        try:
            for line in source.follow(self.stop, tail):
                self._put(_text(line, prefix))
            if source.has_ended:
                self.kept.add(source.name)
            self._put(None)
        except BaseException as exc:  # noqa: BLE001 - raised where the lines are read
            self._put(exc)

    def _put(self, item: str | BaseException | None) -> None:
        while not self.stop.is_set():
            try:
                self._queue.put(item, timeout=_PAUSES[1])
            except queue.Full:
                continue
            return


def _has_ended(job: Object, pods: Sequence[Object]) -> bool:
    return jobstate.status_of(job, pods).is_terminal


def _is_gone(job: Object, pods: Sequence[Object]) -> bool:
    """Whether it had output, for all that is known, and has none of its pods any more."""
    return not pods and _has_ended(job, pods) and not jobstate.is_cancelled(job)


def _names(pods: Sequence[Object]) -> set[str]:
    return {jobstate.name_of(pod) for pod in pods}


def _tell(job: Object, pods: Sequence[Object], told: str) -> str:
    """Says why the run waits, once for each reason."""
    reason = jobstate.waiting_for(job, pods) or ""
    if reason and reason != told:
        logger.warning("%s waits: %s", jobstate.name_of(job), reason)
    return reason


def _keyed(source: PodLog, tail: int | None) -> Iterator[tuple[str, Line, str]]:
    prefix = _prefix(source)
    last = ""
    for line in source.so_far(tail):
        last = line.time or last
        yield last, line, prefix


def _prefix(source: PodLog) -> str:
    return f"[{source.name.rpartition('-')[2]}] "


def _text(line: Line, prefix: str) -> str:
    text = line.text.decode("utf-8", "replace")
    if prefix and not text.endswith("\n"):
        text += "\n"  # another pod's line may follow
    return prefix + text
