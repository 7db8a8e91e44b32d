"""Why a run on a cluster does not go well: pure functions over what the API server says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairing_core.cluster import jobstate
from fairing_core.diagnosis import of_program, wrong_machine
from fairing_core.types import Diagnosis, Outcome

Object = Mapping[str, Any]


def diagnose(
    job: Object, pods: Sequence[Object], events: Sequence[Object], outcome: Outcome | None
) -> Diagnosis | None:
    """The one cause that keeps the run from going well; None where nothing does.

    Args:
        job: the Job.
        pods: its pods.
        events: those of the Job, its pods and the claims that these name, oldest first.
        outcome: how it ended, once it has.
    """
    if jobstate.condition(job, "Complete"):
        return None
    if jobstate.is_cancelled(job):
        return Diagnosis("cancelled", "somebody cancelled it", next="submit it again")
    if outcome is not None:
        return _of_end(job, pods, events, outcome)
    active = [pod for pod in jobstate.by_age(pods) if jobstate.is_active(pod)]
    for pod in active:
        if found := _of_active(pod, events):
            return found
    if active:
        return None
    if job["spec"].get("suspend"):
        return _held(job)
    return _of_creation(pods, events)


def of_refusal(message: str) -> Diagnosis:
    """Why the cluster makes no pod, in the words of whoever refused it."""
    words = re.sub(r'^Error creating: (pods "[^"]*" is forbidden: )?', "", message)
    if found := re.search(r"(?:exceeded|failed) quota: ([^,:]+)", words):
        return Diagnosis(
            "quota",
            f"the namespace's quota {found[1]!r} does not allow its pod",
            evidence=(words,),
            next=f"ask for less (resources=), or see what takes it: "
            f"kubectl describe resourcequota {found[1]}",
        )
    if found := re.search(r'violates PodSecurity "([^"]+)"', words):
        return _denied(f"the namespace's Pod Security level {found[1]!r}", words)
    if found := re.search(r"ValidatingAdmissionPolicy '([^']+)'", words):
        return _denied(f"the admission policy {found[1]!r}", words)
    if found := re.search(r'admission webhook "([^"]+)" denied', words):
        return _denied(f"the admission webhook {found[1]!r}", words)
    if found := re.search(r'serviceaccount "([^"]+)" not found', words):
        return Diagnosis(
            "service-account",
            f"the service account {found[1]!r} is not there",
            evidence=(words,),
            next="name one that is (service_account=): kubectl get serviceaccounts",
        )
    return Diagnosis(
        "not-admitted",
        words,
        next="change what it names; kubectl get events shows what else the cluster says",
    )


def _denied(who: str, words: str) -> Diagnosis:
    cure = "change what it names (security_context=, volumes=, labels=), or ask who set it"
    return Diagnosis("admission", f"{who} refuses its pod", evidence=(words,), next=cure)


def _held(job: Object) -> Diagnosis:
    queue = (job["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name")
    if queue is not None:
        cure = f"kubectl describe localqueue {queue}"
        return Diagnosis("suspended", f"the queue {queue!r} holds it back", next=cure)
    name = jobstate.name_of(job)
    cure = f"""kubectl patch job {name} --type=merge -p '{{"spec":{{"suspend":false}}}}'"""
    return Diagnosis("suspended", "it is suspended, and waits to be resumed", next=cure)


def _of_creation(pods: Sequence[Object], events: Sequence[Object]) -> Diagnosis | None:
    """A refusal, if it is later than the last pod that was made."""
    made = max((pod["metadata"]["creationTimestamp"] for pod in pods), default="")
    for event in reversed(events):
        if event.get("reason") == "FailedCreate" and (_time(event) or "") > made:
            return of_refusal(event["message"])
    return None


# The end of a run.


def _of_end(
    job: Object, pods: Sequence[Object], events: Sequence[Object], outcome: Outcome
) -> Diagnosis:
    failed = jobstate.condition(job, "Failed") or {}
    pod = jobstate.deciding(job, pods)
    if failed.get("reason") == "DeadlineExceeded":
        return _late(job["spec"].get("activeDeadlineSeconds"), failed["message"])
    for one in [pod] if pod else pods:
        if found := _of_ended(one):
            return found
    if not pods:
        return _gone(job, events)
    return of_program(jobstate.name_of(job), outcome)


def _of_ended(pod: Object) -> Diagnosis | None:
    """What ended the pod, if it was not its program."""
    reason, message = pod["status"].get("reason"), pod["status"].get("message", "")
    name = jobstate.name_of(pod)
    end = jobstate.state_of(pod).get("terminated") or {}
    if reason == "DeadlineExceeded":
        return _late(pod["spec"].get("activeDeadlineSeconds"), message)
    if reason == "Evicted":
        return Diagnosis(
            "evicted",
            f"its node threw it out: {message}",
            evidence=(f"pod {name} on {pod['spec'].get('nodeName')}: Evicted",),
            next="ask for what it needs (resources={'memory': ..., 'ephemeral-storage': ...}) or "
            "use less; its logs: fairing logs " + _run_of(pod),
        )
    if end.get("reason") == "OOMKilled":
        return _out_of_memory(pod, end)
    if disrupted := _condition(pod, "DisruptionTarget", "True"):
        return _disrupted(pod, disrupted)
    if reason in ("NodeLost", "NodeShutdown", "Terminated", "NodeAffinity", "Shutdown"):
        return _lost(pod, message or reason)
    if end.get("reason") in ("StartError", "ContainerCannotRun"):
        return _not_started(pod, end.get("message", ""))
    return None


def _late(seconds: object, message: str) -> Diagnosis:
    return Diagnosis(
        "deadline",
        f"it took longer than its timeout of {seconds} s (DeadlineExceeded)",
        evidence=(message,) if message else (),
        next="give it longer (timeout=), or let it save what it has and go on from there",
    )


def _out_of_memory(pod: Object, end: Object) -> Diagnosis:
    limit = (_main(pod).get("resources", {}).get("limits") or {}).get("memory")
    if limit:
        cause = f"it took more memory than its limit of {limit} (OOMKilled)"
        cure = f"give it more, resources={{'memory': ...}} (now {limit}), or smaller batches"
    else:
        cause = "its node ran out of memory, and it has no limit of its own (OOMKilled)"
        cure = "say what it needs, resources={'memory': ...}, so that it gets a node that has it"
    code = f"exit code {end['exitCode']}"
    return Diagnosis("out-of-memory", cause, evidence=(code,), next=cure)


def _disrupted(pod: Object, condition: Object) -> Diagnosis:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    evidence = (f"pod {jobstate.name_of(pod)}: {reason}: {message}",)
    if reason in ("DeletionByTaintManager", "DeletionByPodGC", "TerminationByKubelet"):
        return _lost(pod, f"{reason}: {message}")
    if reason == "PreemptionByScheduler":
        cause = "a run of higher priority took its place (PreemptionByScheduler)"
        cure = "give it a priority class (priority=), or retries="
        return Diagnosis("preempted", cause, evidence=evidence, next=cure)
    cause = f"it was thrown out ({reason})"
    return Diagnosis("evicted", cause, evidence=evidence, next="submit it again, with retries=")


def _lost(pod: Object, *evidence: str) -> Diagnosis:
    node = pod["spec"].get("nodeName")
    return Diagnosis(
        "node-lost",
        f"the node {node!r} that it is on has gone away",
        evidence=evidence,
        next=f"kubectl describe node {node}; with retries= a run starts anew elsewhere",
    )


def _gone(job: Object, events: Sequence[Object]) -> Diagnosis:
    """Its pods are not there any more; the events may still know why."""
    for event in reversed(events):
        if event.get("reason") in ("TaintManagerEviction", "NodeNotReady"):
            return Diagnosis(
                "node-lost",
                "its node has gone away, and its pod was deleted",
                evidence=(_told(event),),
                next="submit it again; with retries= a run starts anew elsewhere",
            )
    kills = tuple(_told(event) for event in events if event.get("reason") == "Killing")[-1:]
    return Diagnosis(
        "pod-deleted",
        "somebody, or something, deleted its pod before it ended",
        evidence=kills,
        next=f"submit it again; kubectl describe job {jobstate.name_of(job)}",
    )


# Pods that have not ended.


def _of_active(pod: Object, events: Sequence[Object]) -> Diagnosis | None:
    noted = [event for event in events if _is_of(event, pod)]
    if lost := _node_silent(pod, noted):
        return lost
    if jobstate.has_started(pod) and "waiting" not in jobstate.state_of(pod):
        return None
    if unbound := _condition(pod, "PodScheduled", "False"):
        return _unscheduled(pod, unbound.get("message", ""), events)
    for state in _waiting(pod):
        reason, message = state.get("reason", ""), state.get("message", "")
        for reasons, told in _BY_REASON:
            if reason in reasons:
                return told(pod, message or _last_message(noted, "Failed") or reason)
    return _of_place(pod, noted)


def _of_place(pod: Object, noted: Sequence[Object]) -> Diagnosis | None:
    """What the node has failed to get ready, if that is the last it said."""
    last = noted[-1] if noted else {}
    if last.get("reason") in ("FailedMount", "FailedAttachVolume"):
        return _not_mounted(last)
    if last.get("reason") == "FailedCreatePodSandBox":
        return Diagnosis(
            "sandbox",
            f"the node {pod['spec'].get('nodeName')!r} can't make a place for its pod",
            evidence=(last["message"],),
            next=f"ask who runs the cluster: kubectl describe pod {jobstate.name_of(pod)}",
        )
    return None


def _node_silent(pod: Object, noted: Sequence[Object]) -> Diagnosis | None:
    """The node's controller says that the pod is not ready, the node itself said that it was."""
    said = [event for event in noted if event.get("reason") in _NODE_WORDS]
    silent = _condition(pod, "Ready", "False") and _condition(pod, "ContainersReady", "True")
    if said and (silent or pod["metadata"].get("deletionTimestamp")):
        return _lost(pod, *map(_told, said[-2:]))
    return None


