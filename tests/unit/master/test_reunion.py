"""Who is waited for after the start of a master, and for how long; and that only the naming of silence waits."""

import pytest

from fleet.core.control_answers import TargetSilent
from fleet.master.job_actions import Dispatch, Tell
from fleet.master.presence import Presence, PresenceState
from fleet.master.reunion import HEARD_TOGETHER_US, Reunion, reunion_of
from support.master_machine import JID, NOW, SECOND, M, Master, N, S, changes, only, told

UP, _, DOWN = PresenceState
UNTIL = NOW + 3 * SECOND


@pytest.mark.parametrize(
    ("window_seconds", "patience"), [(0.0, 3 * SECOND), (1.4, 3 * SECOND), (10.0, 20 * SECOND), (600.0, 30 * SECOND)]
)
def test_minions_have_twice_the_time_over_which_they_spread_within_bounds(window_seconds: float, patience: int) -> None:
    assert reunion_of(NOW, [], window_seconds).until_us == NOW + patience


@pytest.mark.parametrize(
    ("presence", "now_us", "is_expected"),
    [
        (Presence(DOWN, None, NOW - HEARD_TOGETHER_US + 1, ""), NOW, True),
        (Presence(DOWN, None, NOW - HEARD_TOGETHER_US + 1, ""), UNTIL, False),
        (Presence(DOWN, None, NOW - HEARD_TOGETHER_US, ""), NOW, False),
        (Presence(DOWN, NOW, NOW, ""), NOW, False),
        (Presence(DOWN, None, None, ""), NOW, False),
        (Presence(UP, None, NOW, ""), NOW, False),
    ],
)
def test_who_was_there_when_the_last_master_ended_is_expected(
    presence: Presence, now_us: int, is_expected: bool
) -> None:
    """However long there was no master: what counts is when it last heard of anybody."""
    reunion = reunion_of(NOW, [NOW - HEARD_TOGETHER_US, NOW], 0.0)
    assert reunion.expects(presence, now_us) is is_expected


@pytest.fixture
def master() -> Master:
    """A master that has just been started: m and n were there before it."""
    found = Master(Reunion(UNTIL, NOW - SECOND))
    found.presences = dict.fromkeys((M, N), Presence(DOWN, None, NOW, ""))
    return found


def test_silence_is_named_when_the_time_to_come_back_is_over(master: Master) -> None:
    assert only(master.create(m=S.QUEUED), Tell) == []
    assert master.jobs.silences(JID, NOW) == [], "who begins to watch waits as well"
    assert master.jobs.ticked(UNTIL - 1) == []
    (tell,) = master.jobs.ticked(UNTIL)
    silence = TargetSilent(M, S.QUEUED, "not seen since this master's start; last heard 2026-11-18T11:06:40Z")
    assert tell == Tell(JID, silence)
    assert master.jobs.silences(JID, UNTIL) == [silence]
    assert master.jobs.ticked(UNTIL + SECOND) == []


def test_one_that_comes_back_in_time_is_handed_its_job_and_never_called_silent(master: Master) -> None:
    master.create(m=S.QUEUED)
    master.come(M)
    actions = master.settle(master.jobs.joined(M, (), NOW + SECOND, is_same_journal=True), NOW + SECOND)

    assert only(actions, Dispatch)[0].minions == {M}
    assert told(actions) == []


def test_a_job_of_one_that_is_waited_for_expires_in_its_time(master: Master) -> None:
    master.create(ttl=1, m=S.QUEUED)
    assert changes(master.jobs.ticked(NOW + SECOND)) == [S.EXPIRED]


def test_who_joined_while_the_job_was_stored_is_handed_it_at_once(master: Master) -> None:
    master.come(M)
    actions = master.settle(master.create(m=S.QUEUED, n=S.QUEUED))

    assert only(actions, Dispatch)[0].minions == {M}
    assert told(actions) == []
