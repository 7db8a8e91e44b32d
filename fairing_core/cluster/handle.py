"""One run on a cluster, seen from any process."""

from __future__ import annotations

import contextlib
import functools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from fairing_core import errors, log
from fairing_core.cluster import jobstate, labels, outputs, timeline, why
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.jobstate import by_age
from fairing_core.cluster.logs import Output
from fairing_core.cluster.outputs import Outputs
from fairing_core.cluster.podlog import PodLog
from fairing_core.interfaces import RunHandle, Storage
from fairing_core.types import (
    Artifact,
    Diagnosis,
    Event,
    Outcome,
    RunStatus,
    Snapshot,
    Step,
    no_storage,
    unheard,
)
from fairing_core.values import replace

logger = log.named(__name__)

_TAIL = 20  # lines of the log that an outcome shows
_ATTENTION = 0.25  # seconds between two looks whether a pod is kept for its outputs
_MARGIN = 15.0  # seconds beyond a pod's grace in which a cancelled run has to be over

Object = Mapping[str, Any]


def collection(namespace: str) -> str:
    """The path of a namespace's Jobs."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


class _Kept(NamedTuple):
    """What a handle knows of a run that it deleted."""

    status: RunStatus
    outcome: Outcome
    diagnosis: Diagnosis | None


class JobRun(RunHandle):
    """The run that a Job is.

    `job` is the Job as the API server gave it; what is asked of the run is looked up anew, but for
    `snapshot`, which a run from a list answers with what was listed.
    """

    _poll: ClassVar[float] = 0.5

    def __init__(
        self,
        cluster: Cluster,
        job: Object,
        /,
        *,
        backend: str = "kubernetes",
        pods: Sequence[Object] | None = None,
        storage: Callable[[], Storage | None] = no_storage,
    ) -> None:
        meta = job["metadata"]
        self._storage = storage
        self._stored = outputs.stored_at(job)
        self._cluster = cluster
        self._backend = backend
        self._name: str = meta["name"]
        self._namespace: str = meta["namespace"]
        self._uid: str = meta["uid"]
        self._many = (job["spec"].get("completions") or 1) > 1
        self._listed = None if pods is None else _snapshot(job, pods)
        self._kept: _Kept | None = None
        self._may_be_kept = jobstate.may_be_kept(job)
        self._asked = jobstate.outputs_of(job)
        self._attended = 0.0

    @property
    def name(self) -> str:
        """The Job's name."""
        return self._name

    @property
    def namespace(self) -> str:
        """The Job's namespace."""
        return self._namespace

    @property
    def uid(self) -> str:
        """The Job's uid: no other one has it, whatever its name."""
        return self._uid

    @property
    def uri(self) -> str:
        """``fairing://BACKEND/NAMESPACE/job/NAME?uid=UID``."""
        place = f"fairing://{self._backend}/{self._namespace}/job/{self._name}"
        return f"{place}?uid={self._uid}"

    @property
    def status(self) -> RunStatus:
        """Where the run is now (`jobstate.status_of` has the mapping)."""
        if self._kept:
            return self._kept.status
        job = self._job()
        status = jobstate.status_of(job, ())
        return status if status.is_terminal else jobstate.status_of(job, self._pods())

    @property
    def image(self) -> str | None:
        """The image of its program."""
        main = self._job()["spec"]["template"]["spec"]["containers"][0]
        return str(main["image"])

    @property
    def started(self) -> datetime | None:
        """When the program started (UTC), once it has."""
        return jobstate.started_at(self._pods())

    @property
    def ended(self) -> datetime | None:
        """When the program ended (UTC), once it has."""
        return jobstate.ended_at(*self._look())

    def snapshot(self) -> Snapshot:
        """The run at one moment; one from a list has it as listed."""
        if self._listed is not None:
            listed, self._listed = self._listed, None
            return listed
        return _snapshot(*self._look())

    def logs(self, follow: bool = False, *, tail: int | None = None) -> Iterator[str]:
        """The output of the run's pods, each line once.

        Where several pods run side by side, each line begins with whose it is, ``[k7x2p]``. Where
        lines were lost before anybody could read them, one line says so.
        """
        if tail is not None and tail < 0:
            raise ValueError(f"tail must be 0 or more lines, not {tail}")
        output = Output(self._cluster, self._look, many=self._many, attend=self._attend)
        return output.follow(tail) if follow else output.so_far(tail)

    def outcome(self) -> Outcome:
        """How the run ended.

        Raises:
            RunError: it has not ended.
        """
        if self._kept:
            return self._kept.outcome
        job, pods = self._look()
        status = jobstate.status_of(job, pods)
        if not status.is_terminal:
            raise errors.RunError(f"{self.name} is still {status}; wait for it", uri=self.uri)
        tail = ""
        if status is not RunStatus.SUCCEEDED:
            with contextlib.suppress(errors.ClusterError):
                tail = "".join(self.logs(tail=_TAIL))
        outcome = jobstate.outcome_of(job, pods, tail)
        kept = json.loads(outcome.record or b"{}").get("kept")
        if kept and self._outputs.result(kept) is None:
            self._fetch()
        large = self._outputs.result(kept) if kept else None
        return replace(outcome, record=large) if large else outcome

    def artifacts(self, timeout: float | None = None) -> list[Artifact]:
        """The files that the run was asked to leave behind, brought home, once it has ended."""
        self.wait(timeout)
        if not self._outputs.were_fetched():
            self._fetch()
        found = self._outputs.here()
        if lost := self._lost():
            told = (
                f"the outputs of {self.name} were not fetched to this machine while its pod "
                f"({', '.join(lost)}) was kept for that; ask where they were, wait for a run where "
                "you want them, or have its pod kept for longer: keep=3600"
            )
            if not (self._many and found):
                raise errors.ResultUnavailable(told, uri=self.uri)
            logger.warning("%s", told)
        for path, fault in self._outputs.left_out().items():
            logger.warning("%s: the output %r is left out: %s", self.name, path, fault)
        if self._asked and not self._outputs.were_fetched():
            asked = ", ".join(self._asked)
            logger.warning("nothing of what %s was to leave behind is home: %s", self.name, asked)
        return found

    def _lost(self) -> list[str]:
        """The pods whose outputs count, were kept, and are not home."""
        if self._kept or not self._may_be_kept or self._outputs.were_stored():
            return []
        pods = by_age(self._pods())
        return [
            jobstate.name_of(pod)
            for pod in (pods if self._many else pods[-1:])
            if not self._outputs.were_fetched(jobstate.name_of(pod))
            and PodLog(self._cluster, pod).is_kept()
        ]

    def events(self) -> list[Event]:
        """What the cluster noted of the Job and its pods, in order."""
        return list(map(_event, self._noted(*self._look())))

    def note(self, steps: Sequence[Step]) -> None:
        """Writes it into an annotation of the Job; who may not, has none."""
        told = json.dumps([[s.name, round(s.began, 3), round(s.seconds or 0.0, 3)] for s in steps])
        with contextlib.suppress(errors.ClusterError):
            self._cluster.patch(
                self._at, {"metadata": {"uid": self._uid, "annotations": {labels.STEPS: told}}}
            )

    def timeline(self) -> list[Step]:
        """What was measured while the run was made, then the cluster's own times."""
        job, pods = self._look()
        events: Sequence[Object] = ()
        first_line = None
        if pods:
            with contextlib.suppress(errors.ClusterError):
                events = self._events(f"involvedObject.uid={by_age(pods)[0]['metadata']['uid']}")
            with contextlib.suppress(errors.ClusterError, ConnectionError):
                first_line = PodLog(self._cluster, by_age(pods)[0]).began()
        return [*_measured(job), *timeline.steps(job, pods, events, first_line)]

    def why(self) -> Diagnosis | None:
        """What keeps the run from going well, in the cluster's words, and what to do next."""
        if self._kept:
            return self._kept.diagnosis
        job, pods = self._look()
        if jobstate.condition(job, "Complete"):
            return None
        events: Sequence[Object] = ()
        with contextlib.suppress(errors.ClusterDenied):  # conditions say most of it, too
            events = self._noted(job, pods)
        ended = jobstate.status_of(job, pods).is_terminal
        return why.diagnose(job, pods, events, self.outcome() if ended else None)

    def cancel(self) -> None:
        """Stops the run, and comes back once it has ended: SIGTERM, SIGKILL after the grace time.

        Raises:
            WaitTimeout: it has not ended by then; it still will.
        """
        if self.status.is_terminal:
            return
        active = [pod for pod in self._pods() if jobstate.is_active(pod)]
        begun = [pod for pod in active if jobstate.has_started(pod)]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # A Job that reaches its deadline deletes its pods, and their logs with them; a pod that
        # reaches its own is ended and stays. So the Job's is for those that never ran.
        end = {"backoffLimit": 0} if begun else {"backoffLimit": 0, "activeDeadlineSeconds": 1}
        meta = {"uid": self._uid, "annotations": {labels.CANCELLED: moment}}
        self._cluster.patch(self._at, {"metadata": meta, "spec": end})
        for pod in begun:
            with contextlib.suppress(errors.ObjectNotFound):
                path = f"{self._path('pods')}/{jobstate.name_of(pod)}"
                self._cluster.patch(path, {"spec": {"activeDeadlineSeconds": 1}})
        grace = [pod["spec"].get("terminationGracePeriodSeconds") or 0 for pod in active]
        self._attended = math.inf  # nothing comes home of it
        self.wait(max(grace, default=0) + _MARGIN)

    def delete(self) -> None:
        """Deletes the Job, its pods and their logs, and what they left behind here."""
        self._kept = None
        self._cluster.delete(self._at, uid=self._uid)
        self._outputs.forget()
        if self._stored and (storage := self._storage()) is not None:
            with contextlib.suppress(errors.StorageError):  # the store's own rules take it later
                storage.delete(self._stored)

    def clean_up(self) -> None:
        """Deletes the Job once it has ended; this handle keeps its status and its result."""
        kept = _Kept(self.wait(), self.outcome(), self.why())
        self._cluster.delete(self._at, uid=self._uid)
        self._kept = kept

    def _attend(self) -> None:
        if self._may_be_kept and time.monotonic() - self._attended > _ATTENTION:
            self._attended = time.monotonic()
            self._outputs.bring_home(self._pods(), self.report or unheard)

    @functools.cached_property
    def _outputs(self) -> Outputs:
        return Outputs(self._cluster, self._uid, uri=self.uri, many=self._many)

    def _fetch(self) -> None:
        """Brings home what the run has written to its store."""
        if self._stored and (storage := self._storage()) is not None:
            self._outputs.fetch(storage, self._stored, self.report or unheard)

    def has_pods(self) -> bool:
        """Whether the cluster has made a pod of it."""
        return bool(self._pods())

    def is_suspended(self) -> bool:
        """Whether it is held back, by a queue for one."""
        return bool(self._job()["spec"].get("suspend"))

    def refusal(self) -> str | None:
        """Why the cluster makes no pod of it, if it said so."""
        noted = self._events(f"involvedObject.uid={self._uid}")
        messages = [one["message"] for one in noted if one.get("reason") == "FailedCreate"]
        return messages[-1] if messages else None

    def _noted(self, job: Object, pods: Sequence[Object]) -> list[Object]:
        """The events of the Job, its pods and the volume claims of those, in order."""
        uids = [thing["metadata"]["uid"] for thing in (job, *pods)]
        fields = [f"involvedObject.uid={uid}" for uid in uids]
        claims = sorted({claim for pod in pods for claim in why.claims_of(pod)})
        kind = "involvedObject.kind=PersistentVolumeClaim,involvedObject.name="
        fields += [kind + claim for claim in claims]
        return sorted((event for field in fields for event in self._events(field)), key=_order)

    def _events(self, field: str) -> Sequence[Object]:
        return self._cluster.listed(self._path("events"), fieldSelector=field)

    @property
    def _at(self) -> str:
        return f"{collection(self._namespace)}/{self._name}"

    def _path(self, resource: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/{resource}"

    def _look(self) -> tuple[Object, Sequence[Object]]:
        return self._job(), self._pods()

    def _job(self) -> Object:
        try:
            job = self._cluster.get(self._at)
        except errors.ObjectNotFound as exc:
            raise errors.RunNotFound(
                f"there is no run {self.name!r} in the namespace {self.namespace!r}: it was "
                "deleted, or has expired; 'fairing ps' lists those there are",
                uri=self.uri,
            ) from exc
        if job["metadata"]["uid"] != self._uid:
            raise errors.RunNotFound(
                f"the run {self.name!r} with the uid {self._uid} was deleted, and another one has "
                f"its name: {self.uri.partition('?')[0]}?uid={job['metadata']['uid']}",
                uri=self.uri,
            )
        return job

    def _pods(self) -> Sequence[Object]:
        selector = labels.selector({labels.JOB_UID: self._uid})
        return self._cluster.listed(self._path("pods"), labelSelector=selector)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobRun) and self.uri == other.uri

    def __hash__(self) -> int:
        return hash(self.uri)


