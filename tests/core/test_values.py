"""Values: frozen classes with slots, as `dataclasses` makes them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from fairing_core.values import Frozen, field, frozen, plain, replace


@frozen
class Point:
    """A point."""

    x: int
    y: int = 0
    tags: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    secret: str = field(default="s", kw_only=True, repr=False)
    origin: ClassVar[int] = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    """The same by dataclasses."""

    x: int
    y: int = 0
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict, kw_only=True)
    secret: str = dataclasses.field(default="s", kw_only=True, repr=False)
    origin: ClassVar[int] = 0


@frozen(kw_only=True, order=True)
class Version:
    """A version."""

    major: int
    minor: int = 0


class Marked(Point):
    """A point that can be called."""

    __slots__ = ()

    def __call__(self) -> int:
        """Its x."""
        return self.x


@frozen
class Checked:
    """Refuses what is not above zero."""

    size: int

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise ValueError(self.size)


def test_a_value_is_made_as_a_dataclass_is() -> None:
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}),
        ((1, 2), {}),
        ((), {"x": 1, "y": 3, "tags": {"a": "b"}}),
    ]
    for args, kwargs in asked:
        one: Any = Point(*args, **kwargs)
        twin: Any = Twin(*args, **kwargs)
        assert repr(one) == repr(twin).replace("Twin", "Point")
        assert plain(one) == dataclasses.asdict(twin)
    assert Point.__match_args__ == Twin.__match_args__
    assert Point(1).tags is not Point(1).tags


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2, {}), {}), ((1,), {"z": 3}), ((1,), {"x": 1})]
)
def test_wrong_arguments_are_type_errors_as_with_a_dataclass(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    Point(1)
    for cls in (Point, Twin):
        with pytest.raises(TypeError) as raised:
            cls(*args, **kwargs)
        assert f"{cls.__name__}.__init__()" in str(raised.value)


def test_no_field_can_be_set_deleted_or_added() -> None:
    point: Any = Point(1)
    with pytest.raises(Frozen, match=r"Point\.x can't be changed"):
        point.x = 2
    with pytest.raises(Frozen, match=r"Point\.x can't be deleted"):
        del point.x
    with pytest.raises(AttributeError):
        point.z = 1
    assert not hasattr(point, "__dict__")


def test_equal_fields_of_one_class_are_equal_and_hash_alike() -> None:
    assert Checked(3) == Checked(3)
    assert hash(Checked(3)) == hash(Checked(3))
    assert Checked(3) != Checked(4)
    twin: Any = Twin(1)
    assert Point(1) != twin
    assert Point(1) != Marked(1)


def test_values_pickle_and_copy() -> None:
    point = Point(1, tags={"a": "b"})
    for again in (pickle.loads(pickle.dumps(point)), copy.deepcopy(point), copy.copy(point)):
        assert again == point
        assert again is not point


def test_a_subclass_has_the_fields_of_its_base_whichever_is_made_first() -> None:
    assert Marked(4, secret="t")() == 4
    assert Point(5).x == 5
    assert repr(Marked(4)) == "Marked(x=4, y=0, tags={})"


def test_replace_changes_some_fields_of_a_copy() -> None:
    point = Point(1, 2, secret="t")
    assert replace(point, y=3) == Point(1, 3, secret="t")
    assert point.y == 2
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        replace(point, z=3)


def test_ordered_values_sort_by_their_fields() -> None:
    three = [Version(major=2), Version(major=1, minor=5), Version(major=1)]
    assert sorted(three) == [three[2], three[1], three[0]]
    with pytest.raises(TypeError):
        sorted([Point(1), Point(2)])  # type: ignore[type-var]


def test_what_a_value_checks_is_checked_each_time() -> None:
    for size in (0, -1):
        with pytest.raises(ValueError, match=str(size)):
            Checked(size)
    assert Checked(1).size == 1


def test_the_signature_names_parameters_defaults_and_types() -> None:
    parameters = inspect.signature(Point).parameters
    assert list(parameters) == ["x", "y", "tags", "secret"]
    assert parameters["x"].annotation is int
    assert parameters["x"].default is inspect.Parameter.empty
    assert parameters["secret"].default == "s"
    assert parameters["tags"].kind is inspect.Parameter.KEYWORD_ONLY


def test_many_threads_may_make_the_first_object() -> None:
    @frozen
    class Fresh:
        number: int

    made: list[Any] = []
    barrier = threading.Barrier(8)

    def make(number: int) -> None:
        barrier.wait()
        made.append(Fresh(number))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.number for one in made) == list(range(8))
