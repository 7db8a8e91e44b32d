"""Loads plugins, looks names up in them, asks them one by one, and explains their faults."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import pluggy

from fairing_core import defaults, errors, hookspecs, log
from fairing_core.installed import AMBIENT, BACKENDS, Plugin, imported, installed, is_blocked
from fairing_core.interfaces import (
    BackendInterface,
    Builder,
    Deployer,
    Preprocessor,
    Registry,
    Storage,
)
from fairing_core.types import Event, PodPatch, Stage
from fairing_core.values import replace

logger = log.named(__name__)

Kind = Literal["backend", "preprocessor", "builder", "deployer", "storage", "registry"]

_HOOKS: Mapping[Kind, tuple[str, type]] = {
    "backend": ("fairing_register_backends", BackendInterface),
    "preprocessor": ("fairing_register_preprocessors", Preprocessor),
    "builder": ("fairing_register_builders", Builder),
    "deployer": ("fairing_register_deployers", Deployer),
    "storage": ("fairing_register_storages", Storage),
    "registry": ("fairing_register_registries", Registry),
}
KINDS: tuple[Kind, ...] = tuple(_HOOKS)

_KNOWN: Mapping[tuple[str, str], str] = {
    ("backend", "aws"): "fairing-aws",
    ("backend", "gcp"): "fairing-gcp",
    ("backend", "onprem"): "fairing-onprem",
    ("storage", "gs"): "fairing-gcp",
    ("registry", "ecr"): "fairing-aws",
    ("registry", "artifact-registry"): "fairing-gcp",
}
"""Names that our own distributions bring, for the ``pip install`` line of an error; data only."""

_SLOW = 1.0  # seconds that a plugin's import may take before it is named


_CORE = Plugin("fairing-core", "core", AMBIENT, defaults.__name__, "")


class Plugins:
    """The plugins of one run: core's own, the ambient ones, and each that is used by name.

    Args:
        ambient: whether to load the ambient plugins.
        extra: more plugins for this run alone: objects with `hookimpl` methods.
    """

    def __init__(self, *, ambient: bool = True, extra: Iterable[object] = ()) -> None:
        self._manager = _manager()
        self._loaded: dict[Plugin, object] = {}
        self._muted: set[Plugin] = set()
        self._installed = [plugin for plugin in installed() if not is_blocked(plugin)]
        self._register(_CORE, defaults)
        for plugin in self._installed if ambient else ():
            if plugin.group == AMBIENT:
                self._load_or_warn(plugin)
        for number, plugged in enumerate(extra, 1):
            name = f"{type(plugged).__name__}-{number}"
            self._register(Plugin("this program", name, AMBIENT, "", ""), plugged)

    # --- names ---------------------------------------------------------------------------------

    def lookup(self, kind: Kind, name: str) -> type[Any]:
        """The class behind a name: core's, then loaded plugins', then every other one's.

        Raises:
            UnknownName: nobody offers it (`UnknownBackend` for backends).
            DuplicateName: more than one distribution offers it.
            PluginLoadError: the plugin that should offer it can't be loaded.
        """
        entries = [p for p in self._installed if p.group == BACKENDS and p.name == name]
        if kind == "backend":
            self._refuse_two(kind, name, [*entries, *self._offering(kind, name)])
            for plugin in entries:
                self.load(plugin)
        failures: list[errors.PluginError] = []
        if not (offering := self._offering(kind, name)):
            if kind == "backend" and entries:
                raise self._misnamed(entries[0])
            failures = self._load_until_offered(kind, name)
            offering = self._offering(kind, name)
        if not offering:
            raise self._unknown(kind, name, failures)
        self._refuse_two(kind, name, offering)
        return self._offers(offering[0], kind)[name]

    def serving(self, host: str) -> type[Any] | None:
        """The class of the registry at `host`, of the first plugin that knows it.

        A plugin that can't be loaded is passed over, as it may have nothing to do with that host.
        """
        for plugin in (*self._loaded, *(p for p in self._installed if p not in self._loaded)):
            was_loaded = plugin in self._loaded
            try:
                self.load(plugin)
                for offered in self._offers(plugin, "registry").values():
                    if offered.serves(host):
                        return offered
            except errors.PluginError as error:
                logger.info("not asked for the registry %s: %s", host, error)
            if not was_loaded:
                self._unload(plugin)
        return None

    def offers(self, kind: Kind) -> dict[str, Plugin]:
        """The names of a kind that core and the loaded plugins offer, and whose they are."""
        return {name: plugin for plugin in self._loaded for name in self._offers(plugin, kind)}

    def _offering(self, kind: Kind, name: str) -> list[Plugin]:
        return [plugin for plugin in self._loaded if name in self._offers(plugin, kind)]

    def _refuse_two(self, kind: Kind, name: str, offering: Sequence[Plugin]) -> None:
        owners = {plugin.distribution: plugin for plugin in offering}
        if len(owners) > 1:
            raise errors.DuplicateName(
                f"{kind} {name!r} is offered by {' and by '.join(sorted(owners))}; uninstall one, "
                "block one with FAIRING_DISABLE_PLUGINS=<distribution>, "
                f"or pass the class itself instead of {name!r}"
            )

    def _load_until_offered(self, kind: Kind, name: str) -> list[errors.PluginError]:
        """Asks the plugins that are not loaded, one by one; keeps the first that offers `name`."""
        failures: list[errors.PluginError] = []
        for plugin in self._installed:
            if plugin in self._loaded:
                continue
            try:
                self.load(plugin)
                if name in self._offers(plugin, kind):
                    break
            except errors.PluginError as error:
                failures.append(error)
            self._unload(plugin)
        return failures

    def _unknown(
        self, kind: Kind, name: str, failures: Sequence[errors.PluginError]
    ) -> errors.UnknownName:
        known = set(self.offers(kind))
        if kind == "backend":
            known.update(p.name for p in self._installed if p.group == BACKENDS)
        text = f"no {kind} is called {name!r}"
        if distribution := _KNOWN.get((kind, name)):
            text += f"; install it with: pip install {distribution}"
        blocked = [p for p in installed() if p.name == name and is_blocked(p)]
        if blocked:
            text += f"; FAIRING_DISABLE_PLUGINS blocks {blocked[0]}"
        text += errors.near(name, known)
        for failure in failures:
            text += f"\n  (not asked: {failure})"
        return (errors.UnknownBackend if kind == "backend" else errors.UnknownName)(text)

    def _misnamed(self, plugin: Plugin) -> errors.PluginLoadError:
        names = self._offers(plugin, "backend")
        return self._broken(
            plugin,
            f"its fairing_register_backends gives no backend called {plugin.name!r}"
            f"{errors.near(plugin.name, names)}",
        )

    def _offers(self, plugin: Plugin, kind: Kind) -> Mapping[str, type[Any]]:
        """What a loaded plugin registers of a kind, checked."""
        hook, role = _HOOKS[kind]
        try:
            answer = self._ask(plugin, hook)
        except (Exception, SystemExit) as exc:
            raise self._broken(plugin, f"{hook} raised {told(exc)}") from exc
        if answer is None:
            return {}
        if not isinstance(answer, Mapping):
            raise self._broken(plugin, f"{hook} gave a {type(answer).__name__}, not a mapping")
        for name, offered in answer.items():
            if not (isinstance(offered, type) and issubclass(offered, role)):
                raise self._broken(
                    plugin, f"{hook} gave {offered!r} for {name!r}, not a class of {role.__name__}"
                )
            if role is BackendInterface and getattr(offered, "name", None) != name:
                raise self._broken(
                    plugin,
                    f"{hook} calls {offered.__qualname__} {name!r}, "
                    f"but the class states name = {getattr(offered, 'name', None)!r}",
                )
        return answer

    # --- behaviour -----------------------------------------------------------------------------

    def pod_patches(self, backend: str, stage: Stage, image: str) -> tuple[PodPatch, ...]:
        """What the loaded plugins add to a pod, in the order in which they were loaded.

        Raises:
            PluginFailed: a plugin raised, or gave something else than patches.
        """
        patches: list[PodPatch] = []
        for plugin in list(self._loaded):
            ask = functools.partial(
                self._ask, plugin, "fairing_pod_patches", backend=backend, stage=stage, image=image
            )
            patches += _patches(ask, f"plugin {plugin}", plugin.distribution, plugin.name)
        return tuple(patches)

    def backend_patches(
        self, backend: BackendInterface, stage: Stage, image: str
    ) -> tuple[PodPatch, ...]:
        """What the backend itself adds to a pod.

        Raises:
            PluginFailed: it raised, or gave something else than patches.
        """
        owner = owner_of(type(backend))
        ask = functools.partial(backend.pod_patches, stage, image)
        return tuple(_patches(ask, f"backend {backend.name!r}", owner, backend.name))

    def emit(self, event_name: str, /, **fields: str | int | float) -> None:
        """Tells every loaded plugin of a step; one that raises is logged and asked no more."""
        event = Event(event_name, time.time(), fields)
        for plugin in [plugin for plugin in self._loaded if plugin not in self._muted]:
            try:
                self._ask(plugin, "fairing_event", event=event)
            except (Exception, SystemExit) as exc:
                self._muted.add(plugin)
                logger.warning(
                    "plugin %s failed on the event %r and is told no more of this run: %s",
                    plugin,
                    event_name,
                    told(exc),
                    exc_info=logger.isEnabledFor(10),  # DEBUG
                )

    def _ask(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        """One plugin's own answer, so that an answer or a failure has an owner."""
        asked = self._loaded[plugin]
        others = [other for other in self._manager.get_plugins() if other is not asked]
        answers = self._manager.subset_hook_caller(hook, others)(**arguments)
        return answers[0] if answers else None

    # --- loading -------------------------------------------------------------------------------

    def load(self, plugin: Plugin) -> None:
        """Imports and registers a plugin; one that is loaded stays as it is.

        Raises:
            PluginLoadError: it can't be imported, or what it defines is no plugin.
            IncompatiblePlugin: it was made for another plugin API.
        """
        if plugin in self._loaded:
            return
        started = time.perf_counter()
        try:
            module = imported(plugin)
        except (Exception, SystemExit) as exc:
            raise self._broken(plugin, told(exc)) from exc
        seconds = time.perf_counter() - started
        if seconds > _SLOW:
            logger.warning(
                "plugin %s took %.1f s to import; its authors should import SDKs inside functions",
                plugin,
                seconds,
            )
        if not inspect.ismodule(module):
            raise self._broken(plugin, f"its entry point {plugin.module!r} is no module")
        self._check_api(plugin, getattr(module, "FAIRING_PLUGIN_API", None))
        self._register(plugin, module)

    def _load_or_warn(self, plugin: Plugin) -> None:
        try:
            self.load(plugin)
        except errors.PluginError as error:
            logger.warning("%s", error)

    def _check_api(self, plugin: Plugin, api: object) -> None:
        if api == hookspecs.PLUGIN_API and isinstance(api, int):
            return
        stated = "states no FAIRING_PLUGIN_API" if api is None else f"is for plugin API {api!r}"
        raise errors.IncompatiblePlugin(
            f"plugin {plugin} {stated}, this fairing-core has {hookspecs.PLUGIN_API}; "
            f"upgrade both: pip install --upgrade fairing-core {plugin.distribution}",
            distribution=plugin.distribution,
        )

    def _register(self, plugin: Plugin, plugged: object) -> None:
        if self._manager.is_registered(plugged):  # one module behind two entry points
            return
        specified = {name for name in vars(hookspecs) if name.startswith("fairing_")}
        for name in sorted(specified & set(dir(plugged))):
            if not hasattr(getattr(plugged, name), f"{hookspecs.PROJECT}_impl"):
                raise self._broken(plugin, f"its function {name} lacks the decorator @hookimpl")
        try:
            trial = _manager()  # one that fails half way would leave its first hooks behind
            trial.register(plugged)
            trial.check_pending()
        except pluggy.PluginValidationError as exc:
            marked = {
                name
                for name in dir(plugged)
                if hasattr(getattr(plugged, name, None), f"{hookspecs.PROJECT}_impl")
            }
            unknown = sorted(marked - specified)
            why = str(exc)
            if unknown:
                why = f"no hook is called {unknown[0]}{errors.near(unknown[0], specified)}"
            raise self._broken(plugin, why) from exc
        self._manager.register(plugged, name=str(plugin))
        self._loaded[plugin] = plugged

    def _unload(self, plugin: Plugin) -> None:
        if plugin in self._loaded:
            self._manager.unregister(self._loaded.pop(plugin))

    def _broken(self, plugin: Plugin, why: str) -> errors.PluginLoadError:
        return errors.PluginLoadError(
            f"plugin {plugin} is broken: {why}. "
            f"Upgrade it (pip install --upgrade {plugin.distribution}), uninstall it, "
            f"or block it with FAIRING_DISABLE_PLUGINS={plugin.name}",
            distribution=plugin.distribution,
        )


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _patches(ask: Callable[[], object], who: str, owner: str, block: str) -> list[PodPatch]:
    """The patches that `ask` gives, each saying whose it is; a failure names `who`."""
    try:
        given = ask() or ()
        if not isinstance(given, Iterable):
            raise TypeError(f"gave {given!r}, not PodPatch values")
        for patch in given:
            if not isinstance(patch, PodPatch):
                raise TypeError(f"gave a {type(patch).__name__} among its patches, not a PodPatch")
        return [patch if patch.origin else replace(patch, origin=owner) for patch in given]
    except (Exception, SystemExit) as exc:
        raise errors.PluginFailed(
            f"{who} failed to say what pods need: {told(exc)}; nothing was run. "
            f"Upgrade it, or block it with FAIRING_DISABLE_PLUGINS={block}",
            distribution=owner,
        ) from exc


def owner_of(made: type) -> str:
    """Whose a class is: the package that it comes from."""
    return made.__module__.partition(".")[0]


def told(exc: BaseException) -> str:
    """What an error of a plugin's is called in one of ours."""
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
