"""Every message has bytes that never change, and no bytes whatever do more than raise ProtocolError."""

import os
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.core import codec, control_codec, packing
from fleet.core.control_requests import ShowGrains
from fleet.core.dataclass import MISSING, fields
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Welcome
from fleet.core.from_minion import Heartbeat, JobProgress
from fleet.core.messages import HEADER_BYTES, PROTOCOL_FIRST, PROTOCOL_VERSION
from fleet.core.msgpack_lengths import count_items
from fleet.core.names import MinionId
from support import messages as samples

GOLDEN = Path(__file__).parent / "golden"
#: What the first release wrote: neighbours of a release must understand each other.
FIRST = Path(__file__).parent / "golden-1"
CLASSES = sorted({type(sample) for sample in samples.all_samples()}, key=lambda cls: cls.__name__)
BY_NAME = {type(sample).__name__: sample for sample in samples.all_samples()}


def _write(table: str, message: Any) -> bytes:
    if table in {"request", "answer"}:
        return control_codec.write_control(message)
    return codec.write_frame(message, samples.TOKEN)


def _read(table: str, frame: bytes) -> object:
    if table == "from_minion":
        return codec.read_from_minion(codec.read_header(frame), frame)
    if table == "from_master":
        return codec.read_from_master(codec.read_header(frame), frame)
    ((kind, body),) = control_codec.ControlReader(len(frame)).feed(frame)
    return (control_codec.read_request if table == "request" else control_codec.read_answer)(kind, body)


def _golden(table: str, folder: Path = GOLDEN) -> dict[str, bytes]:
    lines = (folder / f"{table}.hex").read_text().splitlines()
    return {name: bytes.fromhex(text) for name, text in (line.split() for line in lines)}


EVERY = [(table, sample) for table, (_, some) in samples.TABLES.items() for sample in some]
IDS = [f"{table}-{type(sample).__name__}" for table, sample in EVERY]


@pytest.mark.parametrize("table", samples.TABLES)
def test_every_kind_of_a_table_has_golden_bytes_under_its_number(table: str) -> None:
    kinds, some = samples.TABLES[table]

    assert [type(sample) for sample in some] == list(kinds.values())
    assert list(kinds) == list(range(1, len(kinds) + 1))
    assert list(_golden(table)) == [f"{kind}-{cls.__name__}" for kind, cls in kinds.items()]


@pytest.mark.parametrize(("table", "sample"), EVERY, ids=IDS)
def test_a_message_is_written_as_ever_and_read_back(table: str, sample: object) -> None:
    kinds, _ = samples.TABLES[table]
    kind = next(kind for kind, cls in kinds.items() if cls is type(sample))
    golden = _golden(table)[f"{kind}-{type(sample).__name__}"]

    assert _write(table, sample) == golden
    assert _read(table, golden) == sample


@pytest.mark.parametrize("table", samples.TABLES)
def test_what_the_first_release_wrote_is_still_read(table: str) -> None:
    kinds, _ = samples.TABLES[table]
    for name, frame in _golden(table, FIRST).items():
        number, _, class_name = name.partition("-")
        message = _read(table, frame)

        assert (type(message), type(message).__name__) == (kinds[int(number)], class_name)


@pytest.mark.parametrize("table", ["from_minion", "from_master"])
def test_what_the_first_release_had_is_written_under_its_version(table: str) -> None:
    """It refuses a frame of another one, whatever is in it."""
    first, now = _golden(table, FIRST), _golden(table)

    assert {name: now[name] for name in first} == first
    assert {frame[0] for frame in first.values()} == {PROTOCOL_FIRST}
    assert {frame[0] for name, frame in now.items() if name not in first} == {PROTOCOL_VERSION}


def test_the_documents_inside_of_messages_are_written_as_ever() -> None:
    golden = _golden("documents")

    assert {name: packing.encode(BY_NAME[name]) for name in golden} == golden
    assert [type(document).__name__ for document in samples.DOCUMENTS] == list(golden)
    assert all(packing.decode(type(BY_NAME[name]), data) == BY_NAME[name] for name, data in golden.items())


def test_the_header_of_a_frame_is_version_kind_and_token() -> None:
    frame = codec.write_frame(Heartbeat(1, 2, 3, 4, 5), samples.TOKEN)

    assert frame[:HEADER_BYTES] == bytes((PROTOCOL_FIRST, 3)) + samples.TOKEN
    assert frame[HEADER_BYTES:] == bytes((0x95, 1, 2, 3, 4, 5))


def test_the_header_of_a_control_frame_is_length_version_and_kind() -> None:
    assert control_codec.write_control(ShowGrains(MinionId("x"))) == bytes.fromhex("00000005 01 08 91 a1 78")


@pytest.mark.parametrize(("table", "sample"), EVERY, ids=IDS)
def test_a_message_cut_off_anywhere_is_refused(table: str, sample: object) -> None:
    kinds, _ = samples.TABLES[table]
    body = packing.encode(sample)

    for length in range(len(body)):
        with pytest.raises(ProtocolError):
            packing.decode(type(sample), body[:length])
    assert type(sample) in kinds.values()


