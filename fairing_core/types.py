"""The values that flow through the pipeline, in the order they flow.

``Source -> BuildContext -> BuildRequest -> Built -> DeployRequest -> Outcome``; all of them are
frozen. Standard library only.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from fairing_core.values import field, frozen

if TYPE_CHECKING:
    from datetime import datetime

    from fairing_core.interfaces import Registry, Storage

PREFIX = "/app/"
"""Where code lives in an image, and starts (DEFAULT_DEST_PREFIX of Fairing 1.0)."""

Stage = Literal["build", "train", "serve"]
"""What a pod is for."""


@frozen
class Source:
    """What the user wants to run.

    `target` is the function (or class with ``train``) itself, or the path of a script or notebook;
    None leaves the choice to the preprocessor. `args` and `kwargs` are the function's; a script
    takes `args`, as text, for its argv.
    """

    kind: Literal["function", "script", "notebook"]
    target: Callable[..., Any] | Path | None = None
    args: tuple[Any, ...] = field(default=(), kw_only=True)
    kwargs: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    def title(self) -> str:
        """What the user calls it."""
        target = self.target
        if isinstance(target, Path):
            return target.stem
        named = getattr(target, "func", target)  # a functools.partial has no name of its own
        title = getattr(named, "__name__", type(target).__name__)
        return "run" if target is None else str(title)


@frozen
class ContextFile:
    """One file that travels.

    `destination` is its absolute POSIX path in the image, `content` where its bytes are (a file
    here, or the bytes themselves), `mode` 0o644 or 0o755, `size` in bytes, `reason` why it travels.
    """

    destination: str
    content: Path | bytes = field(repr=False)
    mode: int = field(default=0o644, kw_only=True)
    size: int = field(kw_only=True)
    reason: str = field(default="", kw_only=True)


@frozen
class Import:
    """A module of others that the code imports for certain: its top-level name, and what does."""

    module: str
    where: str


@frozen
class BuildContext:
    """All that goes into the image, and the command that starts it.

    `files` are sorted by destination. `command` is what the container runs, before the arguments of
    a single run. `digest` is ``sha256:<hex>`` over the sorted (path, mode, size, bytes) and the
    command: the same files give the same digest on any machine. `workdir` is where the command
    starts. `python` is the X.Y that the code needs, None where any will do; `imports` are the
    modules that it needs and that do not travel, and `needs` the distributions that its command
    does. `outputs` are what it leaves behind, as in `DeployRequest`: they come home though nobody
    asks for them.
    """

    files: tuple[ContextFile, ...] = field(repr=False)
    command: tuple[str, ...]
    digest: str = field(kw_only=True)
    workdir: str = field(default=PREFIX.rstrip("/"), kw_only=True)
    python: str | None = field(default=None, kw_only=True)
    imports: tuple[Import, ...] = field(default=(), kw_only=True)
    outputs: tuple[str, ...] = field(default=(), kw_only=True)
    needs: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@frozen
class RegistryAccess:
    """How one registry is reached.

    `plain_http` True never uses TLS, False always; None does but for names of this machine itself.
    `ca` is a file of certificates (PEM) that are trusted instead of the system's. `pull_name` is
    what the cluster's nodes call it, ``host[:port]``, where that differs, and `pod_name` what its
    pods do (by default as the nodes).
    """

    plain_http: bool | None = field(default=None, kw_only=True)
    ca: Path | None = field(default=None, kw_only=True)
    pull_name: str | None = field(default=None, kw_only=True)
    pod_name: str | None = field(default=None, kw_only=True)


class Report(Protocol):
    """Takes an event: its name, and plain values that are no secrets."""

    def __call__(self, name: str, /, **fields: str | int | float) -> None:
        """Takes it."""
        ...


def unheard(name: str, /, **fields: str | int | float) -> None:
    """A `Report` that nobody listens to."""


def no_storage() -> None:
    """Where a backend has no store."""


@frozen
class BuildRequest:
    """What a builder is asked for: `context` on top of `base_image`, pushed to `registry`.

    `base_image` and `registry` are None where the backend runs without images; a `registry` that
    is no text is the backend's own. `registries` says how registries are reached, by
    ``host[:port]``; `registry_for` is asked, with such a host, for the plugin that knows it (its
    credentials count after those of the user's keychain). `storage` gives the backend's store of
    build contexts, if it has one, and `patches` what pods that build need. `report` is told of
    each step.
    """

    context: BuildContext
    base_image: str | None = field(default=None, kw_only=True)
    registry: str | Registry | None = field(default=None, kw_only=True)
    registries: Mapping[str, RegistryAccess] = field(default_factory=dict, kw_only=True)
    registry_for: Callable[[str], Registry | None] | None = field(
        default=None, kw_only=True, repr=False
    )
    storage: Callable[[], Storage | None] = field(default=no_storage, kw_only=True, repr=False)
    patches: Callable[[], Sequence[PodPatch]] = field(default=tuple, kw_only=True, repr=False)
    report: Report = field(default=unheard, kw_only=True, repr=False)


@frozen
class Built:
    """What a builder made: an image by its digest, or, without images, where the files are.

    `uid` and `gid` are the numbers that the image's program runs as, `python` the X.Y it brings,
    `platform` what it is for (``linux/amd64``); None where nobody knows.
    """

    image: str
    uid: int | None = field(default=None, kw_only=True)
    gid: int | None = field(default=None, kw_only=True)
    python: str | None = field(default=None, kw_only=True)
    platform: str | None = field(default=None, kw_only=True)


@frozen
class OwnedSecret:
    """A Secret that is made beside a pod's Job, and goes with it.

    A `PodPatch` refers to it by `name`; in the cluster it is ``JOB-NAME``, with the Job's name.
    `data` are its entries, `type` is Kubernetes' own (``kubernetes.io/dockerconfigjson``).

    Source: Kubernetes API v1.36, Secret.
    """

    name: str
    data: Mapping[str, bytes] = field(repr=False)
    type: str = field(default="Opaque", kw_only=True)


@frozen
class PodPatch:
    """An addition to a pod, as plain data in the Kubernetes API's own (camelCase) names.

    `spec` is merged into the pod's spec and `container` into its main container: mappings key by
    key, lists by the key that Kubernetes merges them by (``name``, ``mountPath``), later ones
    winning. `secrets` are those that it refers to and that are not there yet; values that are
    secret are nowhere else. `origin` says who asked for it.

    Source: Kubernetes API v1.36, PodSpec, Container; its strategic merge patch keys.
    """

    spec: Mapping[str, Any] = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    annotations: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    secrets: tuple[OwnedSecret, ...] = field(default=(), kw_only=True)
    origin: str = field(default="", kw_only=True)


PodSpecMutator = Callable[[Any, Any, str], Any]
"""A user's own mutator, as the original's: ``f(kube_manager, pod_spec, namespace)``."""


@frozen
class DeployRequest:
    """What a deployer is asked for: run `command` and `args` in `image`, starting in `workdir`.

    `patches` are folded in their order. `returns` is true when the program writes a result record
    (see `Outcome.record`). `outputs` are the files, folders and patterns, relative to `workdir`,
    that come home after the end; `keeper` is where the image has what sees to that (see
    `fairing_core.runtime.keep`), "" if it has not. `uid` and `gid` are the image's user,
    as in `Built`.
    """

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...] = field(default=(), kw_only=True)
    workdir: str = field(default=PREFIX.rstrip("/"), kw_only=True)
    name: str = field(kw_only=True)
    stage: Stage = field(default="train", kw_only=True)
    patches: tuple[PodPatch, ...] = field(default=(), kw_only=True)
    returns: bool = field(default=False, kw_only=True)
    outputs: tuple[str, ...] = field(default=(), kw_only=True)
    keeper: str = field(default="", kw_only=True)
    uid: int | None = field(default=None, kw_only=True)
    gid: int | None = field(default=None, kw_only=True)


class RunStatus(enum.StrEnum):
    """Where a run is; the last three are for good."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self not in (RunStatus.PENDING, RunStatus.RUNNING)


@frozen
class Outcome:
    """How a run ended.

    `exit_code` is the program's (128 + n for signal n), None when nobody saw it; `reason` then says
    why. `record` is the result record, the JSON bytes that the function shim writes; None for
    scripts. `tail` holds the log's last lines.
    """

    exit_code: int | None
    reason: str | None = field(default=None, kw_only=True)
    record: bytes | None = field(default=None, kw_only=True, repr=False)
    tail: str = field(default="", kw_only=True, repr=False)


@frozen
class Artifact:
    """A file that a run left behind.

    `path` is relative to where the program started, or its absolute path without the first slash;
    `size` is in bytes, `digest` ``sha256:<hex>``, `content` where it is on this machine.
    """

    path: str
    size: int
    digest: str
    content: Path


@frozen
class Snapshot:
    """A run at one moment.

    `exit_code` and `reason` are those of its `Outcome`; before the end, `reason` is what it waits
    for, where that is known. `started` and `ended` are the program's times (UTC).
    """

    status: RunStatus
    exit_code: int | None = field(default=None, kw_only=True)
    reason: str | None = field(default=None, kw_only=True)
    started: datetime | None = field(default=None, kw_only=True)
    ended: datetime | None = field(default=None, kw_only=True)


@frozen
class Diagnosis:
    """What keeps a run from going well: one cause, what shows it, and what to do next.

    `kind` is a name for programs (``"unschedulable"``, ``"out-of-memory"``; docs/why.md has all of
    them), `cause` a sentence for people, `evidence` what the program or the cluster said, line by
    line, and `next` the command or the change that leads on. As text, it is all of it.
    """

    kind: str
    cause: str
    evidence: tuple[str, ...] = field(default=(), kw_only=True)
    next: str = field(default="", kw_only=True)

    def __str__(self) -> str:
        lines = [self.cause, *(f"  {line}" for line in self.evidence)]
        return "\n".join([*lines, f"next: {self.next}"] if self.next else lines)


@frozen
class Event:
    """One step of a run, for whoever listens.

    `name` is like ``"submitted"``, `time` a POSIX time in seconds; `fields` hold plain values,
    never secrets.
    """

    name: str
    time: float
    fields: Mapping[str, str | int | float] = field(default_factory=dict)


@frozen
class Step:
    """One step on a run's way: `began` is a POSIX time, `seconds` what it took, None while it goes.

    `source` says by whose clock: this program's, or the cluster's. Steps may overlap.
    """

    name: str
    began: float
    seconds: float | None
    source: Literal["client", "cluster"] = field(default="client", kw_only=True)


@frozen
class Check:
    """One thing that was looked at: whether it is `ok`, and in `detail` what to do if not.

    `ok` is None where it could not be looked at; `detail` then says why.
    """

    name: str
    ok: bool | None
    detail: str = ""


@frozen
class StoredObject:
    """What a storage holds under `url`.

    `size` is in bytes, `digest` ``sha256:<hex>`` where the storage knows it, `changed` the POSIX
    time (s) of its last change.
    """

    url: str
    size: int
    digest: str | None = field(default=None, kw_only=True)
    changed: float | None = field(default=None, kw_only=True)


@frozen
class Credentials:
    """A registry's user and password (or token); the secret half is in no repr.

    The user ``<token>`` says that the password is an identity token (a refresh token), as Docker's
    credential helpers say it. From `expires` on, a POSIX time (s), whoever gave them is asked anew.
    """

    username: str
    password: str = field(repr=False)
    expires: float | None = field(default=None, kw_only=True, repr=False)

    @property
    def is_stale(self) -> bool:
        """Whether they are to be asked for anew."""
        return self.expires is not None and time.time() >= self.expires
