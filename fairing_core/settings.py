"""What was set where: the environment, and ``[tool.fairing]`` of the nearest pyproject.toml.

Core's own settings are ``FAIRING_<KEY>`` and the keys of ``[tool.fairing]``; a backend's are its
keyword-only ``__init__`` parameters: ``FAIRING_<BACKEND>__<NAME>`` and
``[tool.fairing.backends.<backend>]``. The environment wins over the file. How registries are
reached stands in ``[tool.fairing.registries."<host>"]``.
"""

from __future__ import annotations

import enum
import os
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairing_core import errors
from fairing_core.types import RegistryAccess
from fairing_core.values import field, frozen

KEYS = ("backend", "preprocessor", "builder", "deployer", "base_image", "registry")

_SECRET = re.compile(r"secret|token|password|passwd|credential|key", re.IGNORECASE)
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
# What annotations with parameters ask for, in words.
_KINDS: Mapping[Any, str] = {
    Mapping: "mapping",
    dict: "mapping",
    Sequence: "list",
    Iterable: "list",
    os.PathLike: "path",
}
_TEXTS = (Sequence, (str,))


@frozen
class Settings:
    """The settings in force for one entry; `file` is the pyproject.toml they came from, if any."""

    table: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @classmethod
    def near(cls, folder: Path) -> Settings:
        """Those of the nearest pyproject.toml in `folder` or above it, and of the environment.

        Raises:
            SettingsError: the file is no TOML, or a key's value is no text.
            UnknownSetting: ``[tool.fairing]`` has a key that core doesn't know.
        """
        start = folder.absolute()
        for above in (start, *start.parents):
            file = above / "pyproject.toml"
            if file.is_file():
                return cls(_fairing_table(file), file)
        return cls()

    def get(self, key: str) -> str | None:
        """One of core's own settings; an empty one counts as not set."""
        return self.environ.get(f"FAIRING_{key.upper()}") or self.table.get(key) or None

    def registries(self) -> dict[str, RegistryAccess]:
        """How registries are reached, by ``host[:port]``; a relative `ca` starts at the file.

        Raises:
            UnknownSetting: a key that says nothing of a registry.
            SettingsError: a value that does not fit.
        """
        tables = self.table.get("registries", {})
        hints = parameters(RegistryAccess) if tables else {}
        found = {}
        for host, table in tables.items():
            where = f'[tool.fairing.registries."{host}"] {{}} in {self.file}'
            for key in table:
                if key not in hints:
                    raise errors.UnknownSetting(
                        f"{where.format(key)}: a registry has no setting {key!r}"
                        f"{errors.near(key, hints)}"
                    )
            given = {
                key: coerced(value, hints[key], where.format(key)) for key, value in table.items()
            }
            if given.get("ca") is not None and self.file is not None:
                given["ca"] = self.file.parent / given["ca"]
            found[host] = RegistryAccess(**given)
        return found

    def of_backend(self, name: str, make: Callable[..., Any]) -> dict[str, Any]:
        """The settings of backend `name`, as keyword arguments for `make`, its class.

        Raises:
            UnknownSetting: a name that `make` does not take.
            SettingsError: a value that does not fit the parameter's annotation.
        """
        hints = parameters(make)
        given: dict[str, tuple[Any, str]] = {}
        for key, value in self.table.get("backends", {}).get(name, {}).items():
            given[key] = (value, f"[tool.fairing.backends.{name}] {key} in {self.file}")
        prefix = f"FAIRING_{name.upper().replace('-', '_')}__"
        for variable, value in self.environ.items():
            if variable.startswith(prefix):
                given[variable.removeprefix(prefix).lower()] = (value, variable)
        for key, (_, where) in given.items():
            if key not in hints:
                raise errors.UnknownSetting(
                    f"{where}: backend {name!r} has no setting {key!r}{errors.near(key, hints)}"
                )
        return {key: coerced(value, hints[key], where) for key, (value, where) in given.items()}