@pytest.mark.parametrize(("table", "sample"), EVERY, ids=IDS)
def test_a_message_with_any_byte_changed_is_read_or_refused(table: str, sample: object) -> None:
    frame = _write(table, sample)

    for position in range(len(frame)):
        for change in (0x01, 0x80, 0xFF):
            tampered = bytearray(frame)
            tampered[position] ^= change
            try:
                _read(table, bytes(tampered))
            except ProtocolError:
                continue
            except ValueError:
                assert table in {"request", "answer"}  # Its length now says that more, or less, is to come.
                assert position < 4


@pytest.mark.parametrize("sample", list(samples.all_samples()), ids=lambda sample: type(sample).__name__)
def test_fields_of_a_later_version_are_ignored(sample: object) -> None:
    later = msgpack.packb([*msgpack.unpackb(packing.encode(sample)), "new", {"x": [1]}, 7])

    assert packing.decode(type(sample), later) == sample


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_only_the_fields_with_a_default_may_be_missing(cls: Any) -> None:
    whole = msgpack.unpackb(packing.encode(BY_NAME[cls.__name__]))
    required = sum(field.default is field.default_factory is MISSING for field in fields(cls))

    for length in range(len(whole) + 1):
        short = msgpack.packb(whole[:length])
        if length < required:
            with pytest.raises(ProtocolError):
                packing.decode(cls, short)
        else:
            read = packing.decode(cls, short)
            defaults = [
                field.default if field.default_factory is MISSING else field.default_factory() for field in fields(cls)
            ]
            assert [getattr(read, field.name) for field in fields(cls)[length:]] == defaults[length:]


def test_progress_without_its_later_fields_has_their_defaults() -> None:
    assert packing.decode(JobProgress, msgpack.packb([samples.JID, "acked"])) == JobProgress(samples.JID, "acked")  # type: ignore[arg-type]


_OTHERS: dict[str, Any] = {
    "nil": None,
    "bool": True,
    "int": 7,
    "float": 0.5,
    "str": "x",
    "bytes": b"x",
    "list": [],
    "map": {},
}


