"""The runs of a cluster's namespace, by the labels of their objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fairing_core import errors
from fairing_core.cluster import labels
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.handle import JobRun, collection
from fairing_core.cluster.jobstate import name_of
from fairing_core.interfaces import Storage
from fairing_core.types import no_storage

Object = Mapping[str, Any]


class ClusterRuns:
    """Finds the runs of `cluster`; a list is of its namespace, a URI names its own.

    `storage` gives the store that has their outputs, where the backend has one.
    """

    def __init__(
        self,
        cluster: Cluster,
        /,
        *,
        backend: str = "kubernetes",
        storage: Callable[[], Storage | None] = no_storage,
    ) -> None:
        self._cluster = cluster
        self._backend = backend
        self._storage = storage

    def get(self, uri: str) -> JobRun:
        """The run that a URI, or a bare name, names.

        Raises:
            RunNotFound: there is none, its uid is another's, or that Job is no run.
            ClusterError: and its kinds.
        """
        namespace, name, uid = self._named(uri)
        try:
            job = self._cluster.get(f"{collection(namespace)}/{name}")
        except errors.ObjectNotFound as exc:
            raise errors.RunNotFound(
                f"there is no run {name!r} in the namespace {namespace!r} of "
                f"{self._cluster.server}: it may have expired; 'fairing ps' lists those there are",
                uri=uri,
            ) from exc
        if not labels.OURS.items() <= (job["metadata"].get("labels") or {}).items():
            raise errors.RunNotFound(
                f"the Job {name!r} in the namespace {namespace!r} is no run of Fairing's: it lacks "
                f"the label {labels.selector(labels.OURS)}; kubectl describe job {name}",
                uri=uri,
            )
        found = self._run(job)
        if uid and found.uid != uid:
            raise errors.RunNotFound(
                f"the run {name!r} with the uid {uid} was deleted, and another one has its name: "
                f"{found.uri}",
                uri=uri,
            )
        return found

    def list(self) -> Iterator[JobRun]:
        """The runs, newest first; their snapshots are those of the list."""
        ours = f"{labels.selector(labels.OURS)},{labels.DEPLOYER}"  # what builds is no run
        namespace = self._cluster.namespace
        jobs = self._cluster.listed(collection(namespace), labelSelector=ours)
        pods = self._cluster.listed(f"/api/v1/namespaces/{namespace}/pods", labelSelector=ours)
        of_job: Mapping[str, list[Object]] = defaultdict(list)
        for pod in pods:
            of_job[_owner(pod)].append(pod)
        for job in sorted(jobs, key=_newest, reverse=True):
            found = of_job[job["metadata"]["uid"]]
            yield self._run(job, found)

    def _run(self, job: Object, pods: Sequence[Object] | None = None) -> JobRun:
        return JobRun(self._cluster, job, backend=self._backend, pods=pods, storage=self._storage)

    def _named(self, uri: str) -> tuple[str, str, str | None]:
        if "://" not in uri:
            return self._cluster.namespace, uri, None
        parts = urlsplit(uri)
        place: Sequence[str] = parts.path.strip("/").split("/")
        if parts.netloc != self._backend or len(place) != 3 or place[1] != "job":
            raise errors.RunNotFound(
                f"{uri} is no run of this backend; its runs are "
                f"fairing://{self._backend}/NAMESPACE/job/NAME?uid=UID",
                uri=uri,
            )
        return place[0], place[2], parse_qs(parts.query).get("uid", [None])[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._cluster!r})"


def _owner(pod: Object) -> str:
    uid: str = (pod["metadata"].get("labels") or {}).get(labels.JOB_UID, "")
    return uid


def _newest(job: Object) -> tuple[str, str]:
    return job["metadata"]["creationTimestamp"], name_of(job)
