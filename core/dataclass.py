"""Dataclasses that cost next to nothing to define: what this code base uses of the standard library's, under the same names.

``dataclasses.dataclass`` compiles up to seven functions for each class: a millisecond for a frozen one (Python 3.11), which was half of
the start of every command and every daemon (``docs/decisions.md``). Here comparing, hashing and printing are shared by all classes, and
``__init__`` is compiled when an object is first made: most classes of a process never make one.

For type checkers these are the functions of the standard library. ``dataclasses.replace`` takes these objects too; its ``fields`` finds
none in them.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from reprlib import recursive_repr
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

__all__ = ["MISSING", "dataclass", "field", "fields", "is_dataclass", "make_ready", "replace"]

_FIELDS = "__dataclass_fields__"
_NOTHING: Mapping[str, object] = MappingProxyType({})


class _Unset:
    """Stands where there is no default, and where an argument was not given."""

    def __repr__(self) -> str:
        return "<unset>"


_UNSET = _Unset()


class _Parameters:
    """What pytest asks of a class before it prints an object: that ``__repr__`` is not the standard library's."""

    repr = False


class _Field:
    """One field, with what ``dataclasses.replace`` and pytest ask of one."""

    __slots__ = ("default", "default_factory", "init", "metadata", "name", "type")
    compare = True
    _field_type = None

    def __init__(self, default: Any, default_factory: Any, init: bool, metadata: Mapping[str, object]) -> None:
        self.name = ""
        self.type: Any = None
        self.default = default
        self.default_factory = default_factory
        self.init = init
        self.metadata = metadata

    @property
    def is_optional(self) -> bool:
        return self.default is not _UNSET or self.default_factory is not _UNSET


def _field(
    *,
    default: Any = _UNSET,
    default_factory: Any = _UNSET,
    init: bool = True,
    metadata: Mapping[str, object] = _NOTHING,
) -> Any:
    """As ``dataclasses.field``."""
    return _Field(default, default_factory, init, metadata)


def _dataclass(*, slots: bool, frozen: bool = False, eq: bool = True) -> Callable[[type], type]:
    """As ``dataclasses.dataclass``; a class always has slots.

    Raises:
        TypeError: a field without a default follows one with a default; or objects would share a default that can be changed.
    """
    if not slots:
        raise TypeError("a dataclass has slots here")
    return lambda cls: _define(cls, is_frozen=frozen, has_eq=eq)


def _define(cls: type, *, is_frozen: bool, has_eq: bool) -> type:
    """Make the class anew, with slots and with what all dataclasses share."""
    own = _own_fields(cls)
    inherited = {
        name: each for base in reversed(cls.__mro__[1:]) for name, each in base.__dict__.get(_FIELDS, {}).items()
    }
    every = inherited | own
    _check_defaults(cls, every)
    namespace = {name: value for name, value in cls.__dict__.items() if name not in own}
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    namespace |= {
        _FIELDS: every,
        "__dataclass_params__": _Parameters,
        "__dataclass_values__": staticmethod(_getter(tuple(every))),
        "__dataclass_is_frozen__": is_frozen,
        "__slots__": tuple(name for name in own if name not in inherited),
        "__match_args__": tuple(name for name, each in every.items() if each.init),
        "__init__": _init_when_needed,
        "__reduce__": _reduce,
    }
    namespace.setdefault("__repr__", _repr)
    if has_eq:
        namespace.setdefault("__eq__", _equals)
        namespace.setdefault("__hash__", _hash if is_frozen else None)
    if is_frozen:
        namespace |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    made: type = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    _let_super_find(made, cls)
    return made


def _let_super_find(made: type, cls: type) -> None:
    """Have ``super()`` without arguments mean the class that was made: all methods of a class share the cell that it looks into."""
    for member in cls.__dict__.values():
        code = getattr(member, "__code__", None)
        if code is not None and "__class__" in code.co_freevars:
            closure = getattr(member, "__closure__", None) or ()
            cell = closure[code.co_freevars.index("__class__")]
            if cell.cell_contents is cls:
                cell.cell_contents = made
                return


def _own_fields(cls: type) -> dict[str, _Field]:
    own: dict[str, _Field] = {}
    for name, annotation in cls.__annotations__.items():
        if annotation is ClassVar or getattr(annotation, "__origin__", None) is ClassVar:
            continue
        default = cls.__dict__.get(name, _UNSET)
        own[name] = each = default if isinstance(default, _Field) else _Field(default, _UNSET, True, _NOTHING)
        each.name, each.type = name, annotation
    return own


