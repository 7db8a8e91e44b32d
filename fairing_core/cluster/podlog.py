"""The output of one pod: every line once, in order, whatever happens to the connection."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from fairing_core import errors
from fairing_core.cluster.client import READ, Cluster
from fairing_core.cluster.jobstate import (
    container_of,
    main_of,
    name_of,
    state_of,
    time_of,
    will_not_restart,
)
from fairing_core.cluster.labels import KEEPER
from fairing_core.cluster.lines import END, START, Line, Place, gap, split

Object = Mapping[str, Any]

_PAUSES = (0.05, 1.0)  # seconds between two looks at the pod
_BEGINNING = 240  # bytes in which the keeper's two lines are, and the time of the next
_STREAMS = 2
_AWAY = 60.0  # seconds that a log may be out of reach
_SILENCE = 3.0
"""Seconds without a line after which a follower asks anew, the first time; then twice as long.

Who comes to the end of a log's file only after the kubelet has rotated it is given nothing more,
until the container ends; who was at the end before goes on with the next file.
"""


class PodLog:
    """The output of a pod's program, over all restarts of its container."""

    def __init__(self, cluster: Cluster, pod: Object) -> None:
        meta = pod["metadata"]
        self.name = name_of(pod)
        self._cluster = cluster
        self._pod = pod
        self._container = main_of(pod)
        self._is_under_keeper = KEEPER in (meta.get("annotations") or {})
        self._is_for_once = pod["spec"].get("restartPolicy") == "Never"
        self._ends = 0  # streams that have ended
        self.has_ended = False
        """Whether the program has ended, though its container goes on."""
        self._at = f"/api/v1/namespaces/{meta['namespace']}/pods/{self.name}"

    def began(self) -> datetime | None:
        """When the first line that is still there was written (UTC)."""
        start = b"".join(self._stream(threading.Event(), limitBytes=_BEGINNING))
        lines = (line for line in start.split(b"\n") if START not in line)
        moment = next(lines, b"").partition(b" ")[0].decode("ascii", "replace")
        try:
            return time_of(moment or None)
        except ValueError:  # the kubelet's own words
            return None

    def is_running(self) -> bool:
        """Whether its container runs now."""
        return "running" in (self._state()[0] or {})

    def is_kept(self) -> bool:
        """Whether the program has ended, and its container was kept for its outputs."""
        return END in b"".join(self._last_lines())

    def _last_lines(self) -> list[bytes]:
        """As many as may be the keeper's; none where they can't be had now."""
        try:
            return b"".join(self._stream(threading.Event(), tailLines=2)).split(b"\n")
        except errors.ClusterDenied:
            raise
        except (errors.ClusterError, ConnectionError):
            return []

    def _wanted(self, tail: int) -> int:
        """As many lines, and those of the keeper's own that are the last ones."""
        if not self._is_under_keeper:
            return tail
        return tail + sum(line.partition(b" ")[2].startswith(END) for line in self._last_lines())

    def so_far(self, tail: int | None = None) -> Iterator[Line]:
        """What is there now."""
        restarts: int = container_of(self._pod).get("restartCount", 0)
        if tail is None and restarts:
            yield from self._earlier(0, restarts)
        with contextlib.suppress(errors.ObjectNotFound):
            yield from self._as_it_is(tail)

    def follow(self, stop: threading.Event, tail: int | None = None) -> Iterator[Line]:
        """What is there, and what comes, until the program has ended for good."""
        number: int = container_of(self._pod).get("restartCount", 0)
        if tail is None and number:
            yield from self._earlier(0, number)
        while not stop.is_set():
            yield from self._follow_one(stop, number, tail)
            restarts = self._next(stop, number)
            if restarts is None:
                return
            yield from self._earlier(number + 1, restarts)
            number, tail = restarts, None

    def _next(self, stop: threading.Event, number: int) -> int | None:
        """How often the container was started anew, once that is more; None if it never will be."""
        pause = _PAUSES[0]
        while not stop.is_set() and not (self.has_ended and self._is_for_once):
            pod = self._now()
            if pod is None:
                return None
            restarts: int = container_of(pod).get("restartCount", 0)
            if restarts > number:
                return restarts
            if will_not_restart(pod):
                return None
            stop.wait(pause)
            pause = min(pause * 1.5, _PAUSES[1])
        return None

    def _follow_one(self, stop: threading.Event, number: int, tail: int | None) -> Iterator[Line]:
        """One container's output, resumed as often as it takes."""
        self._ends, self.has_ended = 0, False
        place = Place()
        heard = time.monotonic()
        pause, patience = _PAUSES[0], _SILENCE
        while not stop.is_set():
            state, restarts = self._state()
            if restarts > number + 1:
                yield gap("the container was started anew, twice, while nobody was connected")
                return
            over = state is None or "terminated" in state or restarts > number
            query: dict[str, str | int] = {"previous": "true"} if restarts > number else {}
            try:
                if tail is not None:
                    yield from self._last(place, query, stop, tail=tail, over=over)
                    tail = None  # from there on
                else:
                    query |= place.query() if over else {**place.query(), "follow": "true"}
                    for line in self._rest(place, query, stop, over=over, patience=patience):
                        heard, pause = time.monotonic(), _PAUSES[0]
                        yield line
                if over or self.has_ended:
                    return
            except (errors.ClusterError, ConnectionError) as exc:
                if over and isinstance(exc, errors.ClusterError) and exc.status in (400, 404):
                    yield gap(f"the pod {self.name} was deleted, or its log was")
                    return
                if not _will_pass(exc, time.monotonic() - heard):
                    raise
            stop.wait(pause)
            pause, patience = min(pause * 1.5, _PAUSES[1]), min(patience * 2, READ)

    def _rest(
        self,
        place: Place,
        query: Mapping[str, str | int],
        stop: threading.Event,
        *,
        over: bool,
        patience: float = READ,
    ) -> Iterator[Line]:
        """What was not given yet, as far as one connection leads."""
        lines = place.fresh(split(self._stream(stop, patience, **query)))
        is_beginning = self._is_under_keeper and "sinceTime" not in query
        return self._given(place, lines, is_beginning=is_beginning, over=over)

    def _last(
        self,
        place: Place,
        query: Mapping[str, str | int],
        stop: threading.Event,
        *,
        tail: int,
        over: bool,
    ) -> Iterator[Line]:
        """The last lines; the place knows those before them, too, which come again by time."""
        count = max(self._wanted(tail), 2)  # the last one may be half a line
        lines = list(split(self._stream(stop, **query, tailLines=count)))
        if not over and lines and lines[0].time:
            there = Place()
            there.note(lines[0])
            again = list(split(self._stream(stop, **query, **there.query())))
            for line in again[: again.index(lines[0])] if lines[0] in again else ():
                place.note(line)
        given = self._given(place, lines, is_beginning=False, over=over)
        return iter(deque(given, maxlen=tail))

    def _given(
        self, place: Place, lines: Iterable[Line | None], *, is_beginning: bool, over: bool
    ) -> Iterator[Line]:
        """What the program wrote of `lines`, of which None is a gap; the place knows it then."""
        for line in lines:
            if line is None:
                yield gap("the log was rotated while nobody was connected")
                continue
            if line.is_first or line.is_last:
                is_beginning = False
                place.note(line)
                yield from self._of_keeper(line)
                if self.has_ended:
                    return
                continue
            if not line.text.endswith(b"\n") and not over:
                return  # half a line, maybe: read again, once the program has ended
            if is_beginning:
                yield gap("the log was rotated before anybody had read it")
                is_beginning = False
            place.note(line)
            yield line

    def _of_keeper(self, line: Line) -> Iterator[Line]:
        """What the program itself had written of a line in which its keeper says something."""
        if line.is_last:
            self._ends += 1
            self.has_ended = self._ends == _STREAMS
        if line.text:
            yield line

    def _earlier(self, first: int, restarts: int) -> Iterator[Line]:
        """What the container before this one wrote; those before that one are gone."""
        if restarts - first > 1:
            yield gap(f"of {restarts - first - 1} earlier starts of the container nothing is kept")
        if restarts > first:
            with contextlib.suppress(errors.ClusterError):
                yield from self._as_it_is(previous="true")

    def _as_it_is(self, tail: int | None = None, **more: str) -> Iterator[Line]:
        """One container's output as far as it is written; resumed where it is cut."""
        place = Place()
        heard = time.monotonic()
        never = threading.Event()
        while True:
            try:
                if tail is not None:
                    yield from self._last(place, more, never, tail=tail, over=True)
                    return
                for line in self._rest(place, {**place.query(), **more}, never, over=True):
                    heard = time.monotonic()
                    yield line
            except ConnectionError as exc:
                if isinstance(exc, errors.ClusterError):
                    raise
                if time.monotonic() - heard > _AWAY:
                    raise errors.ClusterUnreachable(
                        f"the log of the pod {self.name} breaks off again and again: {exc}"
                    ) from exc
                time.sleep(_PAUSES[0])
            else:
                return

    def _stream(
        self, stop: threading.Event, patience: float = READ, /, **query: str | int
    ) -> Iterator[bytes]:
        return self._cluster.stream(
            f"{self._at}/log",
            stop,
            patience=patience,
            container=self._container,
            timestamps="true",
            **query,
        )

    def _state(self) -> tuple[Object | None, int]:
        """The container's state, None once the pod is gone, and how often it was started anew."""
        pod = self._now()
        if pod is None:
            return None, 0
        return state_of(pod), container_of(pod).get("restartCount", 0)

    def _now(self) -> Object | None:
        """The pod, None once it is gone."""
        try:
            pod = self._cluster.get(self._at)
        except errors.ObjectNotFound:
            return None
        return pod if pod["metadata"]["uid"] == self._pod["metadata"]["uid"] else None


def _will_pass(fault: Exception, seconds: float) -> bool:
    """Whether it is worth asking again, after so many seconds without a line."""
    if isinstance(fault, errors.ClusterUnreachable | errors.ClusterDenied):
        return False  # the client has waited already
    return not isinstance(fault, errors.ClusterError) or seconds < _AWAY
