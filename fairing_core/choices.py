"""Who decides: an argument, then the environment, then the file, then the backend, then core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

from fairing_core import defaults, errors, log, settings
from fairing_core.interfaces import BackendInterface, Builder, Deployer, Preprocessor, Registry
from fairing_core.plugins import Kind, Plugins, owner_of, told
from fairing_core.types import (
    BuildRequest,
    Check,
    Credentials,
    PodPatch,
    PodSpecMutator,
    RegistryAccess,
    Source,
)
from fairing_core.values import field, frozen

logger = log.named(__name__)


@frozen
class Part:
    """What the user said of one role: a name, a class or an object, and its options."""

    named: str | type | object | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@frozen(kw_only=True)
class Order:
    """All that the user said of one run; None leaves a choice open."""

    source: Source
    folder: Path
    backend: Part = Part()
    preprocessor: Part = Part()
    builder: Part = Part()
    deployer: Part = Part()
    base_image: str | None = None
    registry: str | None = None
    patches: tuple[PodPatch, ...] = ()
    mutators: tuple[PodSpecMutator, ...] = ()
    outputs: tuple[str, ...] = ()
    name: str | None = None


class Choices:
    """The parts of one run, each made on demand from an `Order`."""

    def __init__(self, order: Order, plugins: Plugins) -> None:
        self._order = order
        self._plugins = plugins
        self._settings = settings.Settings.near(order.folder)
        self.backend = self._backend()

    def _backend(self) -> BackendInterface:
        order = self._order
        named = order.backend.named or self._settings.get("backend")
        if named is None:
            wants_cluster = any(
                self._named(key) is not None for key in ("deployer", "builder", "registry")
            )
            named = defaults.backend(wants_cluster=wants_cluster)
        return make_backend(named, order.backend.options, self._settings, self._plugins)

    def _named(self, key: str) -> Any:
        """What an argument, the environment or the file says of one of core's settings."""
        said = getattr(self._order, key)
        said = said.named if isinstance(said, Part) else said
        return self._settings.get(key) if said is None else said

    def preprocessor(self) -> Preprocessor:
        """Packages the source."""
        source = self._order.source
        named = self._named("preprocessor") or self.backend.preprocessor(source)
        return cast(
            Preprocessor,
            self._make(
                "preprocessor",
                named or defaults.preprocessor(source),
                self._order.preprocessor.options,
            ),
        )

    def deployer(self) -> Deployer:
        """Runs the image: the backend's own for that kind, else the one registered by name."""
        named = self._named("deployer") or "job"
        if isinstance(named, str):
            own = self.backend.deployer(named)
            named = own or defaults.deployer(named, self.backend) or named
        return cast(Deployer, self._make("deployer", named, self._order.deployer.options))

    def builder(self, request: BuildRequest) -> Builder:
        """Builds the image; a backend without images brings its own and leaves the named one."""
        named, options = self._named("builder"), self._order.builder.options
        if isinstance(named, str):
            own = defaults.builder(named, self.backend)
            named = own or self._plugins.lookup("builder", named)
        if named is None or not self.backend.needs_image:
            named = self.backend.builder(request)
            options = {} if named is not None else options
        if named is None:
            return self._fitting(request, options)
        return cast(Builder, self._make("builder", named, options))

    def _fitting(self, request: BuildRequest, options: Mapping[str, Any]) -> Builder:
        """The first of core's builders that can build it.

        Raises:
            Unsupported: none can; it says of each why not.
        """
        reasons: dict[str, str] = {}
        for name in defaults.builders():
            factory = defaults.builder(name, self.backend) or self._plugins.lookup("builder", name)
            try:
                made = cast(Builder, self._make("builder", factory, options))
                reason = made.supports(request)
            except errors.UnknownOption as exc:
                reason = str(exc)
            if reason is None:
                if reasons:
                    told = "; ".join(f"{other}: {why}" for other, why in reasons.items())
                    logger.info("builder %r builds it, since not %s", name, told)
                return made
            reasons[name] = reason
        told = "\n".join(f"  {name}: {why}" for name, why in reasons.items())
        raise errors.Unsupported(f"no builder can build this:\n{told}")

    def base_image(self) -> str | None:
        """The image that the code is put on; None where none is needed."""
        if not self.backend.needs_image:
            return None
        return self._named("base_image") or self.backend.base_image() or defaults.base_image()

    def registry(self) -> str | Registry | None:
        """Where images are pushed: the user's words, else the backend's own; None is nowhere."""
        if not self.backend.needs_image:
            return None
        named, own = self._named("registry"), self.backend.registry()
        if isinstance(named, str) and own is not None and own.serves(named.partition("/")[0]):
            return _Placed(named.rstrip("/"), own)
        return named or own

    def registries(self) -> dict[str, RegistryAccess]:
        """How registries are reached, by ``host[:port]``: the user's settings come first."""
        if not self.backend.needs_image:
            return {}
        return {**self.backend.registries(), **self._settings.registries()}

    def pulled(self, image: str) -> str:
        """What the cluster's nodes call `image`: some know its registry by another name."""
        host, slash, path = image.partition("/")
        access = self.registries().get(host)
        return f"{access.pull_name}{slash}{path}" if access and access.pull_name else image

    def pull_access(self, image: str) -> Sequence[PodPatch]:
        """What a pod needs to pull `image` from the backend's own registry."""
        host = image.partition("/")[0]
        own = self.backend.registry() if image else None
        return own.pod_access("pull") if own is not None and own.serves(host) else ()

    def registry_for(self, host: str) -> Registry | None:
        """Who knows the registry at `host`: the backend, or a plugin; None is nobody."""
        own = self.backend.registry()
        if own is not None and own.serves(host):
            return own
        named = self._plugins.serving(host)
        return None if named is None else cast(Registry, named())

    def ignored(self) -> list[str]:
        """The options that were given but mean nothing to this backend."""
        if self.backend.needs_image:
            return []
        named = [
            key for key in ("base_image", "registry", "builder") if self._named(key) is not None
        ]
        if self._order.builder.options and "builder" not in named:
            named.append("the builder's options")
        return named

    def _make(self, kind: Kind, named: Any, given: Mapping[str, Any]) -> Any:
        given = {key: value for key, value in given.items() if value is not None}
        what = f"{kind} {named!r}" if isinstance(named, str) else f"{kind} {_title(named)}"
        if isinstance(named, str):
            named = self._plugins.lookup(kind, named)
        if callable(named):
            factory = cast(Callable[..., Any], named)
            return factory(**settings.options(factory, given, what))
        if given:
            raise errors.UnknownOption(
                f"{what} is an object already, so {', '.join(sorted(given))} can't be given "
                "to it: make it with them, or pass its class"
            )
        return named


