import io
import json
import sys
import threading
from collections.abc import Sequence

import pytest

from fleet.client.fleet_command import main
from fleet.core.control import Request
from fleet.core.control_answers import Done, Failure, JobForgotten, JobsDeleted, JobsPurged
from fleet.core.control_requests import DeleteJobs, PurgeJobs, Submit
from fleet.core.names import MinionId
from support.fake_master import JID, FakeMaster, Start, created, ran, silent

Captured = pytest.CaptureFixture[str]
OPEN = Failure("StateError", f"not deleted, for not all of it has ended: {JID}", "stop it first, or add --force")


class Terminal(io.StringIO):
    """A stdin on which a person types."""

    def isatty(self) -> bool:
        return True


def types(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))


def deleted(asked: Sequence[str] = (), owing: Sequence[str] = (), jobs: int = 1, jid: str = JID) -> JobsDeleted:
    return JobsDeleted(jobs, jid, tuple(map(MinionId, asked)), tuple(map(MinionId, owing)))


def forgotten(minion: str) -> JobForgotten:
    return JobForgotten(JID, MinionId(minion))


# Deletion.


def test_a_deleted_job_is_named_and_that_is_a_success(start: Start, capsys: Captured) -> None:
    master = start({DeleteJobs: [deleted(), Done()]})
    assert main(["jobs", "delete", "last"]) == 0
    assert capsys.readouterr() == (f"{JID}: deleted\n", "")
    assert master.requests == [DeleteJobs(("last",), False)]


def test_several_are_counted(start: Start, capsys: Captured) -> None:
    master = start({DeleteJobs: [deleted(jobs=1_200, jid=""), Done()]})
    assert main(["jobs", "delete", "000042", "--force", "--", "000043"]) == 0
    assert capsys.readouterr().out == "1,200 jobs deleted\n"
    assert master.requests == [DeleteJobs(("000042", "000043"), True)]


