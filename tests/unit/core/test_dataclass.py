"""Our dataclasses do what those of the standard library do, of which this code base makes use."""

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import dataclass as ours


def make(module: Any) -> dict[str, Any]:
    """The same classes, by one of the two modules."""

    @module.dataclass(frozen=True, slots=True)
    class Point:
        """A point."""

        x: int
        y: int = 2
        names: list[str] = module.field(default_factory=list)
        kind: ClassVar[str] = "point"

        @property
        def total(self) -> int:
            return self.x + self.y

    @module.dataclass(frozen=True, slots=True)
    class Point3(Point):
        z: int = 3

    @module.dataclass(slots=True)
    class Counter:
        start: int
        count: int = module.field(init=False)
        step: int = module.field(default=1, init=False)
        seen: set[int] = module.field(default_factory=set, init=False)

        def __post_init__(self) -> None:
            self.count = self.start * 10

    @module.dataclass(frozen=True, slots=True, eq=False)
    class Thing:
        name: str = "x"

    @module.dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @module.dataclass(frozen=True, slots=True)
    class Shy:
        secret: str

        def __repr__(self) -> str:
            return "<shy>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Shy)

        def __hash__(self) -> int:
            return 7

    return {cls.__name__: cls for cls in (Point, Point3, Counter, Thing, Nothing, Shy)}


OURS, THEIRS = make(ours), make(dataclasses)
#: What is done with the classes, and must come out the same.
USES: dict[str, Callable[[dict[str, Any], Any], object]] = {
    "values by position and by name": lambda c, _m: (c["Point"](1).y, c["Point"](1, 5).y, c["Point"](y=7, x=1).total),
    "printed": lambda c, _m: repr((c["Point"](1), c["Point3"](1, z=9), c["Counter"](2), c["Nothing"](), c["Shy"]("s"))),
    "equal": lambda c, _m: (
        c["Point"](1) == c["Point"](1, 2, []),
        c["Point"](1) == c["Point"](2),
        c["Point"](1) == c["Point3"](1),
        c["Point"](1) == 1,
        c["Nothing"]() == c["Nothing"](),
        c["Thing"]() == c["Thing"](),
        c["Counter"](1) == c["Counter"](1),
        c["Shy"]("a") == c["Shy"]("b"),
    ),
    "hashed": lambda c, _m: (
        hash(c["Nothing"]()) == hash(c["Nothing"]()),
        len({c["Point"](1, 2, ()), c["Point"](1, 2, ()), c["Point"](1, 3, ())}),
        hash(c["Shy"]("a")),
        c["Counter"].__hash__,
    ),
    "made by __post_init__": lambda c, _m: (c["Counter"](4).count, c["Counter"](4).step, c["Counter"](4).seen),
    "a factory of its own": lambda c, _m: c["Point"](1).names is c["Point"](1).names,
    "changed": lambda c, m: (repr(m.replace(c["Point"](1), x=5)), repr(m.replace(c["Point3"](1), z=5, y=0))),
    "changed by the standard library": lambda c, _m: repr(dataclasses.replace(c["Point3"](1), x=5)),
    "copied": lambda c, _m: (copy.copy(c["Point"](1)) == c["Point"](1), copy.deepcopy(c["Point"](1)) == c["Point"](1)),
    "its fields": lambda c, m: [
        (each.name, each.type, each.init, each.default is m.MISSING, each.default_factory is m.MISSING)
        for name in ("Point", "Point3", "Counter", "Nothing")
        for each in m.fields(c[name])
    ],
    "a dataclass or none": lambda c, m: [m.is_dataclass(each) for each in (c["Point"], c["Point"](1), 1, int)],
    "what stays of the class": lambda c, _m: (
        c["Point"].__doc__,
        c["Point"].kind,
        c["Point"].__name__,
        c["Point"].__qualname__,
        c["Point"].__module__,
        c["Point"].__slots__,
        c["Point3"].__slots__,
        c["Point3"].__match_args__,
        hasattr(c["Point"](1), "__dict__"),
    ),
    "its signature, when one was made": lambda c, _m: (c["Point3"](1), list(inspect.signature(c["Point3"]).parameters))[
        1
    ],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_it_does_what_those_of_the_standard_library_do(use: Callable[[dict[str, Any], Any], object]) -> None:
    assert use(OURS, ours) == use(THEIRS, dataclasses)


def wrong(of: dict[str, Any]) -> list[Callable[[], object]]:
    point = of["Point"](1)
    return [
        of["Point"],
        lambda: of["Point"](1, 2, [], 4),
        lambda: of["Point"](1, x=1),
        lambda: of["Point"](1, w=1),
        lambda: of["Counter"](1, count=1),
        lambda: setattr(point, "x", 2),
        lambda: delattr(point, "x"),
        lambda: hash(of["Point"](1)),
        lambda: hash(of["Counter"](1)),
        lambda: of["Counter"](1).other,
    ]


@pytest.mark.parametrize("number", range(len(wrong(OURS))))
def test_it_refuses_what_those_of_the_standard_library_refuse(number: int) -> None:
    with pytest.raises((TypeError, AttributeError)) as theirs:
        wrong(THEIRS)[number]()
    with pytest.raises((TypeError, AttributeError)) as our_own:
        wrong(OURS)[number]()
    assert isinstance(theirs.value, AttributeError) is isinstance(our_own.value, AttributeError)


def test_an_attribute_that_no_field_has_cannot_be_set_either() -> None:
    with pytest.raises(AttributeError, match="cannot be set: the object is frozen"):
        OURS["Point"](1).other = 2


def test_a_field_without_a_default_behind_one_with_a_default_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="b has no default and follows a"):

        @ours.dataclass(slots=True)
        class _Wrong:
            a: int = 1
            b: int  # type: ignore[misc]


