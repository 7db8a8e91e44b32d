"""`TrainJob`: what to run and where, said in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from fairing_core import errors
from fairing_core.interfaces import BackendInterface, Builder, Deployer, Preprocessor, RunHandle

if TYPE_CHECKING:  # imported by those who submit
    from fairing_core.choices import Order
    from fairing_core.plans import Plan
    from fairing_core.types import PodPatch, PodSpecMutator, Source


class TrainJob:
    """A training run: what to run, and on which backend.

    Not the ``TrainJob`` resource of Kubeflow Trainer v2; this class keeps the name that Fairing
    gave it.

    Args:
        entry_point: a function, a class with ``train``, or the path of a ``.py`` script or an
            ``.ipynb`` notebook.
        base_docker_image: the image that the code is put on; by default the backend's.
        docker_registry: where the image is pushed; by default the backend's.
        input_files: files, folders and globs that travel too, to the same relative place.
        output_map: more files, ``{path here: path in the image}``.
        backend: a name, a class or an object; by default `local`, or `kubernetes` where a
            deployer, builder or registry is named.
        pod_spec_mutators: additions to the pod (see `k8s_utils`), or functions
            ``f(kube_manager, pod_spec, namespace)``.
        args: the function's positional arguments, or the script's or notebook's argv.
        kwargs: the function's keyword arguments.
        backend_options: the backend's settings.
        preprocessor: a name, a class or an object.
        preprocessor_options: its further options, e.g. ``{"allow_secrets": ["ca.key"]}``.
        builder: likewise.
        builder_options: the builder's options: ``{"engine": "buildah", "timeout": 600}``.
        deployer: likewise.
        deployer_options: the deployer's options: ``{"namespace": "lab", "resources": {"gpu": 1}}``.
        outputs: files, folders and patterns, relative to where the program starts, that come home
            once it has ended, after a failure, too: `RunHandle.artifacts`.
        name: the run's name (a DNS label); by default made from the entry's.

    Raises:
        InputError: `entry_point` is neither, or `args` or `outputs` is a text instead of a list.

    Example:
        >>> from fairing_core import TrainJob
        >>> def train(epochs):
        ...     return {"loss": 1 / epochs}
        >>> handle = TrainJob(train, backend="local", kwargs={"epochs": 4}).submit()
        >>> handle.result(timeout=60)
        {'loss': 0.25}
        >>> handle.delete()
    """

    def __init__(
        self,
        entry_point: Callable[..., Any] | str | os.PathLike[str],
        base_docker_image: str | None = None,
        docker_registry: str | None = None,
        input_files: Sequence[str | os.PathLike[str]] | None = None,
        output_map: Mapping[str, str] | None = None,
        backend: str | BackendInterface | type[BackendInterface] | None = None,
        pod_spec_mutators: Sequence[PodPatch | PodSpecMutator] | None = None,
        *,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        backend_options: Mapping[str, Any] | None = None,
        preprocessor: str | type | Preprocessor | None = None,
        preprocessor_options: Mapping[str, Any] | None = None,
        builder: str | type | Builder | None = None,
        builder_options: Mapping[str, Any] | None = None,
        deployer: str | type | Deployer | None = None,
        deployer_options: Mapping[str, Any] | None = None,
        outputs: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        self.source = as_source(entry_point, args, kwargs)
        self._base_image = base_docker_image
        self._registry = docker_registry
        self._packaging = {
            "input_files": input_files,
            "output_map": output_map,
            **(preprocessor_options or {}),
        }
        self._backend = backend
        self._backend_options = dict(backend_options or {})
        self._mutators = tuple(pod_spec_mutators or ())
        self._preprocessor = preprocessor
        self._builder = builder
        self._builder_options = dict(builder_options or {})
        self._deployer = deployer
        self._deployer_options = dict(deployer_options or {})
        self._outputs = as_outputs(outputs)
        self._name = name

    @overload
    def submit(
        self, *, plugins: Iterable[object] = (), dry_run: Literal[False] = False
    ) -> RunHandle: ...
    @overload
    def submit(self, *, plugins: Iterable[object] = (), dry_run: Literal[True]) -> Plan: ...
    def submit(self, *, plugins: Iterable[object] = (), dry_run: bool = False) -> RunHandle | Plan:
        """Packages, builds and runs it; returns once the run is on its way.

        Inside a run this does nothing and gives an inert handle.

        Args:
            plugins: objects with `hookimpl` methods, for this run alone.
            dry_run: True builds and sends nothing, and gives the plan of it: the objects, the
                files, and what stands in the way.

        Raises:
            FairingError: what and why; nothing runs then, and nothing is left behind.
        """
        if inside_run():
            from fairing_core.runtime import answers

            return cast(RunHandle, answers.INERT)
        from fairing_core import pipeline

        if dry_run:
            return pipeline.plan(self.order(), plugins=plugins)
        return pipeline.launch(self.order(), plugins=plugins).handle

    def order(self) -> Order:
        """What was asked for, as one value."""
        from fairing_core.choices import Order, Part
        from fairing_core.types import PodPatch

        return Order(
            source=self.source,
            folder=folder_of(self.source),
            backend=Part(self._backend, self._backend_options),
            preprocessor=Part(self._preprocessor, self._packaging),
            builder=Part(self._builder, self._builder_options),
            deployer=Part(self._deployer, self._deployer_options),
            base_image=self._base_image,
            registry=self._registry,
            patches=tuple(m for m in self._mutators if isinstance(m, PodPatch)),
            mutators=tuple(m for m in self._mutators if not isinstance(m, PodPatch)),
            outputs=self._outputs,
            name=self._name,
        )

    def __repr__(self) -> str:
        target = self.source.target
        title = str(target) if isinstance(target, Path) else self.source.title
        return f"TrainJob({title}, backend={self._backend!r})"


def as_source(
    entry: Callable[..., Any] | str | os.PathLike[str],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Source:
    """The source that an entry point stands for.

    Raises:
        EmptyEntry: it is empty.
        InputError: it is no function, class with ``train``, script or notebook, or its arguments
            are one text.
    """
    from fairing_core.types import Source

    if isinstance(args, str):
        raise errors.InputError(f"args={args!r} must be a list: args={args.split()!r}")
    keywords = dict(kwargs or {})
    if callable(entry) or hasattr(entry, "train"):
        return Source("function", cast(Any, entry), args=tuple(args), kwargs=keywords)
    if not isinstance(entry, str | os.PathLike):
        raise errors.InputError(
            f"entry_point={entry!r} can't be run: give a function, a class with a 'train' method, "
            "or the path of a .py script or an .ipynb notebook"
        )
    path = Path(entry)
    if not os.fspath(entry):
        raise errors.EmptyEntry("entry_point is empty: give a function or the path of a script")
    kinds = {".py": "script", ".ipynb": "notebook"}
    if path.suffix not in kinds:
        raise errors.InputError(
            f"entry_point={os.fspath(entry)!r} is neither a .py script nor an .ipynb notebook; "
            "for another program use fairing.config.set_preprocessor('python', command=..., "
            "executable=...)"
        )
    if keywords:
        raise errors.InputError(f"kwargs are for functions; give {path.name} its argv in args=")
    return Source(cast(Any, kinds[path.suffix]), path, args=tuple(args))


def as_outputs(outputs: Sequence[str]) -> tuple[str, ...]:
    """The outputs, each a text that names something.

    Raises:
        InputError: one does not, or all of them are a single text.
    """
    if isinstance(outputs, str):
        raise errors.InputError(f"outputs={outputs!r} must be a list: outputs=[{outputs!r}]")
    for one in outputs:
        if not isinstance(one, str) or not one or "\0" in one:
            raise errors.InputError(f"outputs has {one!r}, which names no file, folder or pattern")
    return tuple(outputs)


def folder_of(source: Source) -> Path:
    """Where the entry lives: the settings above it are its own."""
    import inspect

    if isinstance(source.target, Path):
        return source.target.absolute().parent
    try:
        file = inspect.getsourcefile(inspect.unwrap(cast(Any, source.target)))
    except (TypeError, ValueError, OSError):  # OSError: a class of a notebook or a console
        file = None
    if file is not None and os.path.isfile(file):
        return Path(file).absolute().parent
    return Path.cwd()


def inside_run() -> bool:
    """Whether this program is itself a run of Fairing's."""
    return bool(os.environ.get("FAIRING_RUNTIME"))