_NODE_WORDS = ("NodeNotReady", "TaintManagerEviction")


def _waiting(pod: Object) -> Iterator[Object]:
    """The containers that wait, the first that has to start first."""
    status = pod.get("status", {})
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or ():
            if "waiting" in (one.get("state") or {}):
                yield one["state"]["waiting"]


def _unscheduled(pod: Object, message: str, events: Sequence[Object]) -> Diagnosis:
    evidence = (f"the scheduler: {message}",)
    if "persistentvolumeclaim" in message.lower() or "VolumeBinding" in message:
        return _not_bound(pod, evidence, events)
    if short := sorted(set(re.findall(r"Insufficient ([\w./-]+\w)", message))):
        asked = _requests(pod)
        amounts = ", ".join(f"{name}={asked[name]}" if name in asked else name for name in short)
        return Diagnosis(
            "unschedulable",
            f"no node has room for what it asks: {amounts}",
            evidence=evidence,
            next="ask for less (resources=), or wait for room: kubectl describe nodes",
        )
    if "node affinity/selector" in message:
        wanted = pod["spec"].get("nodeSelector") or "its affinity"
        return Diagnosis(
            "unschedulable",
            f"no node matches {_pairs(wanted) if isinstance(wanted, Mapping) else wanted}",
            evidence=evidence,
            next="change node_selector= or affinity=: kubectl get nodes --show-labels",
        )
    if taints := re.findall(r"untolerated taints? ?(\{[^}]*\}|\([^)]*\))", message):
        return Diagnosis(
            "unschedulable",
            f"every node has a taint that it does not tolerate: {', '.join(sorted(set(taints)))}",
            evidence=evidence,
            next="name it in tolerations=, if you may use those nodes: kubectl describe nodes",
        )
    return Diagnosis(
        "unschedulable",
        "no node takes it",
        evidence=evidence,
        next=f"kubectl describe pod {jobstate.name_of(pod)}",
    )