def test_it_waits_for_those_that_are_there_and_names_those_that_are_away(start: Start, capsys: Captured) -> None:
    gate = threading.Event()
    gate.set()
    start({DeleteJobs: [deleted(["a", "b"], ["c-1", "c-2"]), forgotten("a"), gate, forgotten("b"), Done()]})
    assert main(["jobs", "delete", "last", "--force"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{JID}: deleted\n"
    assert captured.err == "c-[1-2]: away; what is left of it there goes when it comes back\n"


def test_who_does_not_confirm_in_time_is_named_and_counts_as_silent(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start({DeleteJobs: [deleted(["a", "b", "c"]), forgotten("b"), never]})
    assert main(["jobs", "delete", "last", "--force", "-t", "0.1"]) == 12
    never.set()
    captured = capsys.readouterr()
    assert captured.out == f"{JID}: deleted\n"
    assert captured.err == "a,c: asked to forget it, has not confirmed it; it is asked again\n"


def test_of_several_jobs_one_confirmation_is_not_all(start: Start, capsys: Captured) -> None:
    never = threading.Event()
    start({DeleteJobs: [deleted(["a"], jobs=2, jid=""), forgotten("a"), never]})
    assert main(["jobs", "delete", "1", "2", "--force", "-t", "0.1"]) == 12
    never.set()
    assert "a: asked to forget it" in capsys.readouterr().err


def test_what_has_not_ended_stays_and_says_how_to_go_on(start: Start, capsys: Captured) -> None:
    start({DeleteJobs: [OPEN]})
    assert main(["jobs", "delete", "last"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: {OPEN.message}\nhint: {OPEN.hint}\n"


def test_a_job_that_is_not_there_is_an_error(start: Start, capsys: Captured) -> None:
    start({DeleteJobs: [Failure("NotFoundError", "there is no job 7", "")]})
    assert main(["jobs", "delete", "7"]) == 1
    assert capsys.readouterr().err == "error: there is no job 7\n"


@pytest.mark.parametrize(
    "words",
    [(), ("--force",), ("--all", "last"), ("last", "--bogus"), ("last", "--async"), ("last", "--out", "json")],
)
def test_what_cannot_be_meant_deletes_nothing(start: Start, words: tuple[str, ...], capsys: Captured) -> None:
    master = start({})
    assert main(["jobs", "delete", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert master.requests == []


@pytest.mark.parametrize(("typed", "is_wanted"), [("y\n", True), ("yes\n", True), ("\n", False), ("n\n", False)])
@pytest.mark.parametrize("force", [(), ("--force",)])
def test_all_are_deleted_only_when_a_person_says_so(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    typed: str,
    is_wanted: bool,
    force: tuple[str, ...],
) -> None:
    master = start({DeleteJobs: [deleted(jobs=1, jid=""), Done()]})
    types(monkeypatch, typed)
    assert main(["jobs", "delete", "--all", *force]) == (0 if is_wanted else 1)
    captured = capsys.readouterr()
    what = "every job, also those that run" if force else "every job that has ended"
    assert captured.err.startswith(f"Delete {what}, with all results? [y/N] ")
    assert captured.out == ("1 job deleted\n" if is_wanted else "")
    assert master.requests == ([DeleteJobs((), bool(force))] if is_wanted else [])
    assert ("Nothing was changed." in captured.err) is not is_wanted


def test_yes_is_said_in_advance(start: Start, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    master = start({DeleteJobs: [deleted(jobs=3, jid=""), Done()]})
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["jobs", "delete", "--all", "-y"]) == 0
    assert capsys.readouterr() == ("3 jobs deleted\n", "")
    assert master.requests == [DeleteJobs((), False)]


def test_nobody_answers_and_nothing_is_deleted(start: Start, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    master = start({DeleteJobs: [deleted(), Done()]})
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["jobs", "delete", "--all"]) == 2
    assert "add -y" in capsys.readouterr().err
    assert master.requests == []


def test_no_master_is_one(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_ROOT", str(tmp_path))
    assert main(["jobs", "delete", "last"]) == 1


# Purges.


def purged(master: FakeMaster) -> list[Request]:
    return master.asked(PurgeJobs)


@pytest.mark.parametrize(
    ("words", "request_", "question"),
    [
        (("--older-than", "30d"), PurgeJobs(30 * 86_400.0, 0, 0), "older than 30d"),
        (("--keep", "10000"), PurgeJobs(0.0, 10_000, 0), "beyond the newest 10,000"),
        (("--keep-bytes", "2G"), PurgeJobs(0.0, 0, 2 << 30), "beyond 2G"),
        (
            ("--older-than=1h", "--keep=5", "--keep-bytes=1.5K"),
            PurgeJobs(3_600.0, 5, 1_536),
            "older than 1h or beyond the newest 5 or beyond 1.5K",
        ),
    ],
)
def test_a_purge_asks_says_what_it_will_do_and_what_it_did(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    words: tuple[str, ...],
    request_: PurgeJobs,
    question: str,
) -> None:
    master = start({PurgeJobs: [JobsPurged(1_234, 5_678_901)]})
    types(monkeypatch, "y\n")
    assert main(["jobs", "purge", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == f"Remove the jobs that have ended and are {question}, with all results? [y/N] "
    assert captured.out == "1,234 jobs removed, 5,678,901 bytes freed\n"
    assert purged(master) == [request_]


def test_a_purge_is_a_document_too(start: Start, capsys: Captured) -> None:
    start({PurgeJobs: [JobsPurged(3, 4_096)]})
    assert main(["jobs", "purge", "--keep", "5", "-y", "--out", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"jobs": 3, "freed_bytes": 4096, "kept_open": 0}


@pytest.mark.parametrize(("count", "says"), [(1, "1 job beyond the limits kept, which has not ended"), (7, "7 jobs")])
def test_a_purge_names_the_open_jobs_that_it_keeps(start: Start, capsys: Captured, count: int, says: str) -> None:
    start({PurgeJobs: [JobsPurged(3, 4_096, count)]})
    assert main(["jobs", "purge", "--keep", "5", "-y"]) == 0
    said = capsys.readouterr().err
    assert says in said
    assert "fleet jobs list --state running" in said


def test_a_purge_that_is_not_wanted_changes_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    master = start({})
    types(monkeypatch, "\n")
    assert main(["jobs", "purge", "--keep", "5"]) == 1
    assert master.requests == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-y",),
        ("--keep", "0"),
        ("--older-than", "0", "--keep-bytes", "0"),
        ("--keep", "-1"),
        ("--older-than", "soon"),
        ("--keep-bytes", "-1G"),
        ("--keep", "5", "last"),
        ("--keep", "5", "--out", "fold"),
    ],
)
def test_a_purge_without_a_limit_is_usage_before_anybody_is_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    master = start({})
    types(monkeypatch, "y\n")
    assert main(["jobs", "purge", *words]) == 2
    assert master.requests == []


def test_a_purge_that_the_master_refuses_is_an_error(start: Start, capsys: Captured) -> None:
    start({PurgeJobs: [Failure("StoreFullError", "the job cache cannot be written: the disk is full", "free some")]})
    assert main(["jobs", "purge", "--keep", "5", "-y"]) == 1
    assert "the disk is full" in capsys.readouterr().err


# A run that leaves nothing behind.


def test_a_run_may_remove_its_job_when_it_is_over(start: Start, capsys: Captured) -> None:
    master = start({Submit: [created("a"), ran("a", b"x\n"), Done()], DeleteJobs: [deleted(), Done()]})
    assert main(["a", "cmd.run", "x", "--rm", "--out", "txt"]) == 0
    assert capsys.readouterr() == ("a: x\n", "")
    assert master.requests[1:] == [DeleteJobs((JID,), False)]


def test_a_job_that_is_about_to_go_is_not_pointed_to(start: Start, capsys: Captured) -> None:
    start({Submit: [created("a"), ran("a", b"x\n"), Done()], DeleteJobs: [deleted(), Done()]})
    assert main(["a", "cmd.run", "x", "--rm", "--out", "fold"]) == 0
    assert main(["a", "cmd.run", "x", "--rm", "--summary"]) == 0
    captured = capsys.readouterr()
    assert "1 ok · 1 targeted" in captured.out
    assert "1 ok · 1 targeted" in captured.err
    assert "fleet jobs" not in captured.out + captured.err


def test_the_exit_code_is_that_of_the_run(start: Start) -> None:
    start({Submit: [created("a"), ran("a", retcode=3), Done()], DeleteJobs: [deleted(), Done()]})
    assert main(["a", "cmd.run", "x", "--rm"]) == 11


def test_a_job_that_has_not_ended_everywhere_is_kept_and_that_is_said(start: Start, capsys: Captured) -> None:
    start({Submit: [created("a", "b"), ran("a"), silent("b")], DeleteJobs: [OPEN]})
    assert main(["*", "cmd.run", "x", "--rm"]) == 12
    said = capsys.readouterr().err
    assert f"job {JID} is kept, it has not ended everywhere; later: fleet jobs delete 000042 --force\n" in said


def test_a_job_that_cannot_be_removed_is_said_to_be_kept(start: Start, capsys: Captured) -> None:
    start(
        {
            Submit: [created("a"), ran("a"), Done()],
            DeleteJobs: [Failure("StoreFullError", "the disk is full", "free some space")],
        }
    )
    assert main(["a", "cmd.run", "x", "--rm"]) == 0
    assert f"job {JID} is kept: the disk is full" in capsys.readouterr().err


def test_without_it_the_job_stays(start: Start) -> None:
    master = start({Submit: [created("a"), ran("a"), Done()]})
    assert main(["a", "cmd.run", "x"]) == 0
    assert master.asked(DeleteJobs) == []


def test_a_run_that_does_not_wait_removes_nothing(start: Start, capsys: Captured) -> None:
    master = start({Submit: [created("a")]})
    assert main(["a", "cmd.run", "x", "--rm", "--async"]) == 2
    assert "--async" in capsys.readouterr().err
    assert master.requests == []
