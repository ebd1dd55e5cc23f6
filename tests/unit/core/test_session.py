"""The minion's side of the link: every transition, and what goes with it."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest

from fleet.core import codec
from fleet.core.errors import ProtocolError
from fleet.core.from_master import HeartbeatAnswer, Rejoin, Renewal, Stored, Welcome
from fleet.core.from_minion import Heartbeat, Hello, InventoryItem, Ready, Renewed
from fleet.core.messages import FromMaster
from fleet.core.names import Jid, MinionId
from fleet.core.session import (
    BACK_OFF_LIMIT_US,
    ENROL_EVERY,
    ENROL_LIMIT_US,
    HANDSHAKE_LIMIT_US,
    HANDSHAKE_LONGEST_US,
    HEARTBEATS_MISSED_LIMIT,
    READY_LIMIT_US,
    RECONNECT_WINDOW_LIMIT_SECONDS,
    REFUSED_ENROL_LIMIT_US,
    TRANSITIONS,
    BecameReady,
    BeginEnrolment,
    CloseLink,
    Deliver,
    Joined,
    JoinEpoch,
    LinkAction,
    LinkEvent,
    LinkSession,
    LinkState,
    OpenLink,
    SendFrame,
    TimeLearned,
    back_off,
    handshake_limit,
)

TOKEN, OTHER_TOKEN, KEY = b"t" * 16, b"o" * 16, b"k" * 32
NOW = 10_000_000_000
JID = Jid("20261120221012000042")


def welcome(token: bytes = TOKEN, key: bytes = KEY, heartbeat: float = 10.0, window: float = 0.0) -> Welcome:
    return Welcome(token, 7, key, 3, NOW + 5_000_000, heartbeat, window, True, False, "0.1", b"i" * 16)


def hello(inventory: Sequence[InventoryItem]) -> Hello:
    return Hello(MinionId("m"), 1, 1, "0.1", b"j" * 16, "boot", b"", b"", tuple(inventory), True, 0)


def new_session(*, has_document: bool = True, jitter: float = 0.0) -> LinkSession:
    return LinkSession(
        has_document=has_document,
        hello=hello,
        inventory=tuple,
        load=lambda: (1, 2),
        wall_clock_us=lambda: NOW + 9_000_000,
        jitter=lambda: jitter,
    )


def frame(message: FromMaster, token: bytes = TOKEN) -> bytes:
    return codec.write_frame(message, token)


def sent(actions: Sequence[LinkAction]) -> list[object]:
    frames = [action.frame for action in actions if isinstance(action, SendFrame)]
    return [codec.read_from_minion(codec.read_header(each), each) for each in frames]


def kinds(actions: Sequence[LinkAction]) -> list[type]:
    return [type(action) for action in actions]


def session_in(state: LinkState, *, jitter: float = 0.0, window: float = 0.0) -> LinkSession:
    """Bring a session into a state by what really happens."""
    session = new_session(has_document=state is not LinkState.ENROLLING, jitter=jitter)
    if state is LinkState.NO_LINK:
        return session
    session.ticked(NOW)
    if state in {LinkState.ENROLLING, LinkState.CONNECTING}:
        return session
    session.link_up(NOW)
    if state is LinkState.GREETING:
        return session
    session.received(frame(welcome(window=window)), NOW)
    if state is LinkState.READY:
        session.probed(7, 4)
    assert session.state is state
    return session


def _silence(session: LinkSession) -> None:
    for step in range(60):
        session.ticked(NOW + step * 1_000_000)
        if session.state is LinkState.NO_LINK:
            return


def _enrolling_again() -> LinkSession:
    session = session_in(LinkState.CONNECTING)
    session.link_refused("no", NOW)
    session.ticked(NOW + BACK_OFF_LIMIT_US)
    assert session.state is LinkState.ENROLLING
    return session


_CAUSES: dict[LinkEvent, Callable[[LinkSession], object]] = {
    LinkEvent.ACCEPTED: lambda session: session.accepted(NOW),
    LinkEvent.LINK_UP: lambda session: session.link_up(NOW),
    LinkEvent.LINK_LOST: lambda session: session.link_lost("gone", NOW),
    LinkEvent.LINK_REFUSED: lambda session: session.link_refused("refused", NOW),
    LinkEvent.WELCOME: lambda session: session.received(frame(welcome(OTHER_TOKEN), OTHER_TOKEN), NOW),
    LinkEvent.PROBE: lambda session: session.probed(7, 4),
    LinkEvent.REJOIN: lambda session: session.received(frame(Rejoin("again", 0.0), bytes(16)), NOW),
    LinkEvent.SILENCE: _silence,
}


@pytest.mark.parametrize(("state", "event"), list(product(LinkState, _CAUSES)))
def test_an_event_does_what_the_table_says_and_nothing_else(state: LinkState, event: LinkEvent) -> None:
    session = session_in(state)
    if state is LinkState.ENROLLING and event is LinkEvent.SILENCE:
        session = _enrolling_again()
        session.ticked(NOW + BACK_OFF_LIMIT_US + REFUSED_ENROL_LIMIT_US)
        assert session.state is LinkState.NO_LINK
        return
    if state is LinkState.NO_LINK and event is LinkEvent.SILENCE:
        return  # Nothing is awaited, so nothing is silent; ``ticked`` makes the next attempt.

    try:
        _CAUSES[event](session)
    except ProtocolError:
        assert event is LinkEvent.WELCOME

    assert session.state is TRANSITIONS.get((state, event), state)


def test_every_entry_of_the_table_is_reached_by_a_test() -> None:
    by_clock = {(LinkState.NO_LINK, LinkEvent.DUE_ENROL), (LinkState.NO_LINK, LinkEvent.DUE_CONNECT)}

    assert set(TRANSITIONS) - by_clock <= set(product(LinkState, _CAUSES))


def test_without_a_document_it_enrols_and_with_one_it_connects() -> None:
    assert kinds(new_session(has_document=False).ticked(NOW)) == [BeginEnrolment]
    assert kinds(new_session(has_document=True).ticked(NOW)) == [OpenLink]


def test_the_whole_way_to_ready() -> None:
    session = new_session(has_document=False)
    session.ticked(NOW)

    assert session.deadline_us() is None
    assert kinds(session.accepted(NOW)) == [OpenLink]
    assert sent(session.link_up(NOW)) == [hello(())]
    assert session.send(Ready(1, 1)) == []
    actions = session.received(frame(welcome()), NOW + 200)
    assert kinds(actions) == [JoinEpoch, TimeLearned, Joined]
    assert actions[0] == JoinEpoch(7, KEY, 3)
    assert session.time is not None
    assert session.time.now(NOW + 100) == NOW + 5_000_000
    assert session.round_trip_us == 200
    actions = session.probed(7, 4)
    assert sent(actions) == [Ready(7, 4)]
    assert kinds(actions)[-1] is BecameReady
    assert session.is_joined


@pytest.mark.parametrize("state", [LinkState.CONNECTING, LinkState.GREETING])
def test_an_attempt_that_gets_no_answer_is_given_up(state: LinkState) -> None:
    session = session_in(state)

    assert session.ticked(NOW + HANDSHAKE_LIMIT_US - 1) == []
    assert kinds(session.ticked(NOW + HANDSHAKE_LIMIT_US)) == [CloseLink]


def test_an_attempt_may_take_longer_after_those_that_failed_within_bounds() -> None:
    limits = [handshake_limit(failures) for failures in (0, 1, 2, 3, 1_000)]
    assert limits == [HANDSHAKE_LIMIT_US, 2 * HANDSHAKE_LIMIT_US, *[HANDSHAKE_LONGEST_US] * 3]

    session = session_in(LinkState.CONNECTING)
    session.ticked(NOW + HANDSHAKE_LIMIT_US)
    again = session.deadline_us()
    assert again is not None
    assert kinds(session.ticked(again)) == [OpenLink]
    assert session.deadline_us() == again + 2 * HANDSHAKE_LIMIT_US


def test_a_session_without_broadcasts_is_given_up() -> None:
    session = session_in(LinkState.WELCOMED, jitter=1.0)

    assert session.deadline_us() == NOW + READY_LIMIT_US
    assert kinds(session.ticked(NOW + READY_LIMIT_US)) == [CloseLink]


def test_heartbeats_tell_load_round_trip_and_skew() -> None:
    session = session_in(LinkState.READY)
    due = session.deadline_us()
    assert due == NOW + 5_000_000

    assert sent(session.ticked(due)) == [Heartbeat(1, 0, 4_000_000 - 5_000_000, 1, 2)]
    session.received(frame(HeartbeatAnswer(1, due + 5_000_000)), due + 400)
    assert session.round_trip_us == 400


def test_a_link_is_given_up_when_three_heartbeats_are_not_answered() -> None:
    session = session_in(LinkState.READY)
    now = NOW + 5_000_000
    for _ in range(HEARTBEATS_MISSED_LIMIT):
        assert len(sent(session.ticked(now))) == 1
        now += 10_000_000

    assert kinds(session.ticked(now)) == [CloseLink]


def test_an_answer_to_the_last_heartbeat_makes_up_for_those_before() -> None:
    session = session_in(LinkState.READY)
    session.ticked(NOW + 5_000_000)
    session.ticked(NOW + 15_000_000)
    session.received(frame(HeartbeatAnswer(2, NOW)), NOW + 15_000_100)

    assert len(sent(session.ticked(NOW + 25_000_000))) == 1
    assert len(sent(session.ticked(NOW + 35_000_000))) == 1
    assert session.is_joined


def test_an_answer_leaves_those_sent_after_it_open() -> None:
    session = session_in(LinkState.READY)
    session.ask_time(NOW)
    session.ask_time(NOW + 1_000_000)

    session.received(frame(HeartbeatAnswer(1, NOW)), NOW + 1_000_100)
    session.received(frame(HeartbeatAnswer(2, NOW)), NOW + 1_000_200)
    with pytest.raises(ProtocolError, match="not sent"):
        session.received(frame(HeartbeatAnswer(2, NOW)), NOW + 1_000_300)


def test_time_is_asked_for_at_most_once_a_second_and_only_in_a_session() -> None:
    session = session_in(LinkState.WELCOMED)

    assert len(sent(session.ask_time(NOW))) == 1
    assert session.ask_time(NOW + 999_999) == []
    assert len(sent(session.ask_time(NOW + 1_000_000))) == 1
    assert session_in(LinkState.GREETING).ask_time(NOW) == []


def test_a_welcome_that_nobody_asked_for_changes_nothing() -> None:
    session = session_in(LinkState.READY)

    with pytest.raises(ProtocolError, match="nobody asked"):
        session.received(frame(welcome(OTHER_TOKEN), OTHER_TOKEN), NOW)
    assert kinds(session.received(frame(Stored(JID)), NOW)) == [Deliver]


@pytest.mark.parametrize("bad", [welcome(token=b"t" * 15), welcome(token=b""), welcome(key=b"k" * 31)])
def test_a_welcome_without_a_whole_token_or_key_is_refused(bad: Welcome) -> None:
    session = session_in(LinkState.GREETING)

    with pytest.raises(ProtocolError, match="without"):
        session.received(frame(bad), NOW)
    assert session.state is LinkState.GREETING


@pytest.mark.parametrize("state", [LinkState.WELCOMED, LinkState.READY])
def test_a_message_with_another_token_is_refused(state: LinkState) -> None:
    with pytest.raises(ProtocolError, match="another session"):
        session_in(state).received(frame(Stored(JID), OTHER_TOKEN), NOW)


@pytest.mark.parametrize("state", [LinkState.NO_LINK, LinkState.CONNECTING, LinkState.GREETING])
def test_a_message_before_the_welcome_is_refused(state: LinkState) -> None:
    with pytest.raises(ProtocolError, match="another session"):
        session_in(state).received(frame(Stored(JID), b"" or bytes(16)), NOW)


def test_a_renewal_is_taken_and_confirmed() -> None:
    actions = session_in(LinkState.READY).received(frame(Renewal(8, KEY, 0, NOW)), NOW)

    assert actions[0] == JoinEpoch(8, KEY, 0)
    assert sent(actions) == [Renewed(8)]
    with pytest.raises(ProtocolError, match="without a key"):
        session_in(LinkState.READY).received(frame(Renewal(8, b"short", 0, NOW)), NOW)


def test_a_rejoin_waits_as_long_as_the_master_asks_but_not_longer_than_a_minute() -> None:
    for seconds, waited in ((20.0, 20_000_000), (1e300, 60_000_000), (-5.0, 50_000)):
        session = session_in(LinkState.READY)
        session.received(frame(Rejoin("later", seconds), bytes(16)), NOW)
        assert session.deadline_us() == NOW + waited


def test_a_lost_session_comes_back_within_the_window_that_the_master_gave() -> None:
    session = session_in(LinkState.READY, jitter=0.5, window=8.0)
    session.link_lost("gone", NOW)
    assert session.deadline_us() == NOW + 4_000_000

    session = session_in(LinkState.READY, jitter=1.0, window=1e300)
    session.link_lost("gone", NOW)
    assert session.deadline_us() == NOW + int(RECONNECT_WINDOW_LIMIT_SECONDS * 1_000_000)


def test_who_is_not_served_in_that_window_waits_for_as_long_again() -> None:
    session = session_in(LinkState.READY, jitter=0.5, window=60.0)
    session.link_lost("gone", NOW)
    session.ticked(NOW + 30_000_000)
    assert session.state is LinkState.CONNECTING
    session.link_lost("no answer", NOW + 35_000_000)
    assert session.deadline_us() == NOW + 65_000_000


@pytest.mark.parametrize("failures", [1, 2, 5, 6, 50, 5_000])
def test_the_back_off_is_bounded_and_never_nothing(failures: int) -> None:
    waits = [back_off(failures, jitter) for jitter in (0.0, 0.3, 1.0)]

    assert waits == sorted(waits)
    assert 0 < waits[0] < waits[-1] <= BACK_OFF_LIMIT_US


def test_every_fourth_failure_asks_the_enrolment_port_and_then_tries_the_kept_ports_again() -> None:
    assert 0 < ENROL_LIMIT_US <= 30_000_000
    session, now, done = new_session(), NOW, []
    for _ in range(2 * ENROL_EVERY + 2):
        now += BACK_OFF_LIMIT_US
        (action,) = session.ticked(now)
        done.append(type(action))
        if isinstance(action, BeginEnrolment):
            assert session.deadline_us() == now + ENROL_LIMIT_US
            now += ENROL_LIMIT_US
            assert kinds(session.ticked(now)) == [CloseLink]
        else:
            session.link_lost("no connection", now)

    assert [number for number, kind in enumerate(done, 1) if kind is BeginEnrolment] == [5, 9]


def test_a_refused_key_enrols_at_once_and_tries_the_fleets_ports_again_after_a_minute() -> None:
    session = _enrolling_again()
    now = NOW + BACK_OFF_LIMIT_US

    assert session.ticked(now + REFUSED_ENROL_LIMIT_US - 1) == []
    assert kinds(session.ticked(now + REFUSED_ENROL_LIMIT_US)) == [CloseLink]
    assert kinds(session.ticked(now + REFUSED_ENROL_LIMIT_US + BACK_OFF_LIMIT_US)) == [OpenLink]


def test_a_refusal_that_comes_when_the_link_is_given_up_already_changes_nothing() -> None:
    session = session_in(LinkState.CONNECTING)
    session.link_lost("gone", NOW)

    assert session.link_refused("late", NOW) == []
    assert kinds(session.ticked(NOW + BACK_OFF_LIMIT_US)) == [OpenLink]


def test_a_probe_resets_the_back_off() -> None:
    session = new_session()
    now = NOW
    for _ in range(3):
        now += BACK_OFF_LIMIT_US
        session.ticked(now)
        session.link_lost("no", now)
    now += BACK_OFF_LIMIT_US
    session.ticked(now)
    session.link_up(now)
    session.received(frame(welcome()), now)
    session.probed(7, 4)
    session.link_lost("gone", now)

    assert session.deadline_us() == now + back_off(1, 0.0)
