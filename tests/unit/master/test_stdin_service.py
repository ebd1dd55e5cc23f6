"""How the master answers a question for a stdin: from the job cache, in chunks, and only to whom it may be given."""

from collections.abc import Callable
from typing import cast

import pytest

from fleet.core.errors import ProtocolError, StateError
from fleet.core.from_master import StdinChunk
from fleet.core.from_minion import NeedStdin
from fleet.core.messages import CHUNK_LIMIT_BYTES, WINDOW_BYTES
from fleet.core.names import Jid, MinionId
from fleet.master.conductor import Conductor
from fleet.master.sessions import Session
from fleet.master.stdin_service import StdinService
from fleet.master.stdin_windows import PATIENCE_US
from support.master_machine import JID, NOW, M

DATA = bytes(range(256)) * 1_500


class Conducting:
    """Stands for a conductor: one job, whose stdin is read when the test says so."""

    def __init__(self) -> None:
        self.jobs = self.clock = self.store = self
        self.length_bytes: int | None = len(DATA)
        self.data: bytes | Exception = DATA
        self.takes = 1_000
        self.sent: list[tuple[MinionId, StdinChunk]] = []
        self.reads: list[Callable[[], None]] = []

    def stdin_of(self, _jid: Jid, _minion: MinionId) -> int | None:
        return self.length_bytes

    def now_us(self) -> int:
        return NOW

    def send(self, minion: MinionId, message: StdinChunk) -> bool:
        self.takes -= 1
        if self.takes >= 0:
            self.sent.append((minion, message))
        return self.takes >= 0

    def send_to_session(self, session: Session, message: StdinChunk) -> bool:
        return self.send(session.minion, message)

    def stdin(self, _jid: Jid, offset: int, limit_bytes: int) -> bytes:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data[offset : offset + limit_bytes]

    def read(self, function: Callable[["Conducting"], bytes], on_done: Callable[[bytes | Exception], None]) -> None:
        def run() -> None:
            try:
                found: bytes | Exception = function(self)
            except StateError as problem:
                found = problem
            on_done(found)

        self.reads.append(run)


class Of:
    """A session of a minion."""

    def __init__(self, minion: str) -> None:
        self.minion = MinionId(minion)


@pytest.fixture
def conducting() -> Conducting:
    return Conducting()


@pytest.fixture
def service(conducting: Conducting) -> StdinService:
    return StdinService(cast("Conductor", conducting))


def ask(service: StdinService, offset: int, minion: str = "m") -> None:
    service.asked(cast("Session", Of(minion)), NeedStdin(JID, offset), NOW)


def test_a_window_goes_out_in_chunks_that_follow_each_other(service: StdinService, conducting: Conducting) -> None:
    ask(service, 0)
    assert conducting.sent == []
    conducting.reads.pop()()
    chunks = [chunk for _, chunk in conducting.sent]
    assert [chunk.offset for chunk in chunks] == list(range(0, WINDOW_BYTES, CHUNK_LIMIT_BYTES))
    assert b"".join(chunk.data for chunk in chunks) == DATA[:WINDOW_BYTES]
    ask(service, WINDOW_BYTES)
    conducting.reads.pop()()
    assert b"".join(chunk.data for _, chunk in conducting.sent) == DATA
    ask(service, len(DATA))
    assert (conducting.reads, service.windows.figures()["stdin_sent_bytes"][0]) == ([], 0)


@pytest.mark.parametrize(("length", "offset"), [(None, 0), (len(DATA), -1), (len(DATA), len(DATA) + 1), (0, -1)])
def test_what_is_not_this_minions_is_a_protocol_error(
    service: StdinService, conducting: Conducting, length: int | None, offset: int
) -> None:
    conducting.length_bytes = length
    with pytest.raises(ProtocolError):
        ask(service, offset)
    assert (conducting.reads, conducting.sent) == ([], [])


def test_of_a_job_that_is_over_nothing_is_to_be_had(service: StdinService, conducting: Conducting) -> None:
    conducting.length_bytes = 0
    ask(service, 7)
    assert conducting.sent == [(M, StdinChunk(JID, 7, b""))]


def test_a_stdin_that_went_while_it_was_read_is_not_to_be_had(service: StdinService, conducting: Conducting) -> None:
    ask(service, 0)
    conducting.data = b""
    conducting.reads.pop()()
    assert conducting.sent == [(M, StdinChunk(JID, 0, b""))]


def test_what_cannot_be_read_for_now_is_asked_for_again(service: StdinService, conducting: Conducting) -> None:
    ask(service, 0)
    conducting.data = StateError("a bad disk")
    conducting.reads.pop()()
    assert conducting.sent == []
    conducting.data = DATA
    service.ticked(NOW + PATIENCE_US)
    ask(service, 0)
    conducting.reads.pop()()
    assert len(conducting.sent) == WINDOW_BYTES // CHUNK_LIMIT_BYTES


def test_a_connection_that_takes_no_more_is_sent_no_more(service: StdinService, conducting: Conducting) -> None:
    conducting.takes = 2
    ask(service, 0)
    conducting.reads.pop()()
    assert (len(conducting.sent), conducting.takes) == (2, -1)


def test_what_is_read_while_a_minion_goes_makes_room_for_the_next(
    service: StdinService, conducting: Conducting
) -> None:
    for number in range(20):
        ask(service, 0, f"m{number}")
    assert len(conducting.reads) == 8
    service.left(MinionId("m19"))
    while conducting.reads:
        conducting.reads.pop(0)()
    assert {minion for minion, _ in conducting.sent} == {f"m{number}" for number in range(19)}