def test_a_default_that_all_objects_would_share_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="would share the default of names"):

        @ours.dataclass(slots=True)
        class _Wrong:
            names: list[str] = []  # noqa: RUF012 - that is the point


@ours.dataclass(frozen=True, slots=True)
class Pickled:
    """At the top of a module, where pickle finds it."""

    name: str
    number: int = 1


def test_an_object_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Pickled("x"))) == Pickled("x")


def test_an_object_that_holds_itself_can_be_printed() -> None:
    counter = OURS["Counter"](1)
    counter.seen = [counter]

    assert repr(counter).count("Counter") == 1
    assert "..." in repr(counter)


def test_the_fields_of_a_class_of_the_standard_library_are_found_too() -> None:
    standard: Any = dataclasses.make_dataclass("Standard", [("a", int), ("b", ClassVar[int])])

    assert [each.name for each in ours.fields(standard)] == ["a"]
    assert ours.is_dataclass(standard(1))
    assert ours.replace(standard(1), a=2) == standard(2)


def test_nothing_is_compiled_before_an_object_is_made_or_that_is_asked_for() -> None:
    first, second = make(ours)["Point"], make(ours)["Point"]
    assert first.__init__ is second.__init__
    ours.make_ready(second)
    ours.make_ready(second)
    assert first.__init__ is not second.__init__
    assert first(1).total == second(1).total == 3
    assert first.__init__ is not second.__init__


def test_a_class_below_one_that_is_no_dataclass_itself_is_made_by_its_init() -> None:
    cls = make(ours)["Point"]

    class Below(cls):  # type: ignore[misc,valid-type]
        def __init__(self, x: int) -> None:
            super().__init__(x, 40)

    assert (Below(2).total, Below(3).total) == (42, 43)


def test_super_means_the_class_that_was_made() -> None:
    @ours.dataclass(slots=True)
    class Base:
        name: str

        def said(self) -> str:
            return self.name

    @ours.dataclass(slots=True)
    class Louder(Base):
        def said(self) -> str:
            return super().said().upper()

    assert Louder("x").said() == "X"


@given(x=st.integers(), y=st.integers(), other=st.integers())
def test_objects_are_equal_when_their_values_are(x: int, y: int, other: int) -> None:
    assert (OURS["Point"](x, y, ()) == OURS["Point"](x, other, ())) is (y == other)
    if y == other:
        assert hash(OURS["Point"](x, y, ())) == hash(OURS["Point"](x, other, ()))
