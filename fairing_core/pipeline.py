"""The pipeline: source -> context -> image -> manifests -> run, read top to bottom in `launch`.

`plan` walks the same way and stops before anything is built or sent.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from fairing_core import errors, limits, log, names
from fairing_core.choices import Choices, Order
from fairing_core.interfaces import (
    Builder,
    Deployer,
    ForeseeingBuilder,
    ForeseeingDeployer,
    Preprocessor,
    RunHandle,
)
from fairing_core.plans import Plan
from fairing_core.plugins import Plugins
from fairing_core.types import (
    BuildContext,
    BuildRequest,
    Built,
    Check,
    DeployRequest,
    PodPatch,
    PodSpecMutator,
    Source,
    Stage,
    Step,
)

logger = log.named(__name__)

NOT_BUILT = "not-built-yet"
"""The image in a plan where the builder can't tell what it will be called."""


class Launched(NamedTuple):
    """The parts that made a run, and its handle."""

    preprocessor: Preprocessor
    builder: Builder
    deployer: Deployer
    handle: RunHandle


def launch(order: Order, *, plugins: Iterable[object] = ()) -> Launched:
    """Runs what was ordered."""
    ready = _Ready(order, plugins)
    built = ready.built()
    patches = ready.patches(built)
    handle = _submitted(ready.deployer, ready.manifests(built, patches), order.mutators, patches)
    ready.emit("submitted", uri=handle.uri, name=handle.name)
    handle.note(ready.steps())
    return Launched(ready.preprocessor, ready.builder, ready.deployer, handle)


def plan(order: Order, *, plugins: Iterable[object] = (), build: bool = False) -> Plan:
    """What `launch` would send, and what stands in its way.

    Args:
        order: what to run.
        plugins: objects with `hookimpl` methods, for this plan alone.
        build: whether the image is built, so that the plan can be sent as it is.
    """
    ready = _Ready(order, plugins)
    checks: list[Check] = []
    if build:
        built = ready.built()
    elif isinstance(ready.builder, ForeseeingBuilder):
        built, found = ready.builder.foresee(ready.request)
        checks += found
    else:
        built = Built(NOT_BUILT)
        checks.append(_unasked("image", ready.builder, "what it will build"))
    manifests = ready.manifests(built, ready.patches(built))
    if isinstance(ready.deployer, ForeseeingDeployer):
        manifests, found = ready.deployer.foresee(manifests, order.mutators, built)
        checks += found
    else:
        checks.append(_unasked("cluster", ready.deployer, "what stands in the way"))
    return Plan(
        ready.name,
        built.image,
        ready.request.context,
        manifests=tuple(manifests),
        checks=tuple(checks),
    )


