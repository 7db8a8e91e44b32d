"""What the objects of a Job say of its run: pure functions over plain dicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fairing_core.cluster import labels
from fairing_core.cluster.expansion import expanded
from fairing_core.types import Outcome, RunStatus

Object = Mapping[str, Any]

_LOST = json.dumps(
    {"schema": 1, "type": "value", "lost": "its pod is gone, and the value with it"}
).encode()
_STOPPED = "it was stopped, or took longer than its timeout (DeadlineExceeded)"


def status_of(job: Object, pods: Sequence[Object]) -> RunStatus:
    """Where the run is.

    | The Job says | The run is |
    | --- | --- |
    | condition ``Complete`` | succeeded |
    | condition ``Failed``, and it was asked to be cancelled | cancelled |
    | condition ``Failed`` | failed |
    | neither, it is suspended, and it was asked to be cancelled | cancelled |
    | neither, and a container of a pod has started | running |
    | neither, and none has | pending |

    Source: Kubernetes API v1.36, JobCondition, ContainerState.
    """
    if condition(job, "Complete"):
        return RunStatus.SUCCEEDED
    if condition(job, "Failed"):
        return RunStatus.CANCELLED if is_cancelled(job) else RunStatus.FAILED
    if job["spec"].get("suspend") and is_cancelled(job):
        return RunStatus.CANCELLED
    return RunStatus.RUNNING if any(map(has_started, pods)) else RunStatus.PENDING


def condition(job: Object, kind: str) -> Object | None:
    """The Job's condition of that kind, if it is true."""
    for one in job.get("status", {}).get("conditions") or ():
        if one["type"] == kind and one["status"] == "True":
            return dict(one)
    return None


def is_cancelled(job: Object) -> bool:
    """Whether somebody asked for the end."""
    return labels.CANCELLED in (job["metadata"].get("annotations") or {})


def main_of(pod: Object) -> str:
    """The name of the container that runs the program."""
    name: str = pod["spec"]["containers"][0]["name"]
    return name


def may_be_kept(job: Object) -> bool:
    """Whether its pods stay up for their outputs, once the program has ended."""
    return "FAIRING_KEEP" in _variables(job)


def outputs_of(job: Object) -> list[str]:
    """The files, folders and patterns that its pods are to leave behind."""
    try:
        found: list[str] = json.loads(expanded(_variables(job).get("FAIRING_OUTPUTS", "[]"), {}))
    except ValueError:  # a mutator's
        return []
    return found


def _variables(job: Object) -> Mapping[str, str]:
    containers: Sequence[Object] = job["spec"].get("template", {}).get("spec", {}).get("containers")
    entries = (containers or [{}])[0].get("env") or ()
    return {entry["name"]: str(entry.get("value", "")) for entry in entries}


def container_of(pod: Object) -> Object:
    """The status of the container that runs the program; empty before there is one."""
    main = main_of(pod)
    for one in pod.get("status", {}).get("containerStatuses") or ():
        if one["name"] == main:
            return dict(one)
    return {}


def state_of(pod: Object) -> Object:
    """The container's state: ``waiting``, ``running`` or ``terminated``."""
    state: Object = container_of(pod).get("state") or {}
    return state


def has_started(pod: Object) -> bool:
    """Whether the program has ever run in it."""
    state = state_of(pod)
    restarted = bool(container_of(pod).get("restartCount"))
    return "running" in state or "terminated" in state or restarted


def is_active(pod: Object) -> bool:
    """Whether the pod has not ended yet."""
    return pod["status"].get("phase") in ("Pending", "Running")


def will_not_restart(pod: Object) -> bool:
    """Whether the program has ended in it for good."""
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return True
    return "terminated" in state_of(pod) and pod["spec"].get("restartPolicy") == "Never"


def by_age(pods: Sequence[Object]) -> list[Object]:
    """The pods, the first that was made first."""
    return sorted(pods, key=lambda pod: (pod["metadata"]["creationTimestamp"], name_of(pod)))


def name_of(thing: Object) -> str:
    """The object's name."""
    name: str = thing["metadata"]["name"]
    return name


