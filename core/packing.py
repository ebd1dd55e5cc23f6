"""Dataclasses of plain fields and bytes: the only importer of msgpack, and the only place where decoded bytes are not yet typed.

Every class is turned once into a converter that checks each field's type, length and form; whatever does not fit
raises ``ProtocolError`` and nothing else. Decoding runs under limits, so a small frame cannot ask for much memory.
"""

import math
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin

import msgpack

from .dataclass import MISSING, fields, is_dataclass
from .errors import ProtocolError
from .msgpack_lengths import check_lengths
from .names import FunctionName, Jid, MinionId, is_function_name, is_jid, is_minion_id
from .values import Value

Message = TypeVar("Message")
Convert = Callable[[Any], Any]

_DEPTH_LIMIT = 40
_INTEGER_LIMIT = 2**63
#: A packer keeps the largest buffer that it ever had, so one that has packed much is not used again.
_KEPT_BUFFER_BYTES = 128 * 1024
#: A command reads fewer of a kind, a master more.
_COMPILED_AFTER = 64
#: By class, an object of which one is enough, and the list that it is read from.
_SHARED: dict[type, tuple[Any, list[Any]]] = {}
_FREE_PACKERS: list[msgpack.Packer] = []
_FORMS: Mapping[object, Callable[[str], bool]] = types.MappingProxyType(
    {MinionId: is_minion_id, Jid: is_jid, FunctionName: is_function_name}
)


def share(message: object) -> None:
    """Have compiled code give this object for whatever reads as it: two of three streams of nearly every return are empty."""
    _SHARED[type(message)] = (message, list(_fields_of(message)))


def encode(message: object) -> bytes:
    """Write a message (a dataclass of plain fields) as the msgpack array of its fields."""
    return _pack(_fields_of(message))


def decode(cls: type[Message], data: bytes) -> Message:
    """Read a message of the given class from the msgpack array of its fields.

    Raises:
        ProtocolError: the bytes are no such message.
    """
    hint: Any = cls
    return cast("Message", _converter(hint)(_unpack(data)))


def encode_value(value: Value) -> bytes:
    """Write one plain value."""
    return _pack(value)


def decode_value(data: bytes) -> Value:
    """Read one plain value.

    Raises:
        ProtocolError: the bytes are no plain value.
    """
    return cast("Value", _check_value(_unpack(data), 0))


def _pack(item: Any) -> bytes:
    """Pack with a packer that has been used before: to make one, with its buffer, takes four times as long as to pack a few fields."""
    try:
        packer = _FREE_PACKERS.pop()  # One to each thread that packs at this moment.
    except IndexError:
        packer = msgpack.Packer(use_bin_type=True, default=_default)
    data: bytes = packer.pack(item)
    if len(data) <= _KEPT_BUFFER_BYTES:
        _FREE_PACKERS.append(packer)
    return data


def _unpack(data: bytes) -> Any:
    check_lengths(data)
    try:
        return msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0)
    except (
        ValueError,
        TypeError,
        KeyError,
        OverflowError,
        RecursionError,
        MemoryError,
        msgpack.UnpackException,
    ) as problem:
        # msgpack's StackError and FormatError are ValueErrors; a key that is no text raises ValueError.
        raise ProtocolError(f"not msgpack: {type(problem).__name__}") from problem


def _default(item: object) -> Any:
    if is_dataclass(item) and not isinstance(item, type):
        return _fields_of(item)
    if isinstance(item, Mapping):
        return dict(item)
    raise TypeError(f"a {type(item).__name__} cannot be encoded")


def _fields_of(message: object) -> tuple[Any, ...]:
    cls: Any = type(message)
    return _reader_of(cls)(message)


@cache
def _reader_of(cls: Any) -> Callable[[Any], tuple[Any, ...]]:
    """What reads all fields of an object: in one call where there are several."""
    names = tuple(field.name for field in fields(cls))
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: tuple(getattr(message, name) for name in names)