def _not_bound(pod: Object, evidence: tuple[str, ...], events: Sequence[Object]) -> Diagnosis:
    claims = claims_of(pod)
    said = [
        event
        for event in events
        if event["involvedObject"].get("kind") == "PersistentVolumeClaim"
        and event["involvedObject"].get("name") in claims
    ]
    missing = re.search(r'persistentvolumeclaim "([^"]+)" not found', evidence[0])
    if missing:
        cause = f"the volume claim {missing[1]!r} is not there"
        cure = "name one that is (volumes=): kubectl get pvc"
    else:
        cause = f"the volume claim {' or '.join(map(repr, claims))} has no volume yet"
        cure = f"see its StorageClass and its events: kubectl describe pvc {' '.join(claims)}"
    evidence += tuple(map(_told, said[-1:]))
    return Diagnosis("volume-not-bound", cause, evidence=evidence, next=cure)


def _not_mounted(event: Object) -> Diagnosis:
    message = event["message"]
    volume = re.search(r'for volume "([^"]+)"', message)
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', message)
    cause = f"the volume {volume[1]!r} can't be mounted" if volume else "a volume can't be mounted"
    if missing:
        return Diagnosis(
            "volume-not-mounted",
            f"{cause}: there is no {missing[1]} {missing[2]!r}",
            evidence=(message,),
            next=f"make it, or name one that is there: kubectl get {missing[1]}s",
        )
    return Diagnosis(
        "volume-not-mounted",
        cause,
        evidence=(message,),
        next=f"kubectl describe pod {event['involvedObject'].get('name')}",
    )