def deciding(job: Object, pods: Sequence[Object]) -> Object | None:
    """The pod whose end is the run's: the first that failed of a failed one, else the first.

    After retries, the last attempt is the one that counts.
    """
    ended = [pod for pod in by_age(pods) if "terminated" in state_of(pod)]
    retried = (job["spec"].get("completions") or 1) == 1
    if condition(job, "Failed"):
        ended = [pod for pod in ended if state_of(pod)["terminated"]["exitCode"]] or ended
    else:
        ended = [pod for pod in ended if not state_of(pod)["terminated"]["exitCode"]] or ended
    return ended[-1 if retried else 0] if ended else None


def outcome_of(job: Object, pods: Sequence[Object], tail: str = "") -> Outcome:
    """How the run ended; `tail` holds the log's last lines."""
    pod = deciding(job, pods)
    failed = condition(job, "Failed")
    if pod is None:
        returned = not failed and "FAIRING_RESULT" in _variables(job)
        reason = _reason(job, failed, pods)
        return Outcome(None, reason=reason, record=_LOST if returned else None, tail=tail)
    end = state_of(pod)["terminated"]
    code = end["exitCode"]
    return Outcome(
        code,
        reason=_ending(job, end, failed, pod) if failed else None,
        record=_record(end.get("message")),
        tail=tail,
    )


def _record(message: str | None) -> bytes | None:
    """The result record, if the program left one; others may write there, too."""
    try:
        content = json.loads(message or "")
    except ValueError:
        return None
    if not isinstance(content, dict) or content.get("schema") != 1 or message is None:
        return None
    return message.encode()


def _ending(job: Object, end: Object, failed: Object, pod: Object) -> str | None:
    """Why, beyond the exit code."""
    if is_cancelled(job):
        return "it was cancelled"
    if "DeadlineExceeded" in (failed["reason"], pod["status"].get("reason")):
        return _STOPPED
    if end.get("reason") == "OOMKilled":
        return "it was killed for taking more memory than its limit (OOMKilled, exit code 137)"
    told = pod["status"].get("message")  # evicted, or its node is gone
    if told or pod["status"].get("reason"):
        return f"{pod['status'].get('reason', 'ended')}: {told}; exit code {end['exitCode']}"
    if end.get("reason") not in ("Error", "Completed", None):
        return f"{end['reason']}: {end.get('message', '')}".rstrip(": ")
    return None


def _reason(job: Object, failed: Object | None, pods: Sequence[Object]) -> str:
    if is_cancelled(job):
        return "it was cancelled before it started"
    if failed is None:
        return "its pods are gone; exit code unknown"
    if failed["reason"] == "DeadlineExceeded":
        return _STOPPED
    told = "; ".join(
        f"{pod['status']['reason']}: {pod['status'].get('message', '')}"
        for pod in pods
        if pod["status"].get("reason")
    )
    gone = "" if pods else "; its pod was deleted before it ended"
    return f"{told or failed.get('message', failed['reason'])}{gone}; exit code unknown"


def waiting_for(job: Object, pods: Sequence[Object]) -> str | None:
    """Why a pending run does not start yet, in Kubernetes' words, where they say more than that."""
    if job["spec"].get("suspend"):
        return "Suspended: a queue, or somebody, holds it back"
    for pod in by_age(pods):
        waiting = state_of(pod).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
        for one in pod.get("status", {}).get("conditions") or ():
            if one["type"] == "PodScheduled" and one["status"] == "False":
                return f"{one.get('reason', 'Unschedulable')}: {one.get('message', '')}"
    return None


def started_at(pods: Sequence[Object]) -> datetime | None:
    """When the program first started (UTC)."""
    times = [_state_time(pod, "startedAt") for pod in pods]
    return min((time for time in times if time), default=None)


def ended_at(job: Object, pods: Sequence[Object]) -> datetime | None:
    """When the program last ended (UTC), once the run has."""
    end = condition(job, "Complete") or condition(job, "Failed")
    if end is None:
        return None
    times = [_state_time(pod, "finishedAt") for pod in pods]
    return max((one for one in times if one), default=time_of(end.get("lastTransitionTime")))


def _state_time(pod: Object, key: str) -> datetime | None:
    for state in state_of(pod).values():
        if state.get(key):
            return time_of(state[key])
    return None


def time_of(text: str | None) -> datetime | None:
    """A time as the API writes it (RFC 3339)."""
    return None if text is None else datetime.fromisoformat(text)
