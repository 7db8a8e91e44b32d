"""The roles of the pipeline: what a plugin implements and what core calls.

`BackendInterface` and `RunHandle` give defaults, so they are base classes; the other roles are
Protocols, which any class with the right methods satisfies.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, Protocol, runtime_checkable

from fairing_core import errors

if TYPE_CHECKING:  # dataclasses take longer to import than all of this
    from datetime import datetime

    from fairing_core.types import (
        Artifact,
        BuildContext,
        BuildRequest,
        Built,
        Check,
        Credentials,
        DeployRequest,
        Diagnosis,
        Event,
        Outcome,
        PodPatch,
        PodSpecMutator,
        RegistryAccess,
        Report,
        RunStatus,
        Snapshot,
        Source,
        Stage,
        Step,
        StoredObject,
    )


@runtime_checkable
class Preprocessor(Protocol):
    """Packages a source. Its class takes its options as keyword-only parameters."""

    def preprocess(self, source: Source) -> BuildContext:
        """The files and the command; writes nothing beside the user's files.

        Raises:
            InputError: a file or an object can't travel.
        """
        ...


@runtime_checkable
class Builder(Protocol):
    """Makes an image of a context. Its class takes its options as keyword-only parameters."""

    def supports(self, request: BuildRequest) -> str | None:
        """Why this builder can't do it, or None if it can; asks nobody but this machine."""
        ...

    def build(self, request: BuildRequest) -> Built:
        """The image, pushed and named by its digest."""
        ...


@runtime_checkable
class Deployer(Protocol):
    """Runs an image. Its class takes its options as keyword-only parameters."""

    def render(self, request: DeployRequest) -> Sequence[Mapping[str, Any]]:
        """The objects that `submit` sends, as plain dicts: pure, no network, no SDK."""
        ...

    def submit(
        self, manifests: Sequence[Mapping[str, Any]], mutators: Sequence[PodSpecMutator] = ()
    ) -> RunHandle:
        """Sends what `render` gave, once the user's own `mutators` have edited its pods.

        Where patches of the request have `secrets`, a deployer is called with those, too, as
        ``secrets=``; one without that parameter can't be used there.
        """
        ...


@runtime_checkable
class ForeseeingBuilder(Protocol):
    """A builder that can say what it would build; any builder may."""

    def foresee(self, request: BuildRequest) -> tuple[Built, Sequence[Check]]:
        """The image that `build` would give, and what stands in its way; changes nothing.

        Where the image is not there yet, it goes by a name without a digest.
        """
        ...


@runtime_checkable
class ForeseeingDeployer(Protocol):
    """A deployer that can say what it would send; any deployer may."""

    def foresee(
        self,
        manifests: Sequence[Mapping[str, Any]],
        mutators: Sequence[PodSpecMutator],
        built: Built,
    ) -> tuple[Sequence[Mapping[str, Any]], Sequence[Check]]:
        """The very objects that `submit` would send, and what stands in their way."""
        ...


@runtime_checkable
class Storage(Protocol):
    """Keeps build contexts and artifacts, by URL. Registered by URL scheme.

    Making one asks nobody. Whatever is asked of it may raise a `StorageError`, which says what
    failed, for which URL, and what to do next; no secret is in it.
    """

    def url(self, key: str) -> str:
        """What the object under `key` is called, whether it is there or not; asks nobody."""
        ...

    def put(
        self,
        key: str,
        content: BinaryIO,
        *,
        size: int,
        digest: str,
        progress: Callable[[int], object] | None = None,
    ) -> StoredObject:
        """Stores the `size` bytes of `content`, whose SHA-256 is `digest`, under `key`.

        It is there whole or not at all, and what arrives is checked against `digest`. One that is
        there already is written again, so that it counts as new. `content` is at its beginning and
        can seek; it is never read whole. `progress` is told of bytes as they are sent.
        """
        ...

    def open(self, url: str, *, start: int = 0) -> BinaryIO:
        """The object's bytes from `start` on, as a stream that the caller closes.

        Of a whole object whose digest the storage knows, the last `read` raises if it differs.
        """
        ...

    def stat(self, url: str) -> StoredObject | None:
        """What is there, or None; one request."""
        ...

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """What is stored under keys that begin with `prefix`."""
        ...

    def delete(self, url: str) -> None:
        """Removes the object; one that is not there is no error."""
        ...

    def pod_access(self, mode: Literal["read", "write"]) -> Sequence[PodPatch]:
        """What a pod needs to reach it: service account, secret references, environment.

        Raises:
            Unsupported: pods have no identity of their own there: give them signed URLs.
        """
        ...

    def signed_url(
        self, url: str, *, seconds: float, mode: Literal["read", "write"] = "read"
    ) -> str | None:
        """A URL by which whoever has it reads or writes the object from a pod; a secret.

        It is good for so long, or for as long as the storage can have it. It is for GET, or for
        PUT. None where the storage can't make one.
        """
        ...


