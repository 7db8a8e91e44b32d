"""Runs jobs here: a manifest that says what, and a detached process that does it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairing_core import errors, limits, log, names
from fairing_core.cluster.expansion import expanded
from fairing_core.cluster.knobs import pod_patch
from fairing_core.local import files, places
from fairing_core.local.handle import LocalRun
from fairing_core.local.launch import launch
from fairing_core.local.runs import LocalRuns
from fairing_core.types import Built, Check, DeployRequest, PodPatch, PodSpecMutator
from fairing_core.values import replace

logger = log.named(__name__)

# What happens here anyway: nobody needs to be told that asking for it was in vain.
_ANYWAY: Mapping[str, Any] = {"runs": 1, "output": False, "cleanup": False, "stream_log": False}


class LocalDeployer:
    """Starts what `LocalBuilder` unpacked in the directory of `home`, under a supervisor.

    `grace` is the time in seconds from SIGTERM to SIGKILL. The options are those of the original's
    Job: `job_name` names the run and `env` holds variables; the others are for clusters, and a
    warning says that they are ignored.
    """

    def __init__(
        self,
        home: LocalRuns,
        grace: float = 10.0,
        /,
        *,
        namespace: str | None = None,
        runs: int | None = None,
        output: object = None,
        cleanup: bool | None = None,
        labels: Mapping[str, str] | None = None,
        job_name: str | None = None,
        stream_log: bool | None = None,
        annotations: Mapping[str, str] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        context: str | None = None,
        client_configuration: object = None,
        persist_config: bool | None = None,
        deployer_type: str | None = None,
        pod_spec_mutators: Sequence[PodPatch | PodSpecMutator] = (),
        retries: int | None = None,
        timeout: float | None = None,
        ttl: int | None = None,
        keep: float | None = None,
        resources: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        volumes: Mapping[str, Mapping[str, Any]] | None = None,
        allow_host_path: bool | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any]] | None = None,
        affinity: Mapping[str, Any] | None = None,
        service_account: str | None = None,
        image_pull_secrets: Sequence[str] | None = None,
        security_context: Mapping[str, Any] | None = None,
        priority: str | None = None,
    ) -> None:
        options = {
            "namespace": namespace,
            "runs": runs,
            "output": output,
            "cleanup": cleanup,
            "labels": labels,
            "stream_log": stream_log,
            "annotations": annotations,
            "config_file": config_file,
            "context": context,
            "client_configuration": client_configuration,
            "persist_config": persist_config,
            "deployer_type": deployer_type,
            "retries": retries,
            "timeout": timeout,
            "ttl": ttl,
            "keep": keep,
            "resources": resources,
            "secrets": secrets,
            "volumes": volumes,
            "allow_host_path": allow_host_path,
            "node_selector": node_selector,
            "tolerations": tolerations,
            "affinity": affinity,
            "service_account": service_account,
            "image_pull_secrets": image_pull_secrets,
            "security_context": security_context,
            "priority": priority,
        }
        self._patches = tuple(one for one in pod_spec_mutators if isinstance(one, PodPatch))
        self._mutators = tuple(one for one in pod_spec_mutators if not isinstance(one, PodPatch))
        if env:
            self._patches += (pod_patch(env=env),)
        self._home = home
        self._grace = grace
        self._job_name = job_name
        self._ignored = tuple(
            name
            for name, value in options.items()
            if value is not None and (name not in _ANYWAY or value != _ANYWAY[name])
        )

    def render(self, request: DeployRequest) -> Sequence[Mapping[str, Any]]:
        """The one object: the image's command, and what of the request has no meaning here.

        Raises:
            InvalidArgument: a name, argument or variable that can't be.
            InvalidDestination: the command is to start outside ``/app``.
        """
        name = self._job_name or request.name
        request = replace(request, patches=(*request.patches, *self._patches))
        environment = _environment(request.patches)
        names.check_name(name)
        for number, argument in enumerate((*request.command, *request.args)):
            limits.check_argument(argument, f"argument {number}")
        for variable, value in environment.items():
            limits.check_variable(variable, value)
        if not request.command:
            raise errors.EmptyEntry(f"{name} has no command; name a file or a function to run")
        if places.inside(request.workdir) is None:
            raise errors.InvalidDestination(
                f"the command can't start in {request.workdir}: the local backend has /app only"
            )
        ignored = dict.fromkeys((*self._ignored, *_ignored(request)))
        return (
            {
                "kind": "LocalRun",
                "name": name,
                "image": request.image,
                "command": list(request.command),
                "args": list(request.args),
                "workdir": request.workdir,
                "env": environment,
                "returns": request.returns,
                "outputs": list(request.outputs),
                "ignored": list(ignored),
            },
        )

    def submit(
        self, manifests: Sequence[Mapping[str, Any]], mutators: Sequence[PodSpecMutator] = ()
    ) -> LocalRun:
        """Starts the run, which outlives this process; it runs, or has ended, on return.

        Raises:
            InvalidArgument: its name is taken, or it has too many arguments.
            StateError: the code is not there (any more), the disk is full or can't be written to.
        """
        files.require_posix()
        (manifest,) = manifests
        image: str = manifest["image"]
        folder = self._home.root / image.rpartition("/")[2]
        if image != folder.as_uri():
            raise errors.Unsupported(
                f"the local backend runs what its own builder unpacks, not the image {image}; "
                "leave out the builder, or name a backend that runs images"
            )
        if ignored := self._in_vain(manifest, mutators):
            logger.warning("the local backend ignores what is for clusters: %s", ", ".join(ignored))
        run = self._home.new(manifest["name"])
        launch(
            folder,
            run,
            command=manifest["command"],
            args=manifest["args"],
            workdir=manifest["workdir"],
            environment=_whole(manifest["env"]),
            returns=manifest["returns"],
            outputs=manifest["outputs"],
            grace=self._grace,
        )
        return run

    def foresee(
        self,
        manifests: Sequence[Mapping[str, Any]],
        mutators: Sequence[PodSpecMutator],
        built: Built,
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Check]]:
        """What `submit` would start; what of it is for clusters alone is ignored, and named."""
        (manifest,) = manifests
        ignored = self._in_vain(manifest, mutators)
        told = f"ignored, for clusters only: {', '.join(ignored)}" if ignored else "all are heeded"
        return manifests, [Check("options", True, told)]

    def _in_vain(
        self, manifest: Mapping[str, Any], mutators: Sequence[PodSpecMutator]
    ) -> Sequence[str]:
        return [*manifest["ignored"], *map(_named, (*self._mutators, *mutators))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._home!r})"


def _whole(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The program's environment: the user's own, and that of the run."""
    # Into a file, Python would write in blocks: logs late, and lost when the run is killed.
    whole = {"PYTHONUNBUFFERED": "1", **os.environ, "FAIRING_RUNTIME": "1", **environment}
    whole.pop("FAIRING_RESULT", None)
    return whole


def _environment(patches: Sequence[PodPatch]) -> dict[str, str]:
    entries: dict[str, str] = {}
    for entry in _entries(patches):
        if "valueFrom" not in entry:
            value = entry.get("value") or ""
            if not isinstance(value, str):
                raise errors.InvalidArgument(
                    f"the variable {entry['name']} must be text, not {type(value).__name__}"
                )
            entries[entry["name"]] = expanded(value, entries)
    return entries


def _entries(patches: Sequence[PodPatch]) -> Iterator[Mapping[str, Any]]:
    for patch in patches:
        yield from patch.container.get("env", ())


def _ignored(request: DeployRequest) -> Iterator[str]:
    for patch in request.patches:
        yield from patch.spec
        yield from (key for key in patch.container if key != "env")
        yield from (key for key in ("labels", "annotations") if getattr(patch, key))
    for entry in _entries(request.patches):
        if "valueFrom" in entry:
            yield f"env {entry['name']} (valueFrom)"


def _named(mutator: PodSpecMutator) -> str:
    return f"pod_spec_mutator {getattr(mutator, '__name__', None) or repr(mutator)}"
