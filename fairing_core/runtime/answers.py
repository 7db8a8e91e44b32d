"""Answers to Fairing's names inside a run, where there is nothing left to submit.

A program that starts its own run is shipped as it is, so its ``import fairing_core`` and its calls
are run again in the image. This file is shipped as ``fairing_core/__init__.py`` beside the program,
and as the package of each plugin that it imports. It answers every name: what configures or submits
does nothing and gives an inert object, errors are exception classes, classes to derive from are
plain classes. Where the image really has a plugin, that one is loaded instead.

Standard library only, Python 3.8.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

TYPE_CHECKING = False  # as typing's, whose import would take longer than this whole file
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from typing import Any

__version__ = "0"
# What ``from fairing_core import *`` gives (a test compares it with the real package's).
_PUBLIC = (  # noqa: SIM905 - as a literal it would fill half a page
    "Artifact BackendInterface BuildContext BuildRequest Builder Built Check ContextFile "
    "Credentials DeployRequest Deployer Diagnosis Event FairingError FilterIncludeCell "
    "FilterMagicCommands KubernetesBackend LocalBackend Outcome OwnedSecret PLUGIN_API Plan "
    "PodPatch Preprocessor Registry RegistryAccess RunHandle RunStatus Runs Snapshot Source Step "
    "Storage StoredObject TrainJob config errors get_run hookimpl k8s_utils list_runs"
).split()
__all__ = list(_PUBLIC)

_OPERATORS = (
    "add sub mul matmul truediv floordiv mod pow and or xor lshift rshift "
    "radd rsub rmul rmatmul rtruediv rfloordiv rmod rpow rand ror rxor rlshift rrshift "
    "neg pos abs invert round trunc floor ceil"
)


class Inert:
    """Whatever is done with it, nothing happens: calls, attributes and items give itself.

    It is false, empty, zero, its own context manager and what awaiting it gives; as a base class it
    is a plain class.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __call__(self, *args: Any, **kwargs: Any) -> Inert:
        return self

    def __getattr__(self, name: str) -> Any:
        # Python, pickle and notebooks ask for such names to learn what an object can do.
        if name.startswith("_"):
            raise AttributeError(name)
        return _class(name) or self  # fairing.errors.InputError

    def __getitem__(self, key: Any) -> Inert:
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __contains__(self, item: Any) -> bool:
        return False

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def __lt__(self, other: Any) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__

    def __enter__(self) -> Inert:
        return self

    def __exit__(self, *exc: Any) -> None:
        pass

    def __await__(self) -> Generator[None, None, Inert]:
        yield from ()  # nothing to wait for
        return self

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        # One Plain at the most, and none before a real class: else the bases have no order.
        first = next(base for base in bases if isinstance(base, Inert))
        real = any(isinstance(base, type) for base in bases)
        return (Plain,) if first is self and not real else ()

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __subclasscheck__(self, subclass: Any) -> bool:
        return False

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> Any:
        return Inert, (self._name,)

    def __repr__(self) -> str:
        return f"<{self._name}: inert inside a run>"


def _itself(self: Inert, *_: Any) -> Inert:
    return self


for _operator in _OPERATORS.split():
    setattr(Inert, f"__{_operator}__", _itself)

INERT = Inert("fairing_core")


class Plain:
    """A class to derive from: the methods that the user's class lacks are inert."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Inert(f"{type(self).__name__}.{name}")


class FairingError(Exception):
    """The root of the errors; takes any fields, as the real ones do."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        super().__init__(*args)
        self.__dict__.update(fields)


