"""``fairing.config``: say once how runs are packaged, built and deployed, then run.

    import fairing_core as fairing
    fairing.config.set_preprocessor("python", executable="train.py")
    fairing.config.run()

    remote_train = fairing.config.fn(train)
    handle = remote_train(epochs=3)

Inside a run all of this does nothing, and ``fn(f)`` is ``f``, so that a program which starts its
own run can be shipped as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, TypeVar, cast, overload

from fairing_core.interfaces import Builder, Deployer, Preprocessor, RunHandle
from fairing_core.jobs import as_outputs, as_source, folder_of, inside_run
from fairing_core.preprocess.notebooks.current import is_notebook
from fairing_core.types import PodPatch, Source

if TYPE_CHECKING:
    from fairing_core.choices import Order, Part
    from fairing_core.pipeline import Launched
    from fairing_core.plans import Plan

_P = ParamSpec("_P")
_T = TypeVar("_T")
_NOTEBOOKS = ("notebook", "full_notebook")


class _Parts(NamedTuple):
    preprocessor: Preprocessor
    builder: Builder
    deployer: Deployer


class Ran(_Parts):
    """What `run` gives: ``(preprocessor, builder, deployer)``, and the run as `handle`."""

    handle: RunHandle

    @classmethod
    def of(cls, launched: Launched) -> Ran:
        """The triple of a run that was launched."""
        ran = cls(launched.preprocessor, launched.builder, launched.deployer)
        ran.handle = launched.handle
        return ran


class Config:
    """One set of choices; ``fairing.config`` is the shared one.

    Names and options are checked when a run is made; an unknown one is an error that names the
    near one.
    """

    def __init__(self) -> None:
        self._said: dict[str, tuple[str | None, dict[str, Any]]] = {}

    def reset(self) -> None:
        """Forgets every choice."""
        self._said.clear()

    def set_preprocessor(self, name: str | None = None, **options: Any) -> None:
        """How code is packaged: ``python``, ``notebook``, ``full_notebook`` or ``function``."""
        self._say("preprocessor", name, options)

    def set_builder(self, name: str | None = "append", **options: Any) -> None:
        """How the image is made, with that builder's options."""
        self._say("builder", name, options)

    def set_deployer(self, name: str | None = "job", **options: Any) -> None:
        """How it is run, with that deployer's options."""
        self._say("deployer", name, options)

    @overload
    def run(self, *, dry_run: Literal[False] = False) -> Ran: ...
    @overload
    def run(self, *, dry_run: Literal[True]) -> Plan: ...
    def run(self, *, dry_run: bool = False) -> Ran | Plan:
        """Packages, builds and runs; shows the output until the run ends.

        Args:
            dry_run: True builds and sends nothing, and gives the plan of it.

        Returns:
            The preprocessor, builder and deployer that did it, and the run as ``.handle``.

        Raises:
            FairingError: what and why; nothing runs then.
        """
        if inside_run():
            return cast(Ran, _inert())
        name, said = self._said.get("preprocessor", (None, {}))
        options = {key: value for key, value in said.items() if key != "function_obj"}
        target = said.get("function_obj")
        if name == "function" or target is not None:
            source = Source("function", target)
        elif name in _NOTEBOOKS or (name is None and ("notebook_file" in options or is_notebook())):
            source = Source("notebook", _notebook(options))
        else:
            executable = options.get("executable")
            source = Source("script", None if executable is None else Path(executable))
        if dry_run:
            from fairing_core.pipeline import plan

            return plan(self._order(source, name, options))
        return self._launch(source, name, options)

    def fn(self, function: Callable[_P, _T]) -> Callable[_P, RunHandle]:
        """`function`, so that calling it runs it remotely, shows its output and gives its run.

        Inside a run it is `function` itself.
        """
        if inside_run():
            return cast("Callable[_P, RunHandle]", function)

        @functools.wraps(function)
        def remote(*args: _P.args, **kwargs: _P.kwargs) -> RunHandle:
            name, said = self._said.get("preprocessor", (None, {}))
            options = {
                key: value
                for key, value in said.items()
                if name in (None, "function") and key != "function_obj"
            }
            return self._launch(as_source(function, args, kwargs), "function", options).handle

        return remote

    def _say(self, role: str, name: str | None, options: dict[str, Any]) -> None:
        if not inside_run():
            self._said[role] = (name, dict(options))

    def _part(self, role: str) -> Part:
        from fairing_core.choices import Part

        return Part(*self._said.get(role, (None, {})))

    def _launch(self, source: Source, preprocessor: str | None, options: dict[str, Any]) -> Ran:
        from fairing_core.pipeline import launch
        from fairing_core.progress import Progress

        progress = Progress()
        launched = launch(self._order(source, preprocessor, options), plugins=[progress.plugin()])
        if self._said.get("deployer", (None, {}))[1].get("stream_log", True):
            progress.follow(launched.handle)
            if getattr(launched.deployer, "cleanup", False):
                launched.handle.clean_up()
        return Ran.of(launched)

    def _order(self, source: Source, preprocessor: str | None, options: dict[str, Any]) -> Order:
        from fairing_core.choices import Order, Part

        builder, deployer = self._part("builder"), self._part("deployer")
        build_options, deploy_options = dict(builder.options), dict(deployer.options)
        mutators = tuple(deploy_options.pop("pod_spec_mutators", None) or ())
        return Order(
            source=source,
            folder=folder_of(source),
            preprocessor=Part(preprocessor, options),
            base_image=build_options.pop("base_image", None),
            registry=build_options.pop("registry", None),
            patches=tuple(m for m in mutators if isinstance(m, PodPatch)),
            mutators=tuple(m for m in mutators if not isinstance(m, PodPatch)),
            outputs=as_outputs(deploy_options.pop("outputs", None) or ()),
            name=deploy_options.pop("job_name", None),
            builder=Part(builder.named, build_options),
            deployer=Part(deployer.named, deploy_options),
        )


def _notebook(options: Mapping[str, Any]) -> Path:
    """The notebook that was named, else the one that runs now."""
    named = options.get("notebook_file")
    if named is not None:
        return Path(named)
    from fairing_core.preprocess.notebooks.current import current_notebook

    return current_notebook()


def _inert() -> Any:
    from fairing_core.runtime import answers

    return answers.config.run()


_shared = Config()
reset = _shared.reset
set_preprocessor = _shared.set_preprocessor
set_builder = _shared.set_builder
set_deployer = _shared.set_deployer
run = _shared.run
fn = _shared.fn
