from dataclasses import replace

import pytest

from fleet.client.exit_codes import EXIT_CODES, exit_code_of
from fleet.client.results import MinionResult, RunResult, read_result, read_silence
from fleet.core.job_states import JobState, Result
from fleet.core.names import FunctionName, MinionId
from support.fake_master import JID, ran, returned, silent, without_value

S = JobState


@pytest.mark.parametrize(
    ("value_from", "value"),
    [("text", "out\n\nerr�"), ("stdout", "out\n"), ("stderr", "err�")],
)
def test_a_value_from_a_stream_is_its_text_without_the_last_newline(value_from: str, value: str) -> None:
    result = read_result(JID, replace(ran("web-1", b"out\n\n", b"err\xff\n"), value_from=value_from))
    assert (result.value, result.stdout, result.stderr) == (value, b"out\n\n", b"err\xff\n")


def test_a_typed_value_is_decoded_and_none_is_one_too() -> None:
    assert read_result(JID, returned("web-1", {"a": [1, None, b"\xff"]})).value == {"a": [1, None, b"\xff"]}
    nothing = read_result(JID, returned("web-1", None))
    assert (nothing.has_value, nothing.value) == (True, None)


def test_a_value_that_cannot_be_read_is_told_with_the_result_and_spoils_no_other() -> None:
    result = read_result(JID, replace(returned("web-1", 1), value=b"\xc1"))
    assert (result.has_value, result.value) == (False, None)
    assert "cannot be read" in result.reason


def test_a_value_of_too_many_parts_is_told_and_not_read() -> None:
    # An array of 200,000 empty maps: with itself one part more than is shown.
    many = b"\xdd" + (200_000).to_bytes(4, "big") + b"\x80" * 200_000
    result = read_result(JID, replace(returned("web-1", 1), value=many, reason="late"))
    assert (result.has_value, result.value) == (False, None)
    assert result.reason == (
        "the value that the minion returned cannot be read: it has more than 200,000 parts, too many to show; "
        "it is kept in the job cache; late"
    )
    fewer = b"\xdd" + (199_999).to_bytes(4, "big") + b"\x80" * 199_999
    assert read_result(JID, replace(returned("web-1", 1), value=fewer)).value == [{}] * 199_999
    assert read_result(JID, returned("web-1", "x" * 300_000)).value == "x" * 300_000


def test_the_result_follows_from_the_state() -> None:
    good, bad = read_result(JID, ran("a")), read_result(JID, ran("a", retcode=3))
    assert (good.result, good.has_succeeded, good.has_ended, good.duration_ms) == (Result.SUCCESS, True, True, 12.5)
    assert (bad.result, bad.has_succeeded, bad.retcode) == (Result.FAILURE, False, 3)
    quiet = read_silence(JID, silent("a"))
    assert (quiet.result, quiet.has_ended, quiet.is_silent) == (Result.NOT_APPLICABLE, False, True)
    assert (quiet.reason, quiet.duration_ms) == ("down since 09:12", None)


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([S.SUCCEEDED, S.SUCCEEDED], 0),
        *(([S.SUCCEEDED, S.REFUSED, S.QUEUED, failed], 11) for failed in (S.FAILED, S.TIMED_OUT, S.LOST, S.CANCELLED)),
        *(
            ([S.SUCCEEDED, S.REFUSED, waiting], 12)
            for waiting in (S.QUEUED, S.SENT, S.ACKED, S.RUNNING, S.EXPIRED, S.ABANDONED)
        ),
        ([S.SUCCEEDED, S.REFUSED], 13),
        ([S.REFUSED], 13),
    ],
)
def test_the_exit_code_tells_the_worst(states: list[JobState], code: int) -> None:
    assert exit_code_of(states) == code


def test_an_id_that_nobody_has_is_never_a_success() -> None:
    assert exit_code_of([S.SUCCEEDED], has_unknown=True) == 12
    assert exit_code_of([S.REFUSED], has_unknown=True) == 12
    assert exit_code_of([S.FAILED], has_unknown=True) == 11


def test_every_exit_code_is_documented() -> None:
    first_words = [line.split()[0] for line in EXIT_CODES.splitlines() if line.strip()]
    assert [word for word in first_words if word.isdigit()] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "11",
        "12",
        "13",
        "130",
        "141",
        "0",
        "1",
        "2",
        "64",
        "0",
        "1",
        "2",
        "4",
    ]


def test_a_run_is_a_mapping_of_minions_that_knows_who_failed_and_who_is_silent() -> None:
    web, db, old = MinionId("web-1"), MinionId("db-1"), MinionId("old-1")
    results: dict[MinionId, MinionResult] = {
        db: read_result(JID, ran("db-1", retcode=2)),
        old: read_silence(JID, silent("old-1")),
        web: read_result(JID, without_value("web-1", S.EXPIRED, "it was not there")),
    }
    run = RunResult(JID, FunctionName("cmd.run"), results, ("web-9",))
    assert list(run) == [db, old, web]
    assert (len(run), run[db].retcode, web in run) == (3, 2, True)
    assert dict(run.silent) == {old: "down since 09:12"}
    assert run.failed == (db,)
    assert run.exit_code == 11