def _outcome(convert: Callable[[Any], Any], raw: Any) -> object:
    try:
        return convert(raw)
    except ProtocolError as problem:
        return type(problem)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_compiled_code_reads_and_refuses_the_same(cls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class is read field by field at first, and by code that is compiled when many of it have come."""
    whole = msgpack.unpackb(packing.encode(BY_NAME[cls.__name__]))
    plain, compiled = packing._convert_dataclass(cls), packing._convert_dataclass(cls)
    monkeypatch.setattr(packing, "_COMPILED_AFTER", 1)
    assert compiled(whole) == BY_NAME[cls.__name__]
    monkeypatch.setattr(packing, "_COMPILED_AFTER", -1)  # Never: what is compiled is compared with what is not.
    changed = [
        [*whole[:position], other, *whole[position + 1 :]]
        for position in range(len(whole))
        for other in _OTHERS.values()
    ]
    for raw in (whole, [*whole, "new"], {}, None, *(whole[:length] for length in range(len(whole))), *changed):
        assert _outcome(plain, raw) == _outcome(compiled, raw), raw


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_field_of_another_type_is_refused_or_kept_as_it_is(cls: Any) -> None:
    whole = msgpack.unpackb(packing.encode(BY_NAME[cls.__name__]))

    for position, field in enumerate(fields(cls)):
        for other in _OTHERS.values():
            changed = [*whole[:position], other, *whole[position + 1 :]]
            try:
                read = packing.decode(cls, msgpack.packb(changed))
            except ProtocolError:
                continue
            kept = getattr(read, field.name)
            assert kept == (tuple(other) if isinstance(kept, tuple) else other)
            assert type(kept) is not bool or other is True
            assert type(kept) is not int or type(other) is int


@pytest.mark.parametrize(
    "number", [2**63, 2**64 - 1, -(2**63) - 1], ids=["one too many", "the largest of msgpack", "one too few"]
)
def test_an_integer_beyond_what_a_store_keeps_is_refused(number: int) -> None:
    body = b"\x95" + (b"\xcf" + struct.pack(">Q", number) if number > 0 else b"\xd3" + b"\x80" + bytes(7)) + bytes(4)
    if number < 0:
        assert packing.decode(Heartbeat, body).number == -(2**63)
        return

    with pytest.raises(ProtocolError, match="64 bits"):
        packing.decode(Heartbeat, body)
    with pytest.raises(ProtocolError, match="64 bits"):
        packing.decode_value(msgpack.packb({"x": [number]}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_where_a_number_is_asked(number: float) -> None:
    body = msgpack.unpackb(packing.encode(BY_NAME["Welcome"]))
    body[5] = number

    with pytest.raises(ProtocolError, match="finite"):
        packing.decode(Welcome, msgpack.packb(body))


@pytest.mark.parametrize(
    "value",
    [
        msgpack.packb({1: 2}),
        msgpack.packb({b"x": 2}),
        msgpack.packb({None: 2}),
        msgpack.packb(msgpack.ExtType(5, b"x")),
        msgpack.packb(msgpack.ExtType(5, b"")),
        msgpack.packb(msgpack.Timestamp(1, 2)),
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xc7\x00\xff",
        b"\xc1",
        b"",
        b"\x81\xa1\xff\x01",
        b"\xa2\xc3\x28",
        b"\x01\x02",
        b"\x91" * 41 + b"\xc0",
        b"\x91" * 5_000 + b"\xc0",
        b"\x81\xa1a" * 1_100 + b"\xc0",
        b"\x81" * 600 + b"\xc0",
    ],
    ids=lambda value: value[:8].hex() or "nothing",
)
def test_what_is_no_plain_value_is_refused(value: bytes) -> None:
    with pytest.raises(ProtocolError):
        packing.decode_value(value)


def test_a_value_may_be_nested_as_deep_as_its_maker_allows() -> None:
    value: Any = "x"
    for _ in range(33):
        value = [value]

    assert packing.decode_value(packing.encode_value(value)) == value


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xdb", b"\xc6"])
def test_a_length_beyond_the_frame_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        packing.decode_value(header + b"\xff\xff\xff\xff" + b"\xc0" * 100)


#: Source text, for they are decoded in a process of their own, whose memory can be bounded.
_HOSTILE = {
    "lists in lists": r'(b"\xdd" + struct.pack(">I", size - 1)) * 1_000 + b"\xc0" * (size - 5_000)',
    "short lists in lists": r'(b"\xdc" + b"\xff\xff") * 1_000 + b"\xc0" * (size - 3_000)',
    "lists in maps": r'(b"\x81\xa1a\xdd" + struct.pack(">I", size - 9)) * 500 + b"\xc0" * (size - 4_500)',
    "many lists": r'b"\xdd" + struct.pack(">I", (size - 5) // 5) + b"\xdd\0\0\0\0" * ((size - 5) // 5)',
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_a_frame_of_hostile_headers_takes_no_more_memory_than_its_length_justifies(name: str) -> None:
    script = textwrap.dedent(
        f"""
        import resource, struct
        from fleet.core import packing
        from fleet.core.errors import ProtocolError
        size = 128 * 1024
        hostile = {_HOSTILE[name]}
        packing.decode_value(b"\\x91\\x01")
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + 64 * 1024 * 1024,) * 2)
        try:
            packing.decode_value(hostile)
        except ProtocolError as problem:
            assert "MemoryError" not in problem.message, problem.message
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read_back_as_it_was(cls: Any, data: st.DataObject) -> None:
    message = data.draw(samples.strategy_for(cls))

    assert packing.decode(cls, packing.encode(message)) == message


@given(value=samples.VALUES)
@settings(max_examples=100, deadline=None)
def test_a_value_is_read_back_as_it_was(value: Any) -> None:
    encoded = packing.encode_value(value)

    count_items(encoded)
    assert packing.decode_value(encoded) == value


_FRAMES = [_write(table, sample) for table, sample in EVERY]


@given(frame=st.binary(max_size=200), table=st.sampled_from(sorted(samples.TABLES)))
@example(frame=b"", table="from_minion")
@example(frame=bytes(18), table="from_minion")
@settings(max_examples=300, deadline=None)
def test_no_bytes_do_more_than_raise_protocol_error(frame: bytes, table: str) -> None:
    _survive(table, frame)


@given(
    original=st.sampled_from(_FRAMES),
    position=st.integers(0, 10_000),
    patch=st.binary(max_size=6),
    removed=st.integers(0, 6),
    table=st.sampled_from(sorted(samples.TABLES)),
)
@settings(max_examples=500, deadline=None)
def test_no_spoilt_message_does_more_than_raise_protocol_error(
    original: bytes, position: int, patch: bytes, removed: int, table: str
) -> None:
    at = position % len(original)

    _survive(table, original[:at] + patch + original[at + removed :])


def _survive(table: str, frame: bytes) -> None:
    try:
        if table in {"request", "answer"}:
            read: Callable[[int, bytes], object] = (
                control_codec.read_request if table == "request" else control_codec.read_answer
            )
            for kind, body in control_codec.ControlReader(1_000).feed(frame):
                read(kind, body)
        else:
            _read(table, frame)
    except ProtocolError:
        return


@given(data=st.binary(max_size=60))
@settings(max_examples=300, deadline=None)
def test_counting_headers_refuses_nothing_that_msgpack_reads(data: bytes) -> None:
    try:
        msgpack.unpackb(data, raw=False, strict_map_key=True, max_ext_len=0)
    except Exception:  # noqa: BLE001 - whatever msgpack refuses is not looked at here
        return
    if not any(byte in data for byte in (0xC7, 0xC8, 0xC9)):
        count_items(data)
