from hypothesis import given
from hypothesis import strategies as st

from fleet.client.results import read_result
from fleet.client.waiting import Waiting
from fleet.core.control_answers import Done, TargetResult, TargetSilent
from fleet.core.job_states import JobState
from fleet.core.names import MinionId
from support.fake_master import JID, created, ran, silent, without_value

MINIONS = ("a", "b", "c")
A, B, C = (MinionId(name) for name in MINIONS)


def test_nobody_is_waited_for_who_has_ended_or_is_silent() -> None:
    waiting = Waiting(created(*MINIONS))
    assert list(waiting.open_minions) == [A, B, C]
    waiting.take(ran("a"))
    waiting.take(silent("b"))
    assert list(waiting.open_minions) == [C]
    assert not waiting.is_over
    waiting.take(ran("c", retcode=1))
    assert waiting.is_over


def test_a_result_takes_the_place_of_silence_but_nothing_takes_the_place_of_a_result() -> None:
    waiting = Waiting(created("a", "b"))
    waiting.take(silent("a"))
    late = waiting.take(ran("a", b"late"))
    assert late is not None
    assert late.value == "late"
    assert waiting.take(silent("a")) is None
    assert waiting.take(ran("a", b"again")) is None
    assert waiting.results[A].value == "late"


def test_what_is_said_of_strangers_is_not_heard() -> None:
    waiting = Waiting(created("a"))
    assert waiting.take(ran("z")) is None
    assert waiting.take(Done()) is None
    assert waiting.open_minions == (A,)


def test_a_target_that_is_told_to_run_is_waited_for_still() -> None:
    waiting = Waiting(created("a"))
    assert waiting.take(without_value("a", JobState.RUNNING, "")) is not None
    assert waiting.open_minions == (A,)


def test_giving_up_takes_where_the_job_stands_now_and_the_silent_stay_silent() -> None:
    waiting = Waiting(created(*MINIONS))
    waiting.take(ran("a", b"mine"))
    waiting.take(silent("b"))
    now = [
        without_value("a", JobState.RUNNING, ""),
        without_value("b", JobState.QUEUED, ""),
        without_value("c", JobState.ACKED, "its turn"),
    ]
    waiting.give_up({each.minion: read_result(JID, each) for each in now})
    outcome = waiting.outcome(1.5)
    assert waiting.is_over
    assert [(result.state, result.is_silent) for result in outcome.values()] == [
        (JobState.SUCCEEDED, False),
        (JobState.QUEUED, True),
        (JobState.ACKED, False),
    ]
    assert dict(outcome.silent) == {B: "down since 09:12", C: "its turn"}


@given(
    st.lists(
        st.sampled_from(MINIONS).flatmap(
            lambda name: st.sampled_from(
                [ran(name), ran(name, retcode=1), silent(name), without_value(name, JobState.RUNNING, "")]
            )
        )
    )
)
def test_whatever_comes_in_whatever_order_each_target_has_one_entry_and_ends_count_once(
    answers: list[TargetResult | TargetSilent],
) -> None:
    waiting = Waiting(created(*MINIONS))
    ends: dict[str, JobState] = {}
    for answer in answers:
        waiting.take(answer)
        if isinstance(answer, TargetResult) and answer.state in {JobState.SUCCEEDED, JobState.FAILED}:
            ends.setdefault(answer.minion, answer.state)
    heard = {answer.minion for answer in answers if isinstance(answer, TargetSilent)} | {
        MinionId(name) for name in ends
    }
    assert set(waiting.open_minions) == {A, B, C} - heard
    assert {name: waiting.results[MinionId(name)].state for name in ends} == ends