class _Placed:
    """A place in a registry that the backend knows, as the user's words name it."""

    def __init__(self, place: str, own: Registry) -> None:
        self._place = place
        self._own = own

    def serves(self, host: str) -> bool:
        return host == self._place.partition("/")[0]

    def repository(self, name: str) -> str:
        return f"{self._place}/{name}"

    def ensure(self, repository: str) -> None:
        self._own.ensure(repository)

    def credentials(self, host: str) -> Credentials | None:
        return self._own.credentials(host)

    def pod_access(self, mode: Literal["pull", "push"]) -> Sequence[PodPatch]:
        return self._own.pod_access(mode)

    def __str__(self) -> str:
        return self._place


def make_backend(
    named: Any,
    given: Mapping[str, Any],
    found: settings.Settings,
    plugins: Plugins,
) -> BackendInterface:
    """The backend behind a name, a class or an object, made with its settings.

    Raises:
        UnknownBackend: no plugin offers that name.
        UnknownOption: `given` has an option that the backend lacks.
        UnknownSetting: so has the environment or the file.
        SettingsError: a setting does not fit, or is missing.
        PluginFailed: making it raised something else.
    """
    if isinstance(named, BackendInterface):
        if given:
            raise errors.UnknownOption(
                f"backend {named!r} is an object already: give it its options when you make it"
            )
        return named
    if not isinstance(named, str) and not (
        isinstance(named, type) and issubclass(named, BackendInterface)
    ):
        raise errors.UnknownBackend(
            f"backend={named!r} is no name, no subclass of BackendInterface and no object of one"
        )
    made = plugins.lookup("backend", named) if isinstance(named, str) else named
    what = f"backend {made.name!r}"
    said = settings.options(made, given, what)
    settled = {**found.of_backend(made.name, made), **said}
    with _blamed(made, f"{what} can't be made"):
        try:
            backend = made(**settled)
        except TypeError as exc:  # a setting without a default that nobody gave
            raise errors.SettingsError(f"{what} can't be made: {exc}") from exc
    return cast(BackendInterface, backend)


def checks_of(backend: BackendInterface) -> Sequence[Check]:
    """What the backend has looked at of what it needs.

    Raises:
        PluginFailed: it raised.
    """
    with _blamed(type(backend), f"backend {backend.name!r} failed to say what it needs"):
        return tuple(backend.check())


@contextmanager
def _blamed(made: type, what: str) -> Iterator[None]:
    """Within, an error that is none of ours is told as a failure of the plugin's own class."""
    try:
        yield
    except errors.FairingError:
        raise
    except Exception as exc:  # whatever somebody else's code raises
        owner = owner_of(made)
        raise errors.PluginFailed(
            f"{what}: {told(exc)} (in {owner}); upgrade it, or mend it", distribution=owner
        ) from exc


def _title(named: object) -> str:
    named = getattr(named, "func", named)  # a factory that is made of it
    return getattr(named, "__qualname__", type(named).__qualname__)