@runtime_checkable
class CertifiedStorage(Protocol):
    """A storage that may have certificates of its own; any storage may be one."""

    def certificates(self) -> bytes | None:
        """What pods have to trust for its signed URLs, instead of the system's; PEM. None is that.

        Raises:
            SettingsError: they can't be read.
        """
        ...


def certificates_of(storage: Storage) -> bytes | None:
    """What pods have to trust for its signed URLs; None is the system's certificates."""
    return storage.certificates() if isinstance(storage, CertifiedStorage) else None


@runtime_checkable
class Registry(Protocol):
    """Knows how one kind of image registry is reached."""

    def serves(self, host: str) -> bool:
        """Whether `host` (``name[:port]``) is one of its registries.

        A class that is registered by name has this as a class method: it is asked which hosts are
        of its kind before anything is made. An object that knows one registry answers for that.
        """
        ...

    def repository(self, name: str) -> str:
        """The full repository, ``host/path/name``, for images called `name`."""
        ...

    def ensure(self, repository: str) -> None:
        """Makes the repository where the registry wants that before a push; builders call it.

        Raises:
            RegistryError: there is none, and it can't be made; it says what to do.
        """
        ...

    def credentials(self, host: str) -> Credentials | None:
        """Fresh credentials; None for the user's own keychain, and for a host that is not its."""
        ...

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        """What a pod needs to reach it: pull secrets, service account, environment."""
        ...