# What a container waits for.


def _no_image(pod: Object, message: str) -> Diagnosis:
    image = _main(pod).get("image", "")
    other = ("image", "", "can't be pulled", "kubectl describe pod {pod}")
    matching = (one for one in _IMAGES if re.search(one[1], message, re.IGNORECASE))
    kind, _, cause, cure = next(matching, other)
    registry = image.partition("/")[0]
    return Diagnosis(
        kind,
        f"the image {image} {cause}",
        evidence=(message,),
        next=cure.format(pod=jobstate.name_of(pod), image=image, registry=registry),
    )


_IMAGES = (
    (
        "image-denied",
        r"unauthorized|authorization failed|denied|forbidden|no basic auth|\b40[13]\b",
        "is refused to the node: the registry wants credentials, or has no such repository",
        "name the secret that has them: image_pull_secrets=",
    ),
    (
        "image-tls",
        r"x509:|tls:|HTTP response to HTTPS client",
        "can't be pulled: the node and the registry do not agree on TLS",
        "ask who runs the nodes to trust {registry} (containerd's hosts.toml: its CA, or http)",
    ),
    (
        "image-architecture",
        r"no match for platform|no matching manifest|does not match the (specified|host) platform",
        "is not for the node's processor",
        "take a base image for the nodes' platform: fairing plan shows both",
    ),
    (
        "image-unreachable",
        r"no such host|connection refused|i/o timeout|network is unreachable|no route to host",
        "can't be pulled: the node does not reach the registry",
        "see whether the nodes have another name for {registry} (pull_name)",
    ),
    (
        "image-not-found",
        r"not found|manifest unknown|name unknown",
        "is not in its registry",
        "check its name, and build it again: {image}",
    ),
)


