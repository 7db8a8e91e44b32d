"""When each step of a run was, by the cluster's own times: pure functions over plain dicts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from fairing_core.cluster.jobstate import by_age, main_of, state_of, time_of
from fairing_core.types import Step

Object = Mapping[str, Any]

_PULLED = re.compile(r"\bin ((?:[\d.]+(?:h|ms|m|µs|us|ns|s))+)")
_PART = re.compile(r"([\d.]+)(h|ms|m|µs|us|ns|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "ns": 1e-9}


def steps(
    job: Object, pods: Sequence[Object], events: Sequence[Object], first_line: datetime | None
) -> Iterator[Step]:
    """From the Job's creation to the program's end, as far as it has come.

    Where a Job has several pods, those of the first one. The API server and the kubelet write whole
    seconds, but for pulls and log lines.

    Source: Kubernetes API v1.36, PodCondition, ContainerState, Event.
    """
    created = _moment(job["metadata"]["creationTimestamp"])
    if not pods:
        yield Step("admit", created, None, source="cluster")
        return
    pod = by_age(pods)[0]
    made = _moment(pod["metadata"]["creationTimestamp"])
    yield _between("admit", created, made)
    scheduled = _scheduled(pod)
    yield _between("schedule", made, scheduled)
    if scheduled is None:
        return
    state = state_of(pod)
    known = state.get("running") or state.get("terminated") or {}
    started = _moment(known["startedAt"]) if known.get("startedAt") else None
    pull = _pull(pod, events)
    ready = scheduled
    if pull is not None:
        yield pull
        ready = max(ready, pull.began + (pull.seconds or 0.0))
    yield _between("start", ready, started)
    if started is None:
        return
    if first_line is not None:
        yield _between("first line", started, first_line.timestamp())
    ended = _moment(known["finishedAt"]) if known.get("finishedAt") else None
    yield _between("run", started, ended)


def _scheduled(pod: Object) -> float | None:
    for one in pod.get("status", {}).get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "True":
            return _moment(one["lastTransitionTime"])
    return None


def _pull(pod: Object, events: Sequence[Object]) -> Step | None:
    """The pull of the program's image; None where no event tells of it."""
    field = f"spec.containers{{{main_of(pod)}}}"
    mine = [
        event
        for event in events
        if event["involvedObject"].get("fieldPath") == field
        and event["involvedObject"].get("uid") == pod["metadata"]["uid"]
    ]
    pulling = [event for event in mine if event.get("reason") == "Pulling"]
    pulled = [event for event in mine if event.get("reason") == "Pulled"]
    if pulled:
        seconds = _seconds(pulled[-1].get("message", ""))
        end = _moment(_noted(pulled[-1]))
        return Step("pull", end - seconds, seconds, source="cluster")
    return Step("pull", _moment(_noted(pulling[0])), None, source="cluster") if pulling else None


def _noted(event: Object) -> str:
    when: str = event.get("firstTimestamp") or event.get("eventTime") or event["lastTimestamp"]
    return when


def _seconds(message: str) -> float:
    """What a pull took, in the kubelet's words; 0 for an image that the node had.

    >>> _seconds('Successfully pulled image "x" in 1m2.5s (1m3s including waiting)')
    62.5
    """
    found = _PULLED.search(message)
    parts = _PART.findall(found[1]) if found else []
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _between(name: str, began: float, ended: float | None) -> Step:
    seconds = None if ended is None else max(0.0, ended - began)
    return Step(name, began, seconds, source="cluster")


def _moment(text: str) -> float:
    moment = time_of(text)
    assert moment is not None
    return moment.timestamp()