class RunHandle(ABC):
    """A run that was submitted: look at it, wait for it, stop it, take its result.

    Example:
        >>> from fairing_core import TrainJob
        >>> handle = TrainJob(len, backend="local", args=("four",)).submit()
        >>> handle.wait(timeout=60)
        <RunStatus.SUCCEEDED: 'succeeded'>
        >>> handle.result()
        4
        >>> handle.delete()

    ``str(handle)`` is its URI, ``fairing://BACKEND/NAMESPACE/KIND/NAME?uid=UID``: `get_run` picks
    the run up from it, in any process.
    """

    report: Report | None = None
    """Told of what `wait` does beside waiting: ``"fetching"`` and ``"fetched"``, with bytes."""

    _poll: ClassVar[float] = 0.5  # seconds between two looks, at the most

    @property
    @abstractmethod
    def uri(self) -> str:
        """The URI by which any process finds this run again."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The run's name, unique among the backend's runs."""

    @property
    @abstractmethod
    def status(self) -> RunStatus:
        """Where the run is now.

        Raises:
            RunNotFound: it was deleted, or another run has its name.
        """

    @property
    def url(self) -> str | None:
        """Where the run is seen in a browser, if anywhere."""
        return None

    @property
    def image(self) -> str | None:
        """The image that it runs, by its digest; None where it runs without one."""
        return None

    @property
    def started(self) -> datetime | None:
        """When the program started (UTC), once it has."""
        return None

    @property
    def ended(self) -> datetime | None:
        """When the program ended (UTC), once it has and somebody saw it."""
        return None

    @abstractmethod
    def logs(self, follow: bool = False, *, tail: int | None = None) -> Iterator[str]:
        """The program's output, in order, joined exact: ``"".join(handle.logs())``.

        Each piece is a line with its line end; the last may lack one, and when following, a line
        still being written comes in parts. `follow` goes on until the run ends. `tail` starts at
        the last so many lines. Bytes that are no UTF-8 come as U+FFFD.
        """

    @abstractmethod
    def outcome(self) -> Outcome:
        """How the run ended; for ended runs only."""

    def snapshot(self) -> Snapshot:
        """The run at one moment; a run of a list may have it as listed."""
        from fairing_core.types import Snapshot

        status = self.status
        outcome = self.outcome() if status.is_terminal else None
        return Snapshot(
            status,
            exit_code=outcome.exit_code if outcome else None,
            reason=outcome.reason if outcome else None,
            started=self.started,
            ended=self.ended,
        )

    def events(self) -> Sequence[Event]:
        """What happened to the run, in order, as far as the backend keeps it."""
        from fairing_core.types import Event

        moments = {"started": self.started, "ended": self.ended}
        return [Event(name, at.timestamp()) for name, at in moments.items() if at is not None]

    def note(self, steps: Sequence[Step]) -> None:
        """Keeps what was measured while the run was made, where the backend has a place for it."""
        return

    def timeline(self) -> Sequence[Step]:
        """When each step of the run was and what it took: from packaging to the program's end."""
        from fairing_core.types import Step

        if self.started is None:
            return ()
        seconds = None if self.ended is None else (self.ended - self.started).total_seconds()
        return (Step("run", self.started.timestamp(), seconds),)

    def why(self) -> Diagnosis | None:
        """What keeps the run from going well, and what to do next; None where nothing does."""
        from fairing_core.diagnosis import of_program
        from fairing_core.types import Diagnosis, RunStatus

        status = self.status
        if status is RunStatus.CANCELLED:
            return Diagnosis("cancelled", "somebody cancelled it", next="submit it again")
        return of_program(self.name, self.outcome()) if status is RunStatus.FAILED else None

    @abstractmethod
    def cancel(self) -> None:
        """Stops the run: SIGTERM, later SIGKILL. One that has ended is left as it is."""

    @abstractmethod
    def delete(self) -> None:
        """Removes the run and its records, stopping it first; a run already gone is no error."""

    def clean_up(self) -> None:
        """Deletes the run once it has ended; a backend may let this handle keep its result."""
        self.wait()
        self.delete()

    def wait(self, timeout: float | None = None) -> RunStatus:
        """The final status, as soon as there is one.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            WaitTimeout: the run had not ended in time. It goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.01
        while not (status := self.status).is_terminal:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                found = self._why()
                advice = f"wait longer, or see its output with 'fairing logs {self.name}'"
                raise errors.WaitTimeout(
                    f"{self.name} is still {status} after {timeout:g} s"
                    + (f": {found}" if found else f"; {advice}"),
                    uri=self.uri,
                    status=status,
                )
            self._attend()
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, self._poll)
        return status

    def result(self, timeout: float | None = None, *, unpickle: bool = False) -> Any:
        """What the function returned (None for a script), once the run has ended.

        Args:
            timeout: seconds to wait for the end; None waits for ever.
            unpickle: also open a value that travelled as a pickle. Whoever controls the run
                controls those bytes, and opening them runs their code.

        Raises:
            RunFailed: the run did not succeed.
            ResultUnavailable: the value did not travel, or needs `unpickle`.
            WaitTimeout: the run had not ended in time.
        """
        if failure := self.exception(timeout):
            raise failure
        record = self.outcome().record
        if record is None:
            return None
        content: dict[str, Any] = json.loads(record)
        if "pickled" in content:
            if not unpickle:
                raise errors.ResultUnavailable(
                    f"{self.name} returned a {content['type']}, which JSON can't carry with its "
                    "type; call result(unpickle=True) if you trust where it ran, "
                    "or return numbers, text, lists and dicts",
                    uri=self.uri,
                )
            import base64
            import pickle

            return pickle.loads(base64.b64decode(content["pickled"]))  # noqa: S301 - it was asked for
        if "lost" in content:
            raise errors.ResultUnavailable(
                f"{self.name} returned a {content['type']}, which can't travel: {content['lost']}",
                uri=self.uri,
            )
        return content["returned"]

    def artifacts(self, timeout: float | None = None) -> Sequence[Artifact]:
        """The files that the run was asked to leave behind (``outputs=``), once it has ended.

        They are on this machine then; after a failure, too. One that was not there when the program
        ended is not among them, and is warned of.

        Args:
            timeout: seconds to wait for the end; None waits for ever.

        Raises:
            ResultUnavailable: nobody fetched them while they were kept.
            WaitTimeout: the run had not ended in time.
        """
        self.wait(timeout)
        return ()

    def exception(self, timeout: float | None = None) -> errors.RunFailed | None:
        """The failure that `result` would raise, or None if the run succeeded.

        Raises:
            WaitTimeout: the run had not ended in time.
        """
        from fairing_core.types import RunStatus

        status = self.wait(timeout)
        if status is RunStatus.SUCCEEDED:
            return None
        outcome = self.outcome()
        raised: dict[str, str] = json.loads(outcome.record or b"{}").get("raised", {})
        cause = self._why() or f"exit code {outcome.exit_code}"
        return errors.RunFailed(
            f"{self.name} {status}: {cause}",
            uri=self.uri,
            returncode=outcome.exit_code,
            type=raised.get("type"),
            text=raised.get("message"),
            traceback=raised.get("traceback"),
        )

    def _attend(self) -> None:
        """What is to be done while a run is waited for."""
        return

    def _why(self) -> Diagnosis | None:
        """`why`, for an error that is there already: it must not be hidden by another."""
        try:
            return self.why()
        except errors.FairingError:
            return None

    def __await__(self) -> Generator[Any, None, Any]:
        """Gives what `result` does; others go on meanwhile. Who stops waiting stops no run."""
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        import asyncio

        pause = 0.01
        while not (await asyncio.to_thread(lambda: self.status)).is_terminal:
            await asyncio.to_thread(self._attend)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, self._poll)
        return await asyncio.to_thread(self.result)

    def __str__(self) -> str:
        return self.uri

    def __repr__(self) -> str:
        from fairing_core import showing

        return showing.text(self)

    def _repr_html_(self) -> str:
        from fairing_core import showing

        return showing.html(self)


class Runs(Protocol):
    """Finds a backend's runs again."""

    def get(self, uri: str) -> RunHandle:
        """The run that `uri` (or its bare name) names.

        Raises:
            RunNotFound: there is none, or its uid is another's.
        """
        ...

    def list(self) -> Iterable[RunHandle]:
        """The runs, newest first."""
        ...