class _Ready:
    """The parts that were chosen for an order, and its source, packaged."""

    def __init__(self, order: Order, plugins: Iterable[object]) -> None:
        self._order = order
        self.hub = hub = Plugins(extra=plugins)
        self._choices = choices = Choices(order, hub)
        self.deployer, self.preprocessor = choices.deployer(), choices.preprocessor()
        if ignored := choices.ignored():
            logger.warning("backend %r ignores: %s", choices.backend.name, ", ".join(ignored))
        self._arguments = _script_arguments(order.source)
        self.name = order.name or names.random_name(order.source.title)
        names.check_name(self.name)
        choices.backend.warm()

        self._times: dict[str, float] = {}
        self._pushing = 0.0
        self.emit("packaging")
        context = self.preprocessor.preprocess(order.source)
        self.emit("packaged", files=len(context.files), bytes=context.size, digest=context.digest)

        self.request = BuildRequest(
            context,
            base_image=choices.base_image(),
            registry=choices.registry(),
            registries=choices.registries(),
            registry_for=choices.registry_for,
            storage=choices.backend.storage,
            patches=functools.partial(self._asked, "build", choices.base_image() or ""),
            report=self.emit,
        )
        self.builder = choices.builder(self.request)
        if reason := self.builder.supports(self.request):
            raise errors.Unsupported(
                f"builder {type(self.builder).__name__} can't build this: {reason}"
            )

    def emit(self, name: str, /, **fields: str | int | float) -> None:
        """Tells the plugins of a step, and notes its time."""
        self._times[name] = time.time()
        if name == "pushed":
            self._pushing = float(fields.get("seconds", 0.0))
        self.hub.emit(name, **fields)

    def steps(self) -> list[Step]:
        """What each step took, up to the submit."""
        times = self._times
        spans = {"package": ("packaging", "packaged"), "build": ("building", "built")}
        found = [
            Step(name, times[begun], times[ended] - times[begun])
            for name, (begun, ended) in spans.items()
        ]
        if "pushed" in times:
            found.append(Step("push", times["pushed"] - self._pushing, self._pushing))
        return [*found, Step("submit", times["built"], times["submitted"] - times["built"])]

    def built(self) -> Built:
        """The image, once it is built."""
        self.emit("building", builder=type(self.builder).__name__)
        built = self.builder.build(self.request)
        self.emit("built", image=built.image)
        return built

    def patches(self, built: Built) -> tuple[PodPatch, ...]:
        """What the run's pods need: by plugins, the backend, its registry and the user."""
        image = built.image if self._choices.backend.needs_image else ""
        pulling = self._choices.pull_access(image)
        return (*self._asked("train", image), *pulling, *self._order.patches)

    def manifests(self, built: Built, patches: tuple[PodPatch, ...]) -> Sequence[Mapping[str, Any]]:
        """What is to be run, as objects."""
        context = self.request.context
        return self.deployer.render(
            DeployRequest(
                self._choices.pulled(built.image),
                context.command,
                args=self._arguments,
                workdir=context.workdir,
                name=self.name,
                patches=patches,
                returns=self._order.source.kind == "function",
                outputs=tuple(dict.fromkeys((*self._order.outputs, *context.outputs))),
                keeper=_keeper(context),
                uid=built.uid,
                gid=built.gid,
            )
        )

    def _asked(self, stage: Stage, image: str) -> tuple[PodPatch, ...]:
        """What plugins and the backend say that pods of a stage need."""
        backend = self._choices.backend
        return (
            *self.hub.pod_patches(backend.name, stage, image),
            *self.hub.backend_patches(backend, stage, image),
        )


def _submitted(
    deployer: Deployer,
    manifests: Sequence[Mapping[str, Any]],
    mutators: Sequence[PodSpecMutator],
    patches: Iterable[PodPatch],
) -> RunHandle:
    """The run, with the secrets that patches bring, where there are any."""
    secrets = [secret for patch in patches for secret in patch.secrets]
    if not secrets:
        return deployer.submit(manifests, mutators)
    try:
        submit = functools.partial(deployer.submit, secrets=secrets)  # type: ignore[call-arg]
        return submit(manifests, mutators)
    except TypeError as exc:
        if "secrets" not in str(exc):
            raise
        raise errors.Unsupported(
            f"deployer {type(deployer).__name__} can't make the Secrets that these pods need: its "
            "submit() has no parameter 'secrets'"
        ) from exc


def _keeper(context: BuildContext) -> str:
    """Where the image has what keeps outputs; "" where it has not."""
    places = (file.destination for file in context.files)
    return next((one for one in places if one.endswith("/fairing_core/keep.py")), "")


def _script_arguments(source: Source) -> tuple[str, ...]:
    if source.kind == "function":
        return ()
    for number, argument in enumerate(source.args):
        if not isinstance(argument, str):
            raise errors.InvalidArgument(
                f"args[{number}] = {argument!r} is a {type(argument).__name__}; "
                "a script's arguments are texts"
            )
        limits.check_argument(argument, f"args[{number}]")
    return cast("tuple[str, ...]", source.args)


def _unasked(name: str, part: object, what: str) -> Check:
    return Check(name, None, f"{type(part).__name__} has no foresee(), so {what} is not known")
