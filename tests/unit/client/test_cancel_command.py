import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fleet.client.fleet_command import main
from fleet.core.control_answers import Done, Failure, JobCancelled
from fleet.core.control_requests import CancelJob, ShowJob, Watch
from fleet.core.job_states import JobState
from fleet.core.names import MinionId
from support.fake_master import JID, SUMMARY, Start, created, ran, silent, without_value

Captured = pytest.CaptureFixture[str]


def cancelled(asked: Sequence[str] = (), stopped: Sequence[str] = (), ended: Sequence[str] = ()) -> JobCancelled:
    a, b, c = (tuple(MinionId(minion) for minion in group) for group in (asked, stopped, ended))
    return JobCancelled(JID, a, b, c)


def test_a_cancel_waits_until_the_minions_say_that_it_is_done(start: Start, capsys: Captured) -> None:
    ends = replace(ran("web-1", retcode=-15), state=JobState.CANCELLED)
    master = start(
        {
            CancelJob: [cancelled(asked=["web-1", "web-2"], stopped=["web-3"], ended=["web-4"])],
            Watch: [created("web-1", "web-2", "web-3", "web-4", "web-5"), ends, ran("web-2")],
        }
    )
    assert main(["jobs", "cancel", "last", "--minion", "web-1", "--minion=web-2"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "web-3: stopped\nweb-1: stopped\n"
    assert captured.err == "web-4: had ended before\nweb-2: ended by itself, succeeded\n"
    assert master.asked(CancelJob) == [CancelJob("last", (MinionId("web-1"), MinionId("web-2")))]
    assert master.asked(Watch) == [Watch(JID)]


def test_who_does_not_confirm_is_named(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start(
        {
            CancelJob: [cancelled(asked=["a", "b"])],
            Watch: [created("a", "b"), silent("a", "down since 09:12"), never],
            ShowJob: [SUMMARY, without_value("b", JobState.RUNNING, ""), Done()],
        }
    )
    assert main(["jobs", "cancel", "last", "-t", "0.1"]) == 1
    never.set()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "a: asked to stop, has not confirmed it: down since 09:12\nb: asked to stop, has not confirmed it\n"
    )


def test_nothing_to_stop_is_no_success(start: Start, capsys: Captured) -> None:
    start({CancelJob: [cancelled(ended=["a"])]})
    assert main(["jobs", "cancel", "last"]) == 1
    assert "job 20261120221012000042 has ended, there is nothing to stop" in capsys.readouterr().err


def test_of_a_job_that_may_run_elsewhere_it_is_not_said_that_it_has_ended(start: Start, capsys: Captured) -> None:
    start({CancelJob: [cancelled(ended=["a"])]})
    assert main(["jobs", "cancel", "last", "--minion", "a"]) == 1
    assert capsys.readouterr().err == "a: had ended before\nnothing to stop there\n"


def test_what_the_master_stops_at_once_is_a_success(start: Start, capsys: Captured) -> None:
    start({CancelJob: [cancelled(stopped=["a"])]})
    assert main(["jobs", "cancel", "last"]) == 0
    assert capsys.readouterr().out == "a: stopped\n"


@pytest.mark.parametrize("message", ["there is no job 7", "nope is no target of job 7; nothing was cancelled"])
def test_no_such_job_or_target_is_two(start: Start, capsys: Captured, message: str) -> None:
    start({CancelJob: [Failure("NotFoundError", message, "")]})
    assert main(["jobs", "cancel", "7", "--minion", "nope"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "cancel"),
        ("jobs", "cancel", "a", "b"),
        ("jobs", "cancel", "--bogus", "a"),
        ("jobs", "cancel", "a", "--async"),
    ],
)
def test_usage_is_sixty_four_because_two_means_no_such_job(words: tuple[str, ...], capsys: Captured) -> None:
    assert main(words) == 64
    assert capsys.readouterr().err.startswith("error: ")


def test_a_minion_id_that_is_none_is_usage(start: Start) -> None:
    assert main(["jobs", "cancel", "last", "--minion", "../x"]) == 64


def test_no_master_is_one(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(["jobs", "cancel", "last"]) == 1