@cache
def _converter(hint: Any) -> Convert:
    """Make the function that turns decoded msgpack into a value of this annotation, or raises ProtocolError."""
    if hint == Value:
        return lambda raw: _check_value(raw, 0)
    if hint in _FORMS:
        return _convert_name(_FORMS[hint], hint)
    if isinstance(hint, NewType):
        return _converter(hint.__supertype__)
    if isinstance(hint, type) and is_dataclass(hint):
        return _convert_dataclass(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(hint)
    origin, members = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _convert_optional(hint, members)
    if origin is tuple and len(members) == 2 and members[1] is Ellipsis:
        return _convert_tuple(_converter(members[0]))
    if origin is tuple:
        return _convert_fixed_tuple(tuple(_converter(member) for member in members))
    if origin is not None and issubclass(origin, Mapping):
        return _convert_mapping(_converter(members[0]), _converter(members[1]))
    return _convert_plain(hint)


def _convert_plain(expected: type) -> Convert:
    if expected is float:
        return _convert_float
    if expected is int:
        return _convert_integer
    if expected not in {bool, str, bytes}:
        raise TypeError(f"{expected!r} cannot be a field of a message")

    def convert(raw: Any) -> Any:
        if type(raw) is not expected:
            raise ProtocolError(f"expected {expected.__name__}, got {type(raw).__name__}")
        return raw

    return convert


def _convert_integer(raw: Any) -> int:
    # Beyond 64 bits with a sign no store can keep it, and one minion's number would fail the commit of all others.
    if type(raw) is not int or not -_INTEGER_LIMIT <= raw < _INTEGER_LIMIT:
        raise ProtocolError("expected an integer of 64 bits")
    return raw


def _convert_float(raw: Any) -> float:
    if type(raw) not in {int, float} or not math.isfinite(raw):
        raise ProtocolError("expected a finite number")
    return float(raw)


def _convert_name(is_valid: Callable[[str], bool], hint: Any) -> Convert:
    def convert(raw: Any) -> Any:
        if type(raw) is not str or not is_valid(raw):
            raise ProtocolError(f"expected a {hint.__name__}")
        return raw

    return convert


def _convert_enum(hint: type[Enum]) -> Convert:
    members = {member.value: member for member in hint}

    def convert(raw: Any) -> Any:
        if type(raw) is not str or raw not in members:
            raise ProtocolError(f"expected a {hint.__name__}")
        return members[raw]

    return convert


def _convert_optional(hint: Any, members: tuple[Any, ...]) -> Convert:
    rest = [member for member in members if member is not types.NoneType]
    if len(rest) != 1:
        raise TypeError(f"{hint!r} cannot be a field of a message")
    inner = _converter(rest[0])
    return lambda raw: None if raw is None else inner(raw)


def _convert_tuple(inner: Convert) -> Convert:
    def convert(raw: Any) -> Any:
        if type(raw) is not list:
            raise ProtocolError("expected a list")
        return tuple(inner(item) for item in raw)

    return convert


def _convert_fixed_tuple(inner: tuple[Convert, ...]) -> Convert:
    def convert(raw: Any) -> Any:
        if type(raw) is not list or len(raw) != len(inner):
            raise ProtocolError(f"expected a list of {len(inner)}")
        return tuple(each(item) for each, item in zip(inner, raw, strict=True))

    return convert


def _convert_mapping(key: Convert, value: Convert) -> Convert:
    def convert(raw: Any) -> Any:
        if type(raw) is not dict:
            raise ProtocolError("expected a map")
        return {key(name): value(item) for name, item in raw.items()}

    return convert


def _convert_dataclass(cls: Any) -> Convert:
    """Read field by field, and by compiled code once many objects have come: to compile it takes a millisecond, as long as a hundred."""
    every = fields(cls)
    required = sum(field.default is MISSING and field.default_factory is MISSING for field in every)
    hints: list[Any] = [field.type for field in every]
    converters = [_converter(hint) for hint in hints]
    compiled: Convert | None = None
    converted = 0

    def convert(raw: Any) -> Any:
        nonlocal compiled, converted
        if type(raw) is not list or len(raw) < required:
            raise ProtocolError(f"expected the fields of {cls.__name__}")
        if compiled is not None and len(raw) >= len(converters):
            return compiled(raw)
        converted += 1
        if converted == _COMPILED_AFTER:
            compiled = _compile_converter(cls)
        return cls(*(each(item) for each, item in zip(converters, raw, strict=False)))

    return convert


def _compile_converter(cls: Any) -> Convert:
    """Compile what reads a list that has all fields: a plain one is checked where it stands, without a call for each.

    A return has 28 fields, those of its streams counted: 4 µs instead of 13, and ten thousand of them may come in a second.
    """
    scope: dict[str, Any] = {"ProtocolError": ProtocolError}
    source = "\n    ".join(["def convert(raw):", *_lines_of_dataclass(cls, "raw", scope), "return raw"])
    exec(compile(source, f"<converter of {cls.__name__}>", "exec"), scope)  # noqa: S102 - of names of our own fields
    made: Convert = scope["convert"]
    return made


def _lines_of_dataclass(cls: Any, name: str, scope: dict[str, Any]) -> list[str]:
    """The lines that turn a list of all fields, in the variable of this name, into an object."""
    every = fields(cls)
    names = [f"{name}_{number}" for number in range(len(every))]
    lines = [f"{', '.join(names)}, = {name}[:{len(names)}]"] if names else []
    for field, each in zip(every, names, strict=True):
        lines += _lines_of_field(field.type, each, scope)
    scope[f"class_{name}"] = cls
    return [*lines, f"{name} = class_{name}({', '.join(names)})"]


def _lines_of_field(hint: Any, name: str, scope: dict[str, Any]) -> list[str]:
    """The lines that check what is in the variable of this name, or turn it into what it stands for."""
    plain = _plain_check(hint, name)
    if plain:
        return plain
    scope[f"convert_{name}"] = _converter(hint)
    if not (isinstance(hint, type) and is_dataclass(hint)):
        return [f"{name} = convert_{name}({name})"]
    branches = []
    if hint in _SHARED:
        scope[f"shared_{name}"], scope[f"fields_{name}"] = _SHARED[hint]
        # Equal is not enough: False equals 0.
        branches = [
            f"if {name} == fields_{name} and list(map(type, {name})) == types_{name}:",
            f"    {name} = shared_{name}",
        ]
        scope[f"types_{name}"] = list(map(type, scope[f"fields_{name}"]))
    return [
        *branches,
        f"{'el' if branches else ''}if type({name}) is not list or len({name}) < {len(fields(hint))}:",
        f"    {name} = convert_{name}({name})",
        "else:",
        *(f"    {line}" for line in _lines_of_dataclass(hint, name, scope)),
    ]


def _plain_check(hint: Any, name: str) -> list[str]:
    """The lines that check a field of a plain type; empty for any other."""
    if hint is int:
        limit = _INTEGER_LIMIT
        return [
            f"if type({name}) is not int or not -{limit} <= {name} < {limit}:",
            "    raise ProtocolError('expected an integer of 64 bits')",
        ]
    if hint in {bool, str, bytes}:
        return [
            f"if type({name}) is not {hint.__name__}:",
            f"    raise ProtocolError(f'expected {hint.__name__}, got {{type({name}).__name__}}')",
        ]
    if get_origin(hint) in {Union, types.UnionType} and len(get_args(hint)) == 2 and types.NoneType in get_args(hint):
        (inner,) = (member for member in get_args(hint) if member is not types.NoneType)
        checks = _plain_check(inner, name)
        return [f"if {name} is not None:", *(f"    {line}" for line in checks)] if checks else []
    return []


def _check_value(raw: Any, depth: int) -> Any:
    """Refuse what is no plain value: timestamps, extension types, keys that are no text, too deep nesting."""
    kind = type(raw)
    if raw is None or kind in {bool, float, str, bytes}:
        return raw
    if kind is int:
        return _convert_integer(raw)
    if depth >= _DEPTH_LIMIT:
        raise ProtocolError("nested too deep")
    if kind is list:
        for item in raw:
            _check_value(item, depth + 1)
        return raw
    if kind is dict:
        for key, item in raw.items():
            if type(key) is not str:
                raise ProtocolError("a key that is no text")
            _check_value(item, depth + 1)
        return raw
    raise ProtocolError(f"a {kind.__name__} is no plain value")
