"""The frames around messages: header, version, kind; and the stream of the control socket."""

from collections.abc import Callable

import pytest

from fleet.core import codec, control_codec, packing
from fleet.core.control import ANSWERS, CONTROL_VERSION, REQUESTS
from fleet.core.errors import FleetError, ProtocolError, VersionError
from fleet.core.from_minion import MinionEvent, Return
from fleet.core.job_document import JobDocument
from fleet.core.messages import FRAME_LIMIT_ITEMS, FROM_MASTER, FROM_MINION, HEADER_BYTES, PROTOCOL_VERSION
from support import messages as samples

BY_NAME = {type(sample).__name__: sample for sample in samples.all_samples()}


@pytest.mark.parametrize("length", range(HEADER_BYTES))
def test_a_frame_shorter_than_its_header_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match="header"):
        codec.read_header(bytes(length))


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION + 1, 255])
def test_another_version_is_refused_before_anything_else_is_read(version: int) -> None:
    with pytest.raises(VersionError) as caught:
        codec.read_header(bytes((version, 99)) + bytes(16) + b"\xc1")

    assert caught.value.hint


@pytest.mark.parametrize("kind", [0, max(*FROM_MINION, *FROM_MASTER) + 1, 255])
def test_an_unknown_kind_is_refused(kind: int) -> None:
    frame = bytes((PROTOCOL_VERSION, kind)) + bytes(16) + b"\x90"

    for read in (codec.read_from_minion, codec.read_from_master):
        with pytest.raises(ProtocolError, match="unknown"):
            read(codec.read_header(frame), frame)


def test_a_message_of_the_master_is_none_of_a_minion() -> None:
    frame = codec.write_frame(BY_NAME["Welcome"], samples.TOKEN)  # type: ignore[arg-type]

    with pytest.raises(ProtocolError):
        codec.read_from_minion(codec.read_header(frame), frame)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1_000])
def test_control_frames_are_cut_out_of_a_stream_however_it_is_chopped(step: int) -> None:
    stream = b"".join(control_codec.write_control(request) for request in samples.REQUESTS)
    reader = control_codec.ControlReader(10_000)

    found = [
        control_codec.read_request(kind, body)
        for start in range(0, len(stream), step)
        for kind, body in reader.feed(stream[start : start + step])
    ]

    assert found == list(samples.REQUESTS)


@pytest.mark.parametrize("length", [0, 1, 101, 2**32 - 1])
def test_a_control_frame_is_refused_as_soon_as_its_length_is_seen(length: int) -> None:
    reader = control_codec.ControlReader(100)

    with pytest.raises(ProtocolError):
        list(reader.feed(length.to_bytes(4, "big")))


def test_a_control_frame_of_another_version_is_refused_with_what_to_do() -> None:
    with pytest.raises(VersionError) as caught:
        list(control_codec.ControlReader(100).feed(b"\0\0\0\x03" + bytes((CONTROL_VERSION + 1, 1)) + b"\x90"))

    assert "restart" in caught.value.hint


@pytest.mark.parametrize("read", [control_codec.read_request, control_codec.read_answer])
def test_an_unknown_control_kind_is_refused(read: Callable[[int, bytes], object]) -> None:
    for kind in (0, max(len(REQUESTS), len(ANSWERS)) + 1, 255):
        with pytest.raises(FleetError, match="unknown"):
            read(kind, b"\x90")


def test_no_kind_and_no_message_stands_in_two_tables() -> None:
    assert not set(FROM_MINION.values()) & set(FROM_MASTER.values())
    assert not set(REQUESTS.values()) & set(ANSWERS.values())


def test_what_cannot_be_a_field_is_a_fault_of_the_author() -> None:
    with pytest.raises(TypeError):
        packing.encode_value(object())  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        packing.decode(JobDocument, packing.encode(BY_NAME["Return"]))
    with pytest.raises(ProtocolError):
        packing.decode(Return, packing.encode(BY_NAME["JobDocument"]))


def test_a_frame_of_more_items_than_a_minion_sends_is_refused_before_it_is_decoded() -> None:
    """128 KiB of empty maps would be 10 MiB of objects."""

    def event(items: int) -> bytes:
        head = codec.write_frame(MinionEvent("fleet/minion/web-1/event/x", {}), samples.TOKEN)
        many = b"\xdd" + items.to_bytes(4, "big") + b"\x80" * items
        return head[:-1] + b"\x81\xa1x" + many

    for items in (FRAME_LIMIT_ITEMS - 10, FRAME_LIMIT_ITEMS + 10):
        frame = event(items)
        if items < FRAME_LIMIT_ITEMS:
            assert isinstance(codec.read_from_minion(codec.read_header(frame), frame), MinionEvent)
        else:
            with pytest.raises(ProtocolError, match="more than"):
                codec.read_from_minion(codec.read_header(frame), frame)