def _snapshot(job: Object, pods: Sequence[Object]) -> Snapshot:
    status = jobstate.status_of(job, pods)
    outcome = jobstate.outcome_of(job, pods) if status.is_terminal else None
    return Snapshot(
        status,
        exit_code=outcome.exit_code if outcome else None,
        reason=outcome.reason if outcome else jobstate.waiting_for(job, pods),
        started=jobstate.started_at(pods),
        ended=jobstate.ended_at(job, pods),
    )


def _measured(job: Object) -> list[Step]:
    noted = (job["metadata"].get("annotations") or {}).get(labels.STEPS, "[]")
    try:
        return [Step(str(name), float(at), float(took)) for name, at, took in json.loads(noted)]
    except (ValueError, TypeError):  # somebody else's
        return []


def _order(event: Object) -> tuple[int, int]:
    """Most events have whole seconds: within one, what was noted first was first."""
    return int(_moment(event)), int(event["metadata"].get("resourceVersion") or 0)


def _moment(event: Object) -> float:
    own = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    moment = jobstate.time_of(own or event["metadata"]["creationTimestamp"])
    assert moment is not None
    return moment.timestamp()


def _event(found: Object) -> Event:
    thing = found["involvedObject"]
    fields: dict[str, str | int | float] = {
        "type": found.get("type", "Normal"),
        "object": f"{thing['kind'].lower()}/{thing['name']}",
        "message": found.get("message", ""),
        "count": found.get("count") or 1,
    }
    return Event(found.get("reason", ""), _moment(found), fields)
