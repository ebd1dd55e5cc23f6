import json
import threading
from dataclasses import replace

import pytest

from fleet.client.connection import Connection
from fleet.client.fleet_command import main
from fleet.core.control import Answer
from fleet.core.control_answers import Done, Failure, JobCreated
from fleet.core.control_requests import ShowJob, Watch
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, silent

Captured = pytest.CaptureFixture[str]
RUNNING = replace(SUMMARY, finished_us=None, state="running", counts={"running": 1, "succeeded": 1})


@pytest.mark.parametrize(
    ("counts", "code"),
    [({"succeeded": 2}, 0), ({"succeeded": 1, "failed": 1}, 11), ({"expired": 1}, 12), ({"refused": 1}, 13)],
)
def test_it_waits_for_the_end_and_its_exit_code_is_that_of_a_run(
    start: Start, capsys: Captured, counts: dict[str, int], code: int
) -> None:
    ended: list[Step] = [replace(SUMMARY, counts=counts), Done()]
    master = start({Watch: [created("a", "b"), silent("a"), ran("b"), ran("a"), Done()], ShowJob: ended})
    assert main(["jobs", "wait", "last"]) == code
    shown = " ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    assert capsys.readouterr() == (f"{JID}  finished  {shown}\n", "")
    # By its name, for ``last`` may be another one by then; and without any output.
    assert master.requests == [Watch("last", has_output=False), ShowJob(JID, (), False)]


def test_when_the_time_is_up_it_says_how_it_stands_and_how_to_go_on(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start({Watch: [created("a", "b"), ran("a"), never], ShowJob: [RUNNING, Done()]})
    assert main(["jobs", "wait", "last", "-t", "0.1"]) == 12
    never.set()
    captured = capsys.readouterr()
    assert captured.out == f"{JID}  running  1 running 1 succeeded\n"
    assert "the time is up; the job goes on: fleet jobs wait 000042" in captured.err


def test_an_interrupt_says_how_to_go_on(start: Start, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = Connection.receive

    def interrupted(connection: Connection, wait_seconds: float | None) -> Answer | None:
        answer = receive(connection, wait_seconds)
        if isinstance(answer, JobCreated):
            return answer
        raise KeyboardInterrupt

    start({Watch: [created("a"), ran("a")]})
    monkeypatch.setattr(Connection, "receive", interrupted)
    assert main(["jobs", "wait", "last"]) == 130
    said = "interrupted; the job goes on: fleet jobs wait 000042 · stop it: fleet jobs cancel 000042\n"
    assert capsys.readouterr().err == said


def test_one_that_failed_already_counts_although_others_go_on(start: Start) -> None:
    never = threading.Event()
    start({Watch: [created("a"), never], ShowJob: [replace(RUNNING, counts={"running": 1, "failed": 1}), Done()]})
    assert main(["jobs", "wait", "last", "-t", "0"]) == 11
    never.set()


def test_it_is_a_document_too(start: Start, capsys: Captured) -> None:
    start({Watch: [created("a"), Done()], ShowJob: [SUMMARY, Done()]})
    assert main(["jobs", "wait", "000042", "--out", "json"]) == 11
    document = json.loads(capsys.readouterr().out)
    assert (document["jid"], document["counts"]) == (JID, {"succeeded": 1, "failed": 1})


def test_a_job_that_is_not_there_is_an_error(start: Start, capsys: Captured) -> None:
    start({Watch: [Failure("NotFoundError", "there is no job 7", "fleet jobs list")]})
    assert main(["jobs", "wait", "7"]) == 1
    assert capsys.readouterr().err == "error: there is no job 7\nhint: fleet jobs list\n"


def test_a_job_that_is_deleted_meanwhile_is_an_error(start: Start, capsys: Captured) -> None:
    start({Watch: [created("a"), Done()], ShowJob: [Failure("NotFoundError", f"there is no job {JID}", "")]})
    assert main(["jobs", "wait", "last"]) == 1
    assert capsys.readouterr().err == f"error: there is no job {JID}\n"


def test_a_master_that_goes_away_is_an_error(start: Start, capsys: Captured) -> None:
    start({Watch: [created("a"), None]})
    assert main(["jobs", "wait", "last"]) == 1
    assert "went away" in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("a", "b"), ("a", "--force"), ("a", "-t", "soon"), ("a", "--out", "fold")])
def test_what_cannot_be_meant_is_usage(start: Start, words: tuple[str, ...]) -> None:
    start({})
    assert main(["jobs", "wait", *words]) == 2