# The bases of each error, as in fairing_core.errors (a test compares the two).
_ERRORS = {
    "Unsupported": "FairingError NotImplementedError",
    "SettingsError": "FairingError ValueError",
    "UnknownSetting": "SettingsError",
    "UnknownOption": "FairingError TypeError",
    "UnknownName": "FairingError LookupError",
    "UnknownBackend": "UnknownName",
    "DuplicateName": "FairingError",
    "PluginError": "FairingError",
    "PluginLoadError": "PluginError ImportError",
    "IncompatiblePlugin": "PluginError",
    "PluginFailed": "PluginError",
    "InputError": "FairingError ValueError",
    "MissingInput": "InputError FileNotFoundError",
    "UnreadableInput": "InputError PermissionError",
    "OutsideRoot": "InputError",
    "EmptyEntry": "InputError",
    "ConflictingInputs": "InputError",
    "InvalidArgument": "InputError",
    "NotPicklable": "InputError TypeError",
    "MissingRequirements": "InputError",
    "InvalidDestination": "InputError",
    "InvalidNotebook": "InputError",
    "InvalidCell": "InvalidNotebook",
    "NotebookNotFound": "InputError LookupError",
    "SecretFile": "InputError",
    "ImageError": "FairingError ValueError",
    "InvalidReference": "ImageError",
    "PlatformNotFound": "ImageError LookupError",
    "RegistryError": "FairingError OSError",
    "RegistryUnreachable": "RegistryError ConnectionError",
    "UntrustedRegistry": "RegistryError",
    "RegistryDenied": "RegistryError PermissionError",
    "ImageNotFound": "RegistryError LookupError",
    "StorageError": "FairingError OSError",
    "StorageUnreachable": "StorageError ConnectionError",
    "StorageDenied": "StorageError PermissionError",
    "StoredObjectNotFound": "StorageError LookupError",
    "BuildError": "FairingError",
    "ClusterError": "FairingError OSError",
    "NoCluster": "ClusterError",
    "ClusterUnreachable": "ClusterError ConnectionError",
    "UntrustedCluster": "ClusterError",
    "ClusterDenied": "ClusterError PermissionError",
    "ObjectNotFound": "ClusterError LookupError",
    "MutatorFailed": "FairingError",
    "StateError": "FairingError OSError",
    "RunError": "FairingError",
    "RunFailed": "RunError",
    "WaitTimeout": "RunError TimeoutError",
    "RunNotFound": "RunError LookupError",
    "ResultUnavailable": "RunError",
}
_ERROR_ENDINGS = ("Error", "Exception", "Failed", "Timeout", "NotFound")
_CLASSES = {
    "BackendInterface",
    "Builder",
    "CertifiedStorage",
    "Deployer",
    "ForeseeingBuilder",
    "ForeseeingDeployer",
    "Preprocessor",
    "Registry",
    "RunHandle",
    "Runs",
    "Storage",
}


class _Ran(tuple):  # type: ignore[type-arg]  # it has no subscript before Python 3.9
    """What `config.run` gives: three parts, by their names, too, and the run as ``handle``."""

    __slots__ = ()
    parts = ("preprocessor", "builder", "deployer")

    def __getattr__(self, name: str) -> Any:
        if name == "handle":
            return INERT
        if name in self.parts:
            return self[self.parts.index(name)]
        raise AttributeError(name)


def _config(name: str) -> ModuleType:
    config = ModuleType(name, "fairing.config, inside a run.")

    def nothing(*args: Any, **kwargs: Any) -> None:
        pass

    def fn(function: Any) -> Any:
        return function

    def run(*, dry_run: bool = False) -> Any:
        if dry_run:
            return Inert("plan")
        return _Ran(map(Inert, _Ran.parts))

    values = dict.fromkeys(("reset", "set_preprocessor", "set_builder", "set_deployer"), nothing)
    config.__dict__.update(values, run=run, fn=fn, __getattr__=_answers(name), __path__=[])
    return config


def hookimpl(function: Any = None, **_: Any) -> Any:
    """Marks nothing: inside a run no hook is called."""
    return function if function is not None else hookimpl


def _answers(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of `module`."""

    def answer(name: str) -> Any:
        if name.startswith("__") or (name.startswith("_") and module == __name__):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name == "hookimpl":
            return hookimpl
        return _class(name) or Inert(f"{module}.{name}")

    return answer


_given: dict[str, Any] = {"FairingError": FairingError}


def _class(name: str) -> Any:
    """The one class of that `name`, wherever it is asked for; None where it is no class."""
    if name not in _given:
        bases: tuple[Any, ...] = ()
        if name in _ERRORS:
            bases = tuple(_base(base) for base in _ERRORS[name].split())
        elif name.endswith(_ERROR_ENDINGS) and name[0].isupper():
            bases = (FairingError,)
        elif name in _CLASSES:
            bases = (Plain,)
        _given[name] = type(name, bases, {"__module__": __name__}) if bases else None
    return _given[name]


def _base(name: str) -> Any:
    import builtins

    return getattr(builtins, name, None) or _class(name)


class _Finder:
    """Imports any module below the shipped package as one that answers every name."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(self._package + "."):
            return None
        return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return config if spec.name == config.__name__ else None

    def exec_module(self, module: ModuleType) -> None:
        if module is not config:
            module.__dict__["__getattr__"] = _answers(module.__name__)

    def invalidate_caches(self) -> None:
        pass


def _real(package: str) -> bool:
    """Loads the package that the image itself has, in this one's place, if it has one."""
    import os

    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    spec = PathFinder.find_spec(package, elsewhere)
    if spec is None or spec.loader is None or not spec.has_location:
        return False
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules[package] = module
    spec.loader.exec_module(module)
    return True


config = _config("fairing_core.config" if "." in __name__ else __name__ + ".config")
__getattr__ = _answers(__name__)

if "." not in __name__ and (__name__ == "fairing_core" or not _real(__name__)):
    sys.meta_path.append(_Finder(__name__))
