"""``fleet retry``: which minions are meant, and what the master is asked."""

from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.core.control import Answer
from fleet.core.control_answers import Done
from fleet.core.control_requests import ShowJob, Submit
from fleet.core.job_states import JobState
from fleet.core.names import Jid
from support.fake_master import JID, SUMMARY, Start, created, ran, without_value

Captured = pytest.CaptureFixture[str]
FIRST = Jid("20261120000000000001")
S = JobState
#: One minion for each end that a job may have, and one where it has none.
ENDS = {
    "ok": S.SUCCEEDED,
    "bad": S.FAILED,
    "slow": S.TIMED_OUT,
    "stopped": S.CANCELLED,
    "late": S.EXPIRED,
    "gone": S.ABANDONED,
    "no": S.REFUSED,
    "lost": S.LOST,
    "open": S.RUNNING,
}
RECORD: tuple[Answer, ...] = (SUMMARY, *(without_value(minion, state, "") for minion, state in ENDS.items()), Done())


@pytest.mark.parametrize(
    ("options", "minions"),
    [
        (["--failed"], ["bad", "slow", "stopped"]),
        (["--silent"], ["gone", "late"]),
        (["--refused"], ["no"]),
        (["--lost"], ["lost"]),
        (["--refused", "--lost"], ["lost", "no"]),
        (["--all"], sorted(set(ENDS) - {"open"})),
        (["--all", "--minion", "ok", "--minion", "open"], ["ok"]),
    ],
)
def test_each_word_means_ends_of_its_own_and_nothing_that_has_not_ended(
    start: Start, capsys: Captured, options: list[str], minions: list[str]
) -> None:
    master = start({ShowJob: RECORD, Submit: [created(*minions), *map(ran, minions)]})
    assert main(["retry", "last", *options]) == 0
    (request,) = master.asked(Submit)

    assert isinstance(request, Submit)
    assert sorted(request.minions) == minions
    assert (request.target, request.target_kind, request.retry_of) == (SUMMARY.target, SUMMARY.target_kind, JID)
    assert (request.function, request.words, request.options) == (SUMMARY.function, SUMMARY.words, SUMMARY.options)
    said = capsys.readouterr().err
    assert f"again on {len(minions)} of {len(ENDS)} minions of job {JID}: " in said
    assert ("1 has not ended and is left out" in said) is ("--minion" not in options or "open" in options)


def test_a_retry_of_a_retry_names_the_first_job(start: Start) -> None:
    record: tuple[Answer, ...] = (replace(SUMMARY, retry_of=FIRST), *RECORD[1:])
    master = start({ShowJob: record, Submit: [created("no"), ran("no")]})
    assert main(["retry", JID, "--refused", "--out", "json"]) == 0
    assert [request.retry_of for request in master.asked(Submit) if isinstance(request, Submit)] == [FIRST]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["retry"], 2, "which job?"),
        (["retry", "last"], 2, "nothing is run again by itself"),
        (["retry", "last", "--failed", "--minion", "ok"], 3, "no minion of job"),
        (["retry", "last", "--failed", "--minion", "stranger"], 1, "stranger is no target of job"),
        (["retry", "last", "--failed", "--async", "--out", "json"], 2, "there are no results"),
    ],
)
def test_what_cannot_be_meant_is_said_and_asks_for_nothing(
    start: Start, capsys: Captured, arguments: list[str], code: int, said: str
) -> None:
    master = start({ShowJob: RECORD})
    assert main(arguments) == code
    assert said in capsys.readouterr().err
    assert master.asked(Submit) == []


def test_a_job_that_had_a_stdin_is_told_what_to_read(start: Start, capsys: Captured) -> None:
    record: tuple[Answer, ...] = (replace(SUMMARY, stdin_bytes=9), *RECORD[1:])
    master = start({ShowJob: record, Submit: [created("no"), ran("no")]})
    assert main(["retry", "last", "--refused"]) == 2
    assert "had a stdin of 9 bytes, which is not kept" in capsys.readouterr().err
    assert main(["retry", "last", "--refused", "--no-stdin"]) == 0
    assert len(master.asked(Submit)) == 1