def _bad_image_name(pod: Object, message: str) -> Diagnosis:
    image = _main(pod).get("image", "")
    cause = f"{image!r} is no image's name"
    return Diagnosis("image-name", cause, evidence=(message,), next="correct it")


def _bad_config(pod: Object, message: str) -> Diagnosis:
    key = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) \S*?/?([\w.-]+)$", message)
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', message)
    if key:
        kind = key[2].lower()
        cause = f"the {kind} {key[3]!r} has no key {key[1]!r}"
        cure = f"name a key that it has: kubectl describe {kind} {key[3]}"
    elif missing:
        cause = f"there is no {missing[1]} {missing[2]!r}"
        cure = f"make it, or name one that is there: kubectl get {missing[1]}s"
    elif "runAsNonRoot" in message or "non-root" in message:
        cause = "its image runs as root, or as a user without a number, and its pod may not"
        cure = "give a user by number (security_context={'runAsUser': 1000}), or another image"
    else:
        cause = "its container can't be configured"
        cure = f"kubectl describe pod {jobstate.name_of(pod)}"
    return Diagnosis("container-config", cause, evidence=(message,), next=cure)


def _not_started(pod: Object, message: str) -> Diagnosis:
    told = message.rpartition("unable to start container process: ")[2]
    command = " ".join([*_main(pod).get("command", ()), *_main(pod).get("args", ())][:1])
    if "exec format error" in told:
        return wrong_machine(told)
    if "executable file not found" in told or re.search(r"(exec|stat) .*no such file", told):
        return Diagnosis(
            "command-not-found",
            f"there is no command {command!r} in the image",
            evidence=(told,),
            next="take a base image that has it (base_docker_image=), or name another command",
        )
    if "permission denied" in told:
        return Diagnosis(
            "command-not-executable",
            f"the command {command!r} may not be executed",
            evidence=(told,),
            next=f"chmod +x {command}, or start it by its interpreter",
        )
    return Diagnosis(
        "container-start",
        "its container can't be started",
        evidence=(told,),
        next=f"kubectl describe pod {jobstate.name_of(pod)}",
    )


_BY_REASON: tuple[tuple[tuple[str, ...], Callable[[Object, str], Diagnosis]], ...] = (
    (("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError",
      "RegistryUnavailable", "SignatureValidationFailed"), _no_image),
    (("InvalidImageName",), _bad_image_name),
    (("CreateContainerConfigError",), _bad_config),
    (("CreateContainerError", "RunContainerError"), _not_started),
)  # fmt: skip


# What objects say.


def claims_of(pod: Object) -> list[str]:
    """The volume claims that a pod names."""
    volumes = pod["spec"].get("volumes") or ()
    found = (one.get("persistentVolumeClaim") for one in volumes)
    return [one["claimName"] for one in found if one]


def _main(pod: Object) -> Object:
    container: Object = pod["spec"]["containers"][0]
    return container


def _requests(pod: Object) -> Object:
    resources = _main(pod).get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def _condition(pod: Object, kind: str, status: str) -> Object | None:
    for one in pod["status"].get("conditions") or ():
        if one["type"] == kind and one["status"] == status:
            return dict(one)
    return None


def _is_of(event: Object, thing: Object) -> bool:
    return bool(event["involvedObject"].get("uid") == thing["metadata"].get("uid"))


def _last_message(events: Sequence[Object], reason: str) -> str | None:
    told = [event["message"] for event in events if event.get("reason") == reason]
    return told[-1] if told else None


def _told(event: Object) -> str:
    thing = event["involvedObject"]
    place = f"{thing.get('kind', '').lower()}/{thing.get('name')}"
    return f"{place}: {event.get('reason')}: {event.get('message', '')}"


def _time(event: Object) -> str | None:
    when: str | None = event.get("lastTimestamp") or event.get("eventTime")
    return when


def _run_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get("batch.kubernetes.io/job-name", "RUN"))


def _pairs(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in mapping.items())