def _check_defaults(cls: type, every: Mapping[str, _Field]) -> None:
    optional = ""
    for name, each in every.items():
        if each.init and optional and not each.is_optional:
            raise TypeError(f"{cls.__qualname__}.{name} has no default and follows {optional}, which has one")
        if each.default is not _UNSET and each.default.__class__.__hash__ is None:
            raise TypeError(f"objects of {cls.__qualname__} would share the default of {name}: use default_factory")
        if each.init and each.is_optional:
            optional = name


def _getter(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return attrgetter(*names) if names else lambda _self: ()


# What all classes share.


def _init_when_needed(self: Any, *values: Any, **named: Any) -> None:
    """Compile ``__init__`` of the class that this is found in, then call it."""
    cls = next(each for each in type(self).__mro__ if each.__dict__.get("__init__") is _init_when_needed)
    _compile_init(cls)(self, *values, **named)


def _compile_init(cls: Any) -> Callable[..., None]:
    """Compile ``__init__``: parameters in the order of the fields, as the standard library's."""
    scope: dict[str, Any] = {"_UNSET": _UNSET}
    parameters, lines = ["self"], []
    for name, each in getattr(cls, _FIELDS).items():
        value = name
        if each.default_factory is not _UNSET:
            scope[f"_factory_{name}"] = each.default_factory
            value = f"_factory_{name}()"
            if each.init:
                parameters.append(f"{name}=_UNSET")
                value = f"{value} if {name} is _UNSET else {name}"
        elif each.default is not _UNSET:
            scope[f"_default_{name}"] = each.default
            value = name if each.init else f"_default_{name}"
            parameters += [f"{name}=_default_{name}"] if each.init else []
        elif each.init:
            parameters.append(name)
        else:
            continue
        # The descriptor of the slot does not ask ``__setattr__``, which refuses.
        scope[f"_set_{name}"] = getattr(cls, name).__set__
        lines.append(f"_set_{name}(self, {value})" if cls.__dataclass_is_frozen__ else f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    source = f"def __init__({', '.join(parameters)}):\n    " + ("\n    ".join(lines) or "pass")
    exec(compile(source, f"<dataclass {cls.__qualname__}>", "exec"), scope)  # noqa: S102 - of names of our own fields
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {name: each.type for name, each in getattr(cls, _FIELDS).items() if each.init}
    cls.__init__ = made
    return made


def make_ready(*classes: type) -> None:
    """Compile what is otherwise compiled when an object is first made: for a process that forks, so that not each child does."""
    for cls in classes:
        if cls.__dict__["__init__"] is _init_when_needed:
            _compile_init(cls)


@recursive_repr()
def _repr(self: Any) -> str:
    values = ", ".join(f"{name}={getattr(self, name)!r}" for name in getattr(self, _FIELDS))
    return f"{type(self).__qualname__}({values})"


def _equals(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = self.__dataclass_values__
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(self.__dataclass_values__(self))


def _reduce(self: Any) -> tuple[Any, ...]:
    """For ``copy`` and ``pickle``: slots of a frozen object can be set by its ``__init__`` alone."""
    return type(self), tuple(getattr(self, name) for name, each in getattr(self, _FIELDS).items() if each.init)


def _refuse_to_set(self: object, name: str, _value: object) -> NoReturn:
    raise AttributeError(
        f"{type(self).__qualname__}.{name} cannot be set: the object is frozen; replace() makes another one"
    )


def _refuse_to_delete(self: object, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__qualname__}.{name} cannot be deleted: the object is frozen")


def _fields(of: Any) -> tuple[Any, ...]:
    """The fields of a dataclass, or of an object of one, in order; as ``dataclasses.fields``, also of a class that is made there."""
    found = tuple(getattr(of, _FIELDS).values())
    if not all(isinstance(each, _Field) for each in found):
        from dataclasses import fields as standard_fields

        return standard_fields(of)
    return found


def _is_dataclass(of: object) -> bool:
    """Tell whether this is a dataclass, or an object of one; as ``dataclasses.is_dataclass``."""
    return hasattr(of, _FIELDS)


def _replace(instance: Any, /, **changes: Any) -> Any:
    """Make another object with these fields changed; as ``dataclasses.replace``."""
    for each in _fields(instance):
        if each.init and each.name not in changes:
            changes[each.name] = getattr(instance, each.name)
    return type(instance)(**changes)


if TYPE_CHECKING:
    from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
else:
    MISSING, dataclass, field, fields, is_dataclass, replace = (
        _UNSET,
        _dataclass,
        _field,
        _fields,
        _is_dataclass,
        _replace,
    )
