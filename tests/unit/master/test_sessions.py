"""Who is connected: tokens, replaced sessions, two machines with one key, presence."""

from dataclasses import replace

import pytest

from fleet.core.codec import Header
from fleet.core.errors import ProtocolError, VersionError
from fleet.core.from_master import Forget, JobOrder, Ping
from fleet.core.from_minion import Heartbeat, Hello
from fleet.core.job_states import JobState
from fleet.core.messages import PROTOCOL_VERSION
from fleet.core.names import MinionId
from fleet.master.presence import PresenceState
from fleet.master.probes import PROBE_FOR_US, PROBE_PAUSE_US
from fleet.master.sessions import (
    LOST_AFTER_SILENT_US,
    SUPERSEDED_GRACE_US,
    SUPERSEDED_LIMIT,
    WATCH_HEARTBEATS,
    Connection,
    Opened,
    Sessions,
)

SECOND = 1_000_000
HEARTBEAT = 10 * SECOND
NOW = 1_795_000_000_000_000
M = MinionId("m")


def connection(number: int, minion: str = "m", descriptor: int | None = None) -> Connection:
    return Connection(
        number.to_bytes(5, "big"), number if descriptor is None else descriptor, MinionId(minion), b"k" * 32, "10.0.0.7"
    )


def hello(minion: str = "m") -> Hello:
    return Hello(MinionId(minion), 1, 1, "0.1.0", b"j" * 16, "boot", b"", b"", (), True, 0)


def greet(sessions: Sessions, where: Connection, token: bytes = b"t" * 16, now: int = NOW) -> Opened:
    return sessions.hello(where, hello(where.minion), token, now)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(HEARTBEAT)


def test_a_token_opens_only_the_session_of_its_connection(sessions: Sessions) -> None:
    greet(sessions, connection(1, "a"), b"a" * 16)
    greet(sessions, connection(2, "b"), b"b" * 16)

    found = sessions.find(connection(1).routing_id, Header(3, b"a" * 16), NOW + 5)
    assert found is not None
    assert (found.minion, found.heard_us) == ("a", NOW + 5)
    for token in (b"b" * 16, bytes(16), b"", b"a" * 15):
        with pytest.raises(ProtocolError):
            sessions.find(connection(1).routing_id, Header(3, token), NOW)
    assert sessions.find(connection(9).routing_id, Header(3, b"a" * 16), NOW) is None


def test_a_hello_under_another_id_or_of_another_protocol_opens_nothing(sessions: Sessions) -> None:
    with pytest.raises(ProtocolError, match="with the key of"):
        sessions.hello(connection(1, "m"), hello("other"), b"t" * 16, NOW)
    with pytest.raises(VersionError):
        sessions.hello(
            connection(1), replace(hello(), protocol_minimum=PROTOCOL_VERSION + 1, protocol_maximum=9), b"t" * 16, NOW
        )
    assert sessions.count == 0


