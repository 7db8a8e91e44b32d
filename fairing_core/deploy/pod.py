"""The pod of a run, as plain data."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from fairing_core import errors, limits
from fairing_core.cluster import labels as labels_of
from fairing_core.cluster import patches
from fairing_core.cluster.expansion import expanded, literal
from fairing_core.types import DeployRequest, PodPatch

RESULT = "/dev/termination-log"
"""Where a program leaves its result record: the kubelet reads it into the pod's status.

Source: Kubernetes, Determine the Reason for Pod Failure.
"""

RESULT_LIMIT = 4096
"""Bytes that the kubelet takes of it."""

KEEP = 600.0
"""Seconds for which a pod stays up for its outputs, where nobody says."""

NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""An annotation: Istio's proxy would outlive the program."""


def pod_template(
    request: DeployRequest,
    own: PodPatch,
    *,
    container: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    timeout: float | None = None,
    keep: float = KEEP,
) -> dict[str, Any]:
    """The template of a pod that runs what `request` says, with every patch folded in.

    It runs under a keeper, where the image has one, which stays for `keep` seconds at the most
    beyond the program's end if there is something to bring home.

    `own` holds the deployer's options; it is folded after the request's patches. The pod passes
    the Pod Security Standard "restricted" where the image's user is known and is not root.

    Raises:
        InvalidArgument: an argument or a variable that no process can be given.
        EmptyEntry: there is no command.
        Unsupported: outputs are asked for, and the image has nothing that keeps them.
    """
    if not request.command:
        raise errors.EmptyEntry(f"{request.name} has no command; name a file or a function to run")
    for number, argument in enumerate((*request.command, *request.args)):
        limits.check_argument(argument, f"argument {number}")
        limits.check_utf8(argument, f"argument {number}")
    env = {"FAIRING_RUNTIME": "1", "PYTHONUNBUFFERED": "1"}
    keeper = _keeper(request)
    if request.returns:
        env.update(FAIRING_RESULT=RESULT, FAIRING_RESULT_LIMIT=str(RESULT_LIMIT))
    if keeper and (request.outputs or request.returns):
        env["FAIRING_KEEP"] = f"{keep:g}"
        if timeout is not None:
            env["FAIRING_TIMEOUT"] = f"{timeout:g}"
    if request.outputs:
        env["FAIRING_OUTPUTS"] = literal(json.dumps(request.outputs))
    command = [*keeper, "run", *request.command] if keeper else request.command
    main = {
        "name": container,
        "image": request.image,
        "command": [literal(word) for word in command],
        "workingDir": request.workdir,
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    if request.args:
        main["args"] = [literal(word) for word in request.args]
    folding = [_security(request), *request.patches, own]
    bare = {"restartPolicy": "Never", **deadline(timeout), "containers": [main]}
    spec = patches.fold(bare, folding)
    for entry in spec["containers"][0].get("env", ()):
        value = expanded(str(entry.get("value", "")), {})
        limits.check_variable(entry["name"], value)
        limits.check_utf8(value, f"the variable {entry['name']!r}")
    return {
        "metadata": {
            "labels": {**_united(request.patches, "labels"), **labels},
            "annotations": {
                **NO_SIDECAR,
                **({labels_of.KEEPER: json.dumps(keeper)} if keeper else {}),
                **_united(request.patches, "annotations"), **annotations
            },
        },
        "spec": spec,
    }  # fmt: skip


def _keeper(request: DeployRequest) -> list[str]:
    """What the program runs under; empty where the image may have no Python to run it."""
    if request.outputs and not request.keeper:
        raise errors.Unsupported(
            f"outputs={list(request.outputs)} can't come home: the image has no "
            "fairing_core/keep.py, which the preprocessors 'python' and 'function' put there"
        )
    program = request.command[0]
    is_python = posixpath.basename(program).startswith("python")
    if not request.keeper or not (is_python or request.outputs or request.returns):
        return []
    return [program if is_python else "python3", "-IS", request.keeper]


def deadline(timeout: float | None) -> dict[str, Any]:
    """Of the pod: a Job that reaches its own deletes its pods, and their logs with them."""
    return {} if timeout is None else {"activeDeadlineSeconds": round(timeout)}


def _security(request: DeployRequest) -> PodPatch:
    container: dict[str, Any] = {"allowPrivilegeEscalation": False}
    pod: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if request.uid:
        container["capabilities"] = {"drop": ["ALL"]}
        # A number: Kubernetes can't tell that an image's named user is not root.
        pod.update(runAsNonRoot=True, runAsUser=request.uid)
        if request.gid is not None:
            pod["runAsGroup"] = request.gid
    return PodPatch({"securityContext": pod}, {"securityContext": container})


def _united(patches: Iterable[PodPatch], field: str) -> dict[str, str]:
    united: dict[str, str] = {}
    for patch in patches:
        united.update(getattr(patch, field))
    return united