class BackendInterface:
    """A preset for one kind of cluster; its keyword-only ``__init__`` parameters are its settings.

    Every method has a default. None means that core chooses.

    Example:
        >>> from fairing_core import BackendInterface, PodPatch
        >>> class Lab(BackendInterface):
        ...     name = "lab"
        ...     def __init__(self, *, pool: str = "gpu") -> None:
        ...         self.pool = pool
        ...     def base_image(self) -> str:
        ...         return "registry.lab.example/python:3.12"
        ...     def pod_patches(self, stage, image):
        ...         return [PodPatch({"nodeSelector": {"pool": self.pool}})]
        >>> Lab(pool="cpu").pod_patches("train", "")[0].spec
        {'nodeSelector': {'pool': 'cpu'}}
    """

    name: ClassVar[str]
    """What ``TrainJob(backend=...)`` says."""

    needs_image: ClassVar[bool] = True
    """Whether runs need a container image; False leaves base image, registry and builder out."""

    def storage(self) -> Storage | None:
        """Where build contexts and artifacts are kept."""
        return None

    def registry(self) -> Registry | None:
        """Where images are pushed when the user names no registry."""
        return None

    def registries(self) -> Mapping[str, RegistryAccess]:
        """How registries are reached, by ``host[:port]``, where the user's settings don't say."""
        return {}

    def base_image(self) -> str | None:
        """The image that code is put on when the user names none."""
        return None

    def runs(self) -> Runs | None:
        """How runs are found again; None: by the labels of a cluster's objects."""
        return None

    def preprocessor(self, source: Source) -> Preprocessor | Callable[..., Preprocessor] | None:
        """Packages `source` when the user names no preprocessor."""
        return None

    def builder(self, request: BuildRequest) -> Builder | Callable[..., Builder] | None:
        """Builds when the user names no builder."""
        return None

    def deployer(self, kind: str) -> Deployer | Callable[..., Deployer] | None:
        """Runs things of `kind` (``"job"``); a class or factory gets the user's options."""
        return None

    def pod_patches(self, stage: Stage, image: str) -> Sequence[PodPatch]:
        """What every pod of this cluster needs."""
        return ()

    def warm(self) -> None:
        """Called when a run is about to be built: may begin in the background what takes time."""
        return

    def check(self) -> Sequence[Check]:
        """What stands between the user and a run, looked at now; leaves nothing behind."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