def test_a_new_session_replaces_the_old_one_of_its_key(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    opened = greet(sessions, connection(2), b"u" * 16)

    assert opened.replaced == connection(1)
    assert sessions.count == 1
    assert sessions.find(connection(1).routing_id, Header(3, b"t" * 16), NOW) is None
    assert sessions.get(M) is opened.session


def test_a_second_hello_on_one_connection_replaces_nothing_but_its_token(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    assert greet(sessions, connection(1), b"u" * 16).replaced is None

    assert sessions.closed(1, NOW) is not None
    assert sessions.count == 0


def test_a_connection_that_ends_closes_its_session_and_no_other(sessions: Sessions) -> None:
    greet(sessions, connection(1, "a"))
    greet(sessions, connection(2, "b"))

    closed = sessions.closed(1, NOW + 7)
    assert closed is not None
    assert closed.minion == "a"
    assert sessions.closed(1, NOW) is None
    assert [session.minion for session in sessions.all()] == ["b"]
    assert sessions.presence(MinionId("a"), NOW).since_us == NOW + 7


def test_the_end_of_an_old_connection_leaves_the_new_session_alone(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16)

    assert sessions.closed(1, NOW) is None
    assert sessions.count == 1


def test_a_descriptor_that_is_given_again_at_once_belongs_to_the_new_connection(sessions: Sessions) -> None:
    greet(sessions, connection(1, descriptor=7))
    greet(sessions, connection(2, descriptor=7), b"u" * 16)

    assert sessions.closed(7, NOW) is None  # This is the old one's end, seen late.
    assert sessions.count == 1
    closed = sessions.closed(7, NOW)
    assert closed is not None
    assert closed.connection == connection(2, descriptor=7)


def test_a_normal_reconnect_is_no_conflict(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16, NOW + SECOND)

    # What it left behind is read within the grace ...
    old = Header(3, b"t" * 16)
    assert sessions.spoke_after_it_was_replaced(connection(1).routing_id, old, NOW + SECOND + 500_000) is None
    # ... or comes through a healed network much later, all at once.
    for late in range(5):
        now = NOW + 9 * SECOND + late * 100_000
        assert sessions.spoke_after_it_was_replaced(connection(1).routing_id, old, now) is None


def test_two_machines_that_both_go_on_speaking_are_found(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16)
    old = Header(3, b"t" * 16)
    now = NOW + SUPERSEDED_GRACE_US

    assert sessions.spoke_after_it_was_replaced(connection(1).routing_id, old, now) is None
    newer = sessions.spoke_after_it_was_replaced(connection(1).routing_id, old, now + HEARTBEAT)
    assert newer is sessions.get(M)
    assert sessions.conflict(M, "two machines")
    assert not sessions.conflict(M, "two machines")
    assert not sessions.presence(M, now).is_connected
    assert sessions.presence(M, now).reason(now, JobState.QUEUED) == "two machines"
    greet(sessions, connection(3), b"v" * 16)
    assert not sessions.presence(M, now).is_connected  # Until the operator decides.
    sessions.remove(M, now)
    greet(sessions, connection(4), b"w" * 16)
    assert sessions.presence(M, now).is_connected


def test_a_guessed_token_on_a_replaced_connection_is_no_conflict(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16)

    for wait in (2, 12, 14):
        now = NOW + wait * SECOND
        assert sessions.spoke_after_it_was_replaced(connection(1).routing_id, Header(3, b"x" * 16), now) is None


def test_a_replaced_connection_is_ended_after_its_watch_and_not_when_it_greets_again(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16)
    greet(sessions, connection(1), b"v" * 16)
    later = NOW + WATCH_HEARTBEATS * HEARTBEAT + SUPERSEDED_GRACE_US

    assert sessions.overdue_superseded(later) == []
    assert sessions.overdue_superseded(later + 1) == [connection(2)]
    assert sessions.overdue_superseded(later + 1) == []
    session = sessions.get(M)
    assert session is not None
    assert session.connection == connection(1)


def test_one_key_collects_no_connections(sessions: Sessions) -> None:
    excess = [greet(sessions, connection(number)).excess for number in range(1, SUPERSEDED_LIMIT + 4)]

    assert [len(each) for each in excess] == [0] * (SUPERSEDED_LIMIT + 1) + [1, 1]
    assert excess[-2] == (connection(1),)


def test_removal_erases_everything_at_once(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    greet(sessions, connection(2), b"u" * 16)

    assert set(sessions.remove(M, NOW)) == {connection(1), connection(2)}
    assert sessions.get(M) is None
    assert sessions.find(connection(2).routing_id, Header(3, b"u" * 16), NOW) is None
    assert sessions.presence(M, NOW).last_heard_us is None
    assert sessions.remove(M, NOW) == []
    assert sessions.closed(1, NOW) is sessions.closed(2, NOW) is None


def test_presence_goes_from_up_to_silent_to_down(sessions: Sessions) -> None:
    session = greet(sessions, connection(1)).session
    states = [sessions.presence(M, NOW + wait * SECOND).state for wait in (0, 25, 26)]
    assert states == [PresenceState.UP, PresenceState.UP, PresenceState.SILENT]
    assert sessions.silence_changes(NOW + 26 * SECOND) == ([session], [])
    assert sessions.silence_changes(NOW + 27 * SECOND) == ([], [])
    assert sessions.presence(M, NOW + 26 * SECOND).is_connected

    sessions.find(connection(1).routing_id, Header(3, b"t" * 16), NOW + 28 * SECOND)
    assert sessions.silence_changes(NOW + 29 * SECOND) == ([], [session])
    assert sessions.silence_changes(NOW + 29 * SECOND) == ([], [])
    sessions.closed(1, NOW + 30 * SECOND)
    gone = sessions.presence(M, NOW + 31 * SECOND)
    assert (gone.state, gone.since_us, gone.last_heard_us) == (
        PresenceState.DOWN,
        NOW + 30 * SECOND,
        NOW + 28 * SECOND,
    )
    assert sessions.counts([M, MinionId("never")], NOW) == {"up": 0, "silent": 0, "down": 2}


def test_each_state_says_since_when_it_holds(sessions: Sessions) -> None:
    greet(sessions, connection(1))

    def since(seconds: int) -> int | None:
        return sessions.presence(M, NOW + seconds * SECOND).since_us

    assert (since(0), since(25)) == (NOW, NOW)
    assert (since(26), since(40)) == (NOW + 25 * SECOND, NOW + 25 * SECOND)  # Since the heartbeats were overdue.
    sessions.find(connection(1).routing_id, Header(3, b"t" * 16), NOW + 41 * SECOND)
    assert since(42) == NOW + 41 * SECOND
    sessions.find(connection(1).routing_id, Header(3, b"t" * 16), NOW + 45 * SECOND)
    assert since(46) == NOW + 41 * SECOND
    sessions.closed(1, NOW + 50 * SECOND)
    assert since(51) == NOW + 50 * SECOND


def test_a_session_knows_which_kinds_its_minion_speaks(sessions: Sessions) -> None:
    old = greet(sessions, connection(1)).session
    new = sessions.hello(connection(2, "n"), replace(hello("n"), protocol_maximum=2), b"u" * 16, NOW).session

    assert [(old.speaks(kind), new.speaks(kind)) for kind in (JobOrder, Ping, Forget)] == [
        (True, True),
        (False, True),
        (False, True),
    ]


def test_who_stays_silent_is_lost_but_not_before_that_was_seen(sessions: Sessions) -> None:
    session = greet(sessions, connection(1)).session
    late = NOW + 100 * sessions.heartbeat_us
    assert sessions.lost(late) == []
    sessions.silence_changes(late)
    assert sessions.lost(late + LOST_AFTER_SILENT_US - 1) == []
    assert sessions.lost(late + LOST_AFTER_SILENT_US) == [M]
    session.heard_us = late + LOST_AFTER_SILENT_US
    sessions.silence_changes(late + LOST_AFTER_SILENT_US)
    assert sessions.lost(late + 2 * LOST_AFTER_SILENT_US) == []


def test_a_heartbeat_is_noted_and_its_claims_are_bounded(sessions: Sessions) -> None:
    session = greet(sessions, connection(1)).session
    sessions.heartbeat(session, Heartbeat(1, -5, -7, -1, 3))

    assert (session.round_trip_us, session.skew_us, session.running, session.waiting) == (0, -7, 0, 3)


def test_who_never_becomes_ready_is_not_probed_for_ever(sessions: Sessions) -> None:
    greet(sessions, connection(1))
    assert sessions.due_probes(NOW) == [M]
    assert sessions.due_probes(NOW + PROBE_FOR_US - 1) == [M]
    assert sessions.due_probes(NOW + PROBE_FOR_US) == []
    assert sessions.due_probes(NOW + PROBE_FOR_US - 1) == []


def test_a_probe_is_repeated_ever_less_often_until_it_is_said_to_have_come(sessions: Sessions) -> None:
    session = greet(sessions, connection(1)).session
    times = [at for at in range(0, 5_000_000, 100_000) if sessions.due_probes(NOW + at)]
    assert times == [0, 100_000, 300_000, 700_000, 1_500_000, 2_500_000, 3_500_000, 4_500_000]
    session.is_ready = True
    assert sessions.due_probes(NOW + 6_000_000) == []


def test_a_new_session_is_probed_anew_and_one_that_has_ended_is_not(sessions: Sessions) -> None:
    greet(sessions, connection(1)).session.is_ready = True
    assert sessions.due_probes(NOW) == []
    greet(sessions, connection(2))
    assert sessions.due_probes(NOW) == [M]
    sessions.closed(2, NOW)
    assert sessions.due_probes(NOW + PROBE_PAUSE_US) == []


def test_what_the_store_remembers_is_shown_until_it_is_seen(sessions: Sessions) -> None:
    sessions.remember(M, heard_us=NOW - SECOND, address="10.0.0.9", version="0.0.9")

    known = sessions.presence(M, NOW)
    assert (known.state, known.last_heard_us, known.address) == (PresenceState.DOWN, NOW - SECOND, "10.0.0.9")
    assert known.since_us is None, "when it went is not known: this master was not there"
    assert sessions.version(M) == "0.0.9"
    greet(sessions, connection(1))
    assert sessions.version(M) == "0.1.0"
