"""Runs images as Jobs of a Kubernetes cluster."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairing_core import errors, log, names
from fairing_core.cluster import labels as known
from fairing_core.cluster import outputs, owned
from fairing_core.cluster.client import Cluster
from fairing_core.cluster.foresee import checks, refusal
from fairing_core.cluster.handle import JobRun, collection
from fairing_core.cluster.knobs import pod_patch
from fairing_core.cluster.why import of_refusal
from fairing_core.deploy.pod import KEEP, NO_SIDECAR, deadline, pod_template
from fairing_core.interfaces import Storage
from fairing_core.types import (
    Built,
    Check,
    DeployRequest,
    OwnedSecret,
    PodPatch,
    PodSpecMutator,
    no_storage,
)
from fairing_core.values import replace

logger = log.named(__name__)

CONTAINER = "fairing-job"
WEEK = 604_800  # seconds

_PATIENCE = 3.0  # seconds in which a cluster makes a pod, or says why it doesn't
_POLL = 0.05


class JobDeployer:
    """Makes a Job of what is to run, and gives its run.

    Args:
        cluster: where to; by default what this machine's kubeconfig, or the pod, leads to.
        backend: the backend that its runs name.
        storage: gives the store that has the outputs of its runs.
        namespace: by default the pod's own, else that of the kubeconfig's context.
        runs: pods that have to succeed, side by side.
        output: whether the Job is printed, as JSON, before it is sent.
        cleanup: whether the Job is deleted once its logs and result are home, where they are
            followed; else it stays for `ttl`.
        labels: of the Job and its pods.
        annotations: of the Job and its pods.
        job_name: the Job's name; by default the run's.
        stream_log: whether `fairing.config` follows the output.
        deployer_type: the value of the label ``fairing-deployer``.
        pod_spec_mutators: additions to the pod (see `k8s_utils`), or functions
            ``f(kube_manager, pod_spec, namespace)``.
        config_file: a kubeconfig.
        context: a context of it.
        client_configuration: a ``kubernetes.client.Configuration`` instead.
        persist_config: whether refreshed tokens are written back to the kubeconfig.
        retries: how often a failed pod is started anew.
        timeout: seconds after which a pod has failed, from its start on a node.
        ttl: seconds for which an ended run is kept.
        keep: seconds for which a pod stays up beyond its program's end, until its outputs and a
            large result are fetched.
        resources: these and all below as in `fairing_core.cluster.knobs.pod_patch`.

    Source: Kubernetes API v1.36, batch/v1 Job.
    """

    def __init__(
        self,
        cluster: Cluster | None = None,
        backend: str = "kubernetes",
        storage: Callable[[], Storage | None] = no_storage,
        /,
        *,
        namespace: str | None = None,
        runs: int = 1,
        output: object = None,
        cleanup: bool = False,
        labels: Mapping[str, str] | None = None,
        job_name: str | None = None,
        stream_log: bool = True,
        deployer_type: str = "job",
        pod_spec_mutators: Sequence[PodPatch | PodSpecMutator] | None = None,
        annotations: Mapping[str, str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        context: str | None = None,
        client_configuration: object = None,
        persist_config: bool = True,
        retries: int = 0,
        timeout: float | None = None,
        ttl: int | None = WEEK,
        keep: float = KEEP,
        resources: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        volumes: Mapping[str, Mapping[str, Any]] | None = None,
        allow_host_path: bool = False,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any]] | None = None,
        affinity: Mapping[str, Any] | None = None,
        service_account: str | None = None,
        image_pull_secrets: Sequence[str] | None = None,
        security_context: Mapping[str, Any] | None = None,
        priority: str | None = None,
    ) -> None:
        for name, number, least in (("runs", runs, 1), ("retries", retries, 0), ("ttl", ttl, 0)):
            if number is not None and (not isinstance(number, int) or number < least):
                raise errors.InputError(f"{name}={number!r} must be a whole number from {least} on")
        if timeout is not None and not timeout >= 1:
            raise errors.InputError(f"timeout={timeout!r} must be 1 second or more")
        if cluster is None or config_file or context or client_configuration is not None:
            cluster = Cluster(
                namespace=namespace,
                config_file=config_file,
                context=context,
                client_configuration=client_configuration,
                persist_config=persist_config,
            )
        if not keep >= 0:
            raise errors.InputError(f"keep={keep!r} must be 0 or more seconds")
        self.cleanup = cleanup
        self.stream_log = stream_log
        self.run: JobRun | None = None
        self._cluster = cluster
        self._backend = backend
        self._storage = storage
        self._namespace = namespace
        self._runs = runs
        self._output = output
        self._labels = {**(labels or {}), **known.OURS, known.DEPLOYER: deployer_type}
        self._annotations = dict(annotations or {})
        self._job_name = job_name
        self._retries = retries
        self._timeout = timeout
        self._ttl = ttl
        self._keep = keep
        mutators = tuple(pod_spec_mutators or ())
        self._patches = tuple(one for one in mutators if isinstance(one, PodPatch))
        self._mutators = tuple(one for one in mutators if not isinstance(one, PodPatch))
        self._knobs = pod_patch(
            resources=resources,
            env=env,
            secrets=secrets,
            volumes=volumes,
            allow_host_path=allow_host_path,
            node_selector=node_selector,
            tolerations=tolerations,
            affinity=affinity,
            service_account=service_account,
            image_pull_secrets=image_pull_secrets,
            security_context=security_context,
            priority=priority,
        )

    def warm(self) -> None:
        """Gets the connection ready in the background, while the image is built."""
        self._cluster.warm()

    def render(self, request: DeployRequest) -> Sequence[Mapping[str, Any]]:
        """The Job.

        Raises:
            InvalidArgument: a name, an argument or a variable that can't be.
        """
        name = self._job_name or request.name
        names.check_name(name)
        labels = {**self._labels, known.ID: name}
        patches = (*request.patches, *self._patches, *self._storing(name, request))
        request = replace(request, patches=patches)
        template = pod_template(
            request,
            self._knobs,
            container=CONTAINER,
            labels=labels,
            annotations=self._annotations,
            timeout=self._timeout,
            keep=self._keep,
        )
        template["spec"] = owned.settled(
            template["spec"], name, owned.secrets_of((*request.patches, self._knobs))
        )
        return (self._job(name, template),)

    def submit(
        self,
        manifests: Sequence[Mapping[str, Any]],
        mutators: Sequence[PodSpecMutator] = (),
        *,
        secrets: Sequence[OwnedSecret] = (),
    ) -> JobRun:
        """Creates the Job, once the user's own mutators have had its pod, and its `secrets`.

        Raises:
            ClusterError: and its kinds: the cluster refused; nothing is left behind.
            MutatorFailed: a mutator raised.
        """
        job = self._complete(manifests, mutators)
        if self._output:
            sys.stdout.write(json.dumps(job, indent=2) + "\n")
        storage = self._storage()
        own = (*secrets, *owned.secrets_of((*self._patches, self._knobs)))
        signed = () if storage is None else outputs.signed(storage, job)
        try:
            made = self._cluster.create(collection(job["metadata"]["namespace"]), job)
        except errors.ClusterError as exc:
            raise refusal(exc, job) from exc
        run = JobRun(self._cluster, made, backend=self._backend, storage=self._storage)
        try:
            owned.create(self._cluster, made, own)  # before a node looks for them
            self._let_store(made, signed)
            _await_pod(run)
        except BaseException:
            run.delete()
            raise
        self.run = run
        return run

    def foresee(
        self,
        manifests: Sequence[Mapping[str, Any]],
        mutators: Sequence[PodSpecMutator],
        built: Built,
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Check]]:
        """The Job as `submit` would send it, and what stands in its way.

        Raises:
            NoCluster: no kubeconfig says which namespace is meant.
            MutatorFailed: a mutator raised.
        """
        job = self._complete(manifests, mutators)
        return (job,), checks(self._cluster, job, platform=built.platform)

    def _complete(
        self, manifests: Sequence[Mapping[str, Any]], mutators: Sequence[PodSpecMutator]
    ) -> Mapping[str, Any]:
        """The Job in its namespace, once the user's own mutators have had its pod."""
        (job,) = manifests
        namespace = self._namespace or self._cluster.namespace
        job = {**job, "metadata": {**job["metadata"], "namespace": namespace}}
        mutators = (*self._mutators, *mutators)
        return _mutated(job, mutators, self._cluster, namespace) if mutators else job

    # What the original's Job had.

    @property
    def job_id(self) -> str | None:
        """The label ``fairing-id`` of what was deployed last."""
        return None if self.run is None else self.run.name

    def deploy(self, pod_spec: Any) -> str:
        """Runs a pod spec as a Job, follows its output if `stream_log`; gives the Job's name.

        Args:
            pod_spec: a ``V1PodSpec``, a pod template, or either as plain data.

        Raises:
            InputError: it is none of them.
            ClusterError: and its kinds: the cluster refused.
        """
        from fairing_core.cluster import patches
        from fairing_core.cluster.mutators import plain_pod_spec

        name = self._job_name or names.random_name("fairing-job")
        names.check_name(name)
        labels = {**self._labels, known.ID: name}
        spec = {"restartPolicy": "Never", **plain_pod_spec(pod_spec), **deadline(self._timeout)}
        spec = patches.fold(spec, [*self._patches, self._knobs])
        spec["containers"][0]["name"] = CONTAINER
        meta = {"labels": labels, "annotations": {**NO_SIDECAR, **self._annotations}}
        run = self.submit([self._job(name, {"metadata": meta, "spec": spec})])
        if self.stream_log:
            self.get_logs()
            if self.cleanup:
                run.clean_up()
        return name

    def get_logs(self) -> None:
        """Writes the output of what was deployed last to stdout, until it ends."""
        for piece in self._deployed().logs(follow=True):
            sys.stdout.write(piece)
            sys.stdout.flush()

    def delete(self) -> None:
        """Deletes what was deployed last."""
        self._deployed().delete()

    def _deployed(self) -> JobRun:
        if self.run is None:
            raise errors.InputError(f"{self!r} has deployed nothing yet")
        return self.run

    def _let_store(self, job: Mapping[str, Any], signed: Sequence[OwnedSecret]) -> None:
        """Gives pods what they store their outputs with; who may not, has them kept in the pod."""
        try:
            owned.create(self._cluster, job, signed)
        except errors.ClusterDenied as exc:
            logger.warning("%s; so outputs stay in the pod until they are fetched", exc)

    def _storing(self, name: str, request: DeployRequest) -> tuple[PodPatch, ...]:
        """What a pod needs to store its outputs; of several, each would write over the others'."""
        storage = self._storage() if request.keeper and self._runs == 1 else None
        if storage is None or not (request.outputs or request.returns):
            return ()
        content = (request.image, request.command, request.args)
        return (outputs.storing(storage, name, content),)

    def _job(self, name: str, template: Mapping[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "parallelism": self._runs,
            "completions": self._runs,
            "backoffLimit": self._retries,
            "template": template,
        }
        if self._ttl is not None:
            spec["ttlSecondsAfterFinished"] = self._ttl
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "labels": {**self._labels, known.ID: name},
                "annotations": self._annotations,
            },
            "spec": spec,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._cluster!r})"


def _mutated(
    job: Mapping[str, Any],
    mutators: Sequence[Callable[[Any, Any, str], Any]],
    cluster: Cluster,
    namespace: str,
) -> dict[str, Any]:
    from fairing_core.cluster.mutators import mutated

    template = job["spec"]["template"]
    spec = mutated(template["spec"], mutators, kube_manager=cluster, namespace=namespace)
    return {**job, "spec": {**job["spec"], "template": {**template, "spec": spec}}}


def _await_pod(run: JobRun) -> None:
    """Returns once the cluster has made a pod of it, or has had its time.

    Admission and quotas judge pods, not Jobs: who is refused there would wait for ever.

    Raises:
        ClusterError: no pod may be made.
    """
    deadline = time.monotonic() + _PATIENCE
    pause = _POLL
    while time.monotonic() < deadline:
        if run.has_pods() or run.is_suspended():
            return
        if told := run.refusal():
            raise errors.ClusterError(
                f"the cluster makes no pod of {run.name} in the namespace {run.namespace!r}: "
                f"{of_refusal(told)}",
                status=403,
                reason="FailedCreate",
            )
        time.sleep(pause)
        pause = min(2 * pause, 10 * _POLL)
