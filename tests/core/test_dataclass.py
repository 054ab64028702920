"""Frozen classes made in the short way are what the standard library's are, and take less to make."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
import time
from functools import cached_property

import pytest

from loratui.core.dataclass import dataclass

MAKERS = [pytest.param(dataclass, id="ours"), pytest.param(dataclasses.dataclass, id="standard")]


@dataclass(frozen=True, slots=True)
class Point:
    """A place."""

    x: int
    y: int = 2
    tags: list[str] = dataclasses.field(default_factory=list, hash=False)
    note: str = dataclasses.field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Base:
    """What has a name."""

    name: str

    @cached_property
    def long(self) -> str:
        """Worked out once."""
        return self.name * 2


@dataclass(frozen=True, kw_only=True)
class Derived(Base):
    """What has a size, too."""

    size: int = 1
    area: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", self.size**2)


def test_values_compare_hash_and_print_as_the_standard_librarys() -> None:
    assert Point(1) == Point(1, 2, [], note="other") != Point(1, 3)
    assert hash(Point(1)) == hash(Point(1, note="x")) == hash((1, 2))
    assert repr(Point(1, tags=["a"])) == "Point(x=1, y=2, tags=['a'])"
    assert Point(1) != (1, 2, []) and Point(1).tags is not Point(1).tags
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "tags", "note"]
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "tags": [], "note": ""}
    match Point(4, 5):
        case Point(x, y):
            assert (x, y) == (4, 5)


def test_nothing_can_be_assigned_or_deleted() -> None:
    for one in (Point(1), Derived("n")):
        for name in ("x", "name", "unheard_of"):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(one, name, 3)
            with pytest.raises(dataclasses.FrozenInstanceError):
                delattr(one, name)


def test_a_copy_and_a_pickle_are_equal() -> None:
    for one in (Point(1, tags=["a"]), Derived("n", size=3)):
        for other in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert other == one and type(other) is type(one)


def test_inheritance_keywords_and_what_follows_from_others() -> None:
    one = Derived("n", size=3)
    assert (one.name, one.size, one.area, one.long) == ("n", 3, 9, "nn")
    with pytest.raises(TypeError):
        Derived("n", 3)  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]


@pytest.mark.parametrize("make", MAKERS)
def test_what_a_class_says_of_itself_stays(make: type) -> None:
    class Own:
        value: int

        def __eq__(self, other: object) -> bool:
            return True

        def __repr__(self) -> str:
            return "own"

    made = make(frozen=True)(Own)
    assert made(1) == made(2) and repr(made(1)) == "own"
    assert hash(made(1)) == hash(made(1))


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="from 3.13 on the standard library compiles all methods at once"
)
def test_it_takes_less_to_make() -> None:
    def seconds(make: type) -> float:
        began = time.thread_time()
        for _ in range(100):
            make(frozen=True, slots=True)(type("Row", (), {"__annotations__": dict.fromkeys("abcdef", "int")}))
        return time.thread_time() - began

    assert min(seconds(dataclass) for _ in range(3)) < 0.7 * min(seconds(dataclasses.dataclass) for _ in range(3))
