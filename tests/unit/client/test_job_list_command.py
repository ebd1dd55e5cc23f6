import json
import time
from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.core.control_answers import Failure, JobList, TargetPreview
from fleet.core.control_requests import ListJobs, PreviewTarget
from fleet.core.names import MinionId
from support.fake_master import JID, MOMENT_US, SUMMARY, Start

Captured = pytest.CaptureFixture[str]
HOUR_US = 3_600_000_000


def asked(start: Start, *words: str) -> ListJobs:
    """List jobs, and return what the master was asked."""
    master = start({ListJobs: [JobList((SUMMARY,), 12)]})
    assert main(["jobs", "list", *words]) == 0
    (request,) = master.requests
    assert isinstance(request, ListJobs)
    return request


def test_every_filter_reaches_the_master(start: Start) -> None:
    request = asked(
        start,
        *("--user", "root", "--function", "pkg.*", "--target=web-*", "--minion", "web-1", "--state", "failed, lost"),
        *("--since", "2026-11-20T22:10:12.000042Z", "--until", "2026-11-20T23:10:12.000042Z", "--limit", "5"),
        *("--before", "000042", "--state=running"),
    )
    states = "failed,lost,running"
    assert request == ListJobs(5, "000042", "root", "pkg.*", "web-*", "web-1", states, MOMENT_US, MOMENT_US + HOUR_US)


def test_a_length_of_time_is_counted_back_from_now(start: Start) -> None:
    before_us = time.time_ns() // 1000
    request = asked(start, "--since", "2h", "--until", "1h")
    after_us = time.time_ns() // 1000
    assert before_us - 2 * HOUR_US <= request.since_us <= after_us - 2 * HOUR_US
    assert before_us - HOUR_US <= request.until_us <= after_us - HOUR_US


@pytest.mark.parametrize("until", ["1950-01-01", "900000d"])
def test_until_a_moment_before_1970_is_no_question_for_everything(start: Start, until: str) -> None:
    """In a request 0 stands for any time."""
    assert asked(start, "--until", until).until_us == 1


@pytest.mark.parametrize("words", [("--since", "yesterday"), ("--limit", "x"), ("last",)])
def test_what_cannot_be_meant_is_usage(start: Start, words: tuple[str, ...]) -> None:
    master = start({})
    assert main(["jobs", "list", *words]) == 2
    assert master.requests == []


def test_a_state_that_is_none_is_told_with_those_there_are(start: Start, capsys: Captured) -> None:
    start({ListJobs: [Failure("ArgumentError", "'bogus' is no state of a job", "one of: running, finished")]})
    assert main(["jobs", "list", "--state", "bogus"]) == 2
    assert capsys.readouterr().err == "error: 'bogus' is no state of a job\nhint: one of: running, finished\n"


def test_those_who_ask_for_details_are_told_how_to_turn_the_page(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((SUMMARY,), 12)]})
    assert main(["jobs", "list", "-v", "--limit", "1"]) == 0
    assert f"older ones: --before {JID}, or --limit 0 for all" in capsys.readouterr().err


def test_the_last_page_is_not_turned(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((SUMMARY,), 1)]})
    assert main(["jobs", "list", "-v"]) == 0
    assert "older ones" not in capsys.readouterr().err


def test_nothing_that_fits_is_no_error(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((), 0)]})
    assert main(["jobs", "list", "--user", "nobody"]) == 0
    assert capsys.readouterr().out.endswith("0/0\n")
    assert main(["jobs", "list", "--user", "nobody", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": [], "shown": 0, "total": 0}


def test_an_id_that_no_job_and_no_key_has_is_told(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((), 0)], PreviewTarget: [Failure("NoMatchError", "no minion matches", "")]})
    assert main(["jobs", "list", "--minion", "nothere"]) == 0
    assert capsys.readouterr().err == "warning: no job was for nothere, and no accepted key has this id\n"
    assert main(["jobs", "list", "--minion", "../x"]) == 0
    assert "no job was for ../x" in capsys.readouterr().err


def test_an_id_that_is_known_needs_no_warning(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((), 0)], PreviewTarget: [TargetPreview((MinionId("web-1"),), ())]})
    assert main(["jobs", "list", "--minion", "web-1"]) == 0
    assert capsys.readouterr().err == ""


def test_long_arguments_are_whole_for_programs(start: Start, capsys: Captured) -> None:
    start({ListJobs: [JobList((replace(SUMMARY, words=("x" * 500,)),), 1)]})
    assert main(["jobs", "list"]) == 0
    assert "x" * 500 in capsys.readouterr().out