def options(make: Callable[..., Any], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`given`, checked against the keyword-only parameters of `make`, and coerced to them.

    Raises:
        UnknownOption: `make` takes no such option.
        SettingsError: a text that does not fit the parameter's annotation.
    """
    hints = parameters(make)
    for key in given:
        if key not in hints:
            raise errors.UnknownOption(f"{what} has no option {key!r}{errors.near(key, hints)}")
    return {key: coerced(value, hints[key], f"{what}, {key}") for key, value in given.items()}


def parameters(make: Callable[..., Any]) -> dict[str, Any]:
    """The keyword parameters of a class or factory, with their annotations (else `object`)."""
    import inspect  # slow, and most builds have no settings of a plugin

    if isinstance(make, type) and make.__init__ is object.__init__:  # type: ignore[misc]
        return {}
    try:
        signature = inspect.signature(make, eval_str=True)
    except NameError:  # annotations that only a type checker can resolve stay as text
        signature = inspect.signature(make)
    return {
        name: object if parameter.annotation is parameter.empty else parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def coerced(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotation `hint` wants it: texts are read, other values are checked.

    Reads str, int, float, bool, Path, enums, Literal, ``X | None``, and lists and tuples (from
    words between commas). A mapping, a sequence or a path is what it is, and nothing in it is
    read; other annotations leave the value as it is.

    Raises:
        SettingsError: it does not fit; values that look secret by name are not shown.
    """
    choices = _choices(hint)
    if value is None and type(None) in choices:
        return None
    for choice in choices:
        try:
            return _read(value, choice)
        except (ValueError, TypeError):
            continue
    shown = "the value" if _SECRET.search(where) else repr(value)
    wanted = " or ".join(sorted(_name(choice) for choice in choices))
    raise errors.SettingsError(f"{where}: {shown} is no {wanted}")


def _choices(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _name(choice: Any) -> str:
    if typing.get_origin(choice) is typing.Literal:
        return " or ".join(map(repr, typing.get_args(choice)))
    if isinstance(choice, type) and issubclass(choice, enum.Enum):
        return " or ".join(repr(member.value) for member in choice)
    if (origin := typing.get_origin(choice)) in _KINDS:
        is_texts = (origin, typing.get_args(choice)) == _TEXTS
        return "list of texts" if is_texts else _KINDS[origin]
    return "None" if choice is type(None) else getattr(choice, "__name__", str(choice))


def _read(value: Any, choice: Any) -> Any:
    """`value` as one plain annotation; ValueError or TypeError where it does not fit."""
    if (origin := typing.get_origin(choice)) is not None:
        return _read_generic(value, origin, typing.get_args(choice))
    if not isinstance(choice, type) or choice is object:
        return value
    if issubclass(choice, enum.Enum):
        return choice(value)
    if choice is bool and isinstance(value, str):
        return _boolean(value)
    if choice is Path and isinstance(value, str):
        return Path(value).expanduser()
    if choice in (int, float) and isinstance(value, str):
        return choice(value)
    if choice is float and type(value) is int:
        return float(value)
    if isinstance(value, choice) and not (choice is int and isinstance(value, bool)):
        return value
    raise TypeError


def _read_generic(value: Any, origin: Any, parameters: tuple[Any, ...]) -> Any:
    """`value` as an annotation with parameters; what is neither list nor tuple is left as it is."""
    if origin is typing.Literal:
        return _member(value, parameters)
    if origin in (list, tuple):
        return _sequence(value, origin, parameters)
    if origin in (Sequence, Iterable):  # a set will do, too, but not a mapping's keys
        fits = isinstance(value, Iterable) and not isinstance(value, Mapping)
        if isinstance(value, Sequence) and (origin, parameters) == _TEXTS:
            fits = all(isinstance(one, str) for one in value)
    else:
        fits = origin not in _KINDS or isinstance(value, origin)
    if not fits:
        raise TypeError
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError
    return word in _TRUE


def _member(value: Any, allowed: tuple[Any, ...]) -> Any:
    for one in allowed:
        if value == one or (isinstance(value, str) and value == str(one)):
            return one
    raise ValueError


def _sequence(value: Any, origin: type, hints: tuple[Any, ...]) -> Any:
    if isinstance(value, str):
        value = [word.strip() for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple):
        raise TypeError
    inner = hints[0] if hints else object
    return origin(_read(one, inner) for one in value)


def _fairing_table(file: Path) -> Mapping[str, Any]:
    import tomllib  # only where there is such a file

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("fairing", {})
    except (OSError, ValueError) as exc:
        raise errors.SettingsError(f"{file} can't be read: {exc}") from exc
    tables = ("backends", "registries")
    known = (*KEYS, *tables)
    for key, value in table.items():
        if key not in known:
            raise errors.UnknownSetting(
                f"{file}: [tool.fairing] has no key {key!r}{errors.near(key, known)}"
            )
        if not isinstance(value, Mapping if key in tables else str):
            what = "table" if key in tables else "text"
            raise errors.SettingsError(f"{file}: [tool.fairing] {key} = {value!r} is no {what}")
    for key in tables:
        for name, settings in table.get(key, {}).items():
            if not isinstance(settings, Mapping):
                raise errors.SettingsError(
                    f"{file}: [tool.fairing.{key}] {name} = {settings!r} is no table"
                )
    return table if isinstance(table, Mapping) else {}
