"""Frozen, slotted value classes that cost next to nothing to declare.

``@frozen`` is ``@dataclass(frozen=True, slots=True)`` in what it gives and in how it is written;
what differs is when the work is done. `dataclasses` compiles six methods for each class that is
declared, used or not, and imports `inspect`: a fifth of the start of a small build. Here a class
compiles its ``__init__`` when its first object is made, and shares all other methods.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar, dataclass_transform, overload

_T = TypeVar("_T")
_NOTHING: Any = object()


class Field:
    """How one field differs from a plain one: see `field`."""

    __slots__ = ("default", "default_factory", "kw_only", "repr")

    def __init__(
        self,
        default: Any = _NOTHING,
        default_factory: Callable[[], Any] | None = None,
        repr: bool = True,
        kw_only: bool | None = None,
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.repr = repr
        self.kw_only = kw_only


def field(
    *,
    default: Any = _NOTHING,
    default_factory: Callable[[], Any] | None = None,
    repr: bool = True,
    kw_only: bool | None = None,
) -> Any:
    """A field with a default, made anew by `default_factory`; by keyword only; not in the repr."""
    return Field(default, default_factory, repr, kw_only)


@overload
def frozen(cls: type[_T], /) -> type[_T]: ...
@overload
def frozen(*, kw_only: bool = False, order: bool = False) -> Callable[[type[_T]], type[_T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: Any = None, /, *, kw_only: bool = False, order: bool = False) -> Any:
    """Makes a class of annotated fields a frozen one with slots, equality, a hash and a repr.

    Args:
        cls: the class, where the decorator is written without parentheses.
        kw_only: whether every field is given by keyword.
        order: whether its objects sort, by their fields in turn.
    """
    if cls is None:
        return lambda declared: _made(declared, kw_only, order)
    return _made(cls, kw_only, order)


def replace(old: _T, /, **changes: Any) -> _T:
    """`old` with other values in some fields; raises TypeError for one that it lacks."""
    fields: dict[str, Field] = type(old).__fields__  # type: ignore[attr-defined]
    return type(old)(**{**{name: getattr(old, name) for name in fields}, **changes})


def plain(of: Any) -> dict[str, Any]:
    """The fields of a value by their names, in the order they are declared."""
    return {name: getattr(of, name) for name in type(of).__fields__}


class _Signature:
    """What `inspect.signature` says of a class of values, made when it is asked."""

    def __get__(self, instance: object, owner: Any) -> Any:
        import inspect
        import typing

        try:
            hints = typing.get_type_hints(owner)
        except NameError:  # annotations that only a type checker can resolve stay as text
            hints = owner.__annotations__
        one = inspect.Parameter
        places = {True: one.KEYWORD_ONLY, False: one.POSITIONAL_OR_KEYWORD}
        parameters = [
            one(
                name,
                places[bool(said.kw_only)],
                default=...
                if said.default_factory
                else one.empty
                if said.default is _NOTHING
                else said.default,
                annotation=hints[name],
            )
            for name, said in owner.__fields__.items()
        ]
        return inspect.Signature(sorted(parameters, key=lambda each: each.kind))


class Frozen(AttributeError):
    """A field of a value was set or deleted; make another with `replace`."""


class _Shared:
    """What all values can do; nothing here is compiled for a class of its own."""

    __slots__ = ()
    __fields__: ClassVar[dict[str, Field]]

    def __setattr__(self, name: str, new: object) -> None:
        raise Frozen(f"{type(self).__qualname__}.{name} can't be changed: values are frozen")

    def __delattr__(self, name: str) -> None:
        raise Frozen(f"{type(self).__qualname__}.{name} can't be deleted: values are frozen")

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return _all(self) == _all(other)

    def __hash__(self) -> int:
        return hash(_all(self))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={getattr(self, name)!r}" for name, one in self.__fields__.items() if one.repr
        )
        return f"{type(self).__qualname__}({shown})"

    def __getstate__(self) -> tuple[Any, ...]:
        return _all(self)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, item in zip(self.__fields__, state, strict=True):
            object.__setattr__(self, name, item)

    def __replace__(self, **changes: Any) -> Any:
        return replace(self, **changes)


def _less(self: Any, other: Any) -> bool:
    return _all(self) < _all(other) if other.__class__ is self.__class__ else NotImplemented


def _all(of: Any) -> tuple[Any, ...]:
    return tuple([getattr(of, name) for name in of.__fields__])


def _made(cls: type, kw_only: bool, order: bool) -> type:
    fields = {}
    space = dict(cls.__dict__)
    for name, annotation in space.get("__annotations__", {}).items():
        if str(annotation).startswith("ClassVar"):
            continue
        said = space.pop(name, _NOTHING)
        one = fields[name] = said if isinstance(said, Field) else Field(said)
        if one.kw_only is None:
            one.kw_only = kw_only
    for name in ("__dict__", "__weakref__"):
        space.pop(name, None)
    for name, shared in vars(_Shared).items():
        if callable(shared):
            space.setdefault(name, shared)
    if order:
        space["__lt__"] = _less
    space["__slots__"] = tuple(fields)
    space["__fields__"] = fields
    space["__match_args__"] = tuple(name for name, one in fields.items() if not one.kw_only)
    space["__init__"] = _compiling
    space["__signature__"] = _Signature()
    made = type(cls)(cls.__name__, cls.__bases__, space)
    made.__qualname__ = cls.__qualname__
    return made


def _compiling(self: Any, *args: Any, **kwargs: Any) -> None:
    """The first ``__init__`` of a class: puts the real one in its place, and calls it."""
    owner: Any = next(cls for cls in type(self).__mro__ if "__fields__" in vars(cls))
    made = owner.__init__ = _initializer(owner)
    made(self, *args, **kwargs)


def _initializer(cls: Any) -> Any:
    space: dict[str, Any] = {"_set": object.__setattr__, "_nothing": _NOTHING}
    by_place: list[str] = []
    by_name: list[str] = []
    body: list[str] = []
    for name, one in cls.__fields__.items():
        source = name
        word = name
        if one.default_factory is not None:
            space[f"_make_{name}"] = one.default_factory
            source = f"_make_{name}() if {name} is _nothing else {name}"
            word = f"{name}=_nothing"
        elif one.default is not _NOTHING:
            space[f"_default_{name}"] = one.default
            word = f"{name}=_default_{name}"
        (by_name if one.kw_only else by_place).append(word)
        body.append(f" _set(self, {name!r}, {source})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    words = ", ".join(["self", *by_place, *(["*", *by_name] if by_name else [])])
    exec(f"def __init__({words}):\n" + "\n".join(body or [" pass"]), space)  # noqa: S102 - as dataclasses
    made = space["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made
