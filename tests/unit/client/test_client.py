import threading

import pytest

import fleet.client
from fleet.client import Client
from fleet.core.control_answers import (
    Done,
    Failure,
    GrainsShown,
    JobCancelled,
    JobList,
    JobsDeleted,
    JobsPurged,
    KeyList,
)
from fleet.core.control_requests import (
    CancelJob,
    ChangeKeys,
    DeleteJobs,
    KeyChoice,
    ListJobs,
    ListKeys,
    PurgeJobs,
    ShowGrains,
    ShowJob,
    Submit,
    Watch,
)
from fleet.core.errors import ArgumentError, NoMatchError, ProtocolError
from fleet.core.job_states import JobState
from fleet.core.names import MinionId
from support.fake_master import JID, SUMMARY, Start, Step, created, ran, silent, without_value

WEB = MinionId("web-1")


def test_a_run_gives_what_became_of_it_by_minion(start: Start) -> None:
    master = start({Submit: [created("db-1", "web-1"), ran("web-1", b"up\n"), silent("db-1"), Done()]})
    with Client() as fleet:
        answers = fleet.run(
            "*", "cmd.run", "uptime", b"x", 3, cwd="/tmp", env={"A": "b"}, kind="compound", ttl_seconds=5
        )
    assert answers[WEB].value == "up"
    assert dict(answers.silent) == {"db-1": "down since 09:12"}
    assert answers.exit_code == 12
    (request,) = master.requests
    assert isinstance(request, Submit)
    assert (request.words, request.literals, request.values) == ((), (), ("uptime", b"x", 3))
    assert request.options == {"cwd": "/tmp", "env": {"A": "b"}}
    assert (request.target_kind, request.ttl_seconds, request.timeout_seconds, request.watch) == (
        "compound",
        5,
        0,
        True,
    )


def test_every_request_has_an_id_of_its_own(start: Start) -> None:
    master = start({Submit: [created("web-1")]})
    fleet = Client()
    assert [fleet.submit("*", "test.ping") for _ in range(3)] == [JID] * 3
    ids = {request.request_id for request in master.requests if isinstance(request, Submit)}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {16}


def test_results_stream_as_they_settle(start: Start) -> None:
    gate = threading.Event()
    start({Submit: [created("a", "b"), ran("a"), gate, ran("b"), Done()]})
    with Client() as fleet, fleet.stream("*", "cmd.run") as stream:
        assert (stream.jid, stream.minions) == (JID, ("a", "b"))
        assert next(stream).minion == "a"
        assert stream.open_minions == ("b",)
        gate.set()
        assert [result.minion for result in stream] == ["b"]


def test_nobody_waits_for_the_silent_though_the_master_goes_on(start: Start) -> None:
    """The master ends its stream when all targets have ended; the client when nobody need be waited for."""
    never = threading.Event()
    start({Submit: [created("a", "b"), silent("a"), ran("b"), never]})
    with Client() as fleet:
        answers = fleet.run("*", "cmd.run")
    never.set()
    assert list(answers.silent) == ["a"]


def test_a_late_answer_counts_while_others_are_waited_for(start: Start) -> None:
    start({Submit: [created("a", "b"), silent("a"), ran("a", b"late"), ran("b"), Done()]})
    with Client() as fleet:
        answers = fleet.run("*", "cmd.run")
    assert (answers[MinionId("a")].value, answers.exit_code) == ("late", 0)


def test_the_timeout_ends_the_wait_and_tells_where_the_job_stands(start: Start) -> None:
    never = threading.Event()
    now: list[Step] = [SUMMARY, ran("a"), without_value("b", JobState.ACKED, "waits for its turn"), Done()]
    master = start({Submit: [created("a", "b"), ran("a"), never], ShowJob: now})
    with Client() as fleet:
        answers = fleet.run("*", "cmd.run", timeout_seconds=0.05)
    never.set()
    assert [(result.state, result.reason) for result in answers.values()] == [
        (JobState.SUCCEEDED, ""),
        (JobState.ACKED, "waits for its turn"),
    ]
    assert master.asked(ShowJob) == [ShowJob(JID)]


def test_closing_a_client_closes_what_it_streams(start: Start) -> None:
    start({Submit: [created("a")]})
    fleet = Client()
    stream = fleet.stream("*", "cmd.run")
    fleet.close()
    assert stream.is_closed
    assert list(stream) == []


def test_a_job_that_the_master_refuses_leaves_nothing_open(start: Start) -> None:
    start({Submit: [Failure("NoMatchError", "nobody", "")]})
    with pytest.raises(NoMatchError):
        Client().run("x", "test.ping")


def test_jobs_keys_and_grains_are_typed(start: Start) -> None:
    keys = KeyList((), "ozmg", 0)
    done = JobCancelled(JID, (WEB,), (), ())
    master = start(
        {
            ListJobs: [JobList((SUMMARY,), 1)],
            ShowJob: [SUMMARY, ran("web-1"), ran("db-1"), Done()],
            Watch: [created("web-1"), ran("web-1"), Done()],
            CancelJob: [done],
            ListKeys: [keys],
            ChangeKeys: [keys],
            ShowGrains: [GrainsShown(WEB, {"os": "Debian"})],
        }
    )
    with Client() as fleet:
        assert fleet.jobs(limit=5).jobs == (SUMMARY,)
        record = fleet.job("last")
        assert (record.summary, list(record.results)) == (SUMMARY, ["db-1", "web-1"])
        assert [result.minion for result in fleet.follow("last")] == [WEB]
        assert fleet.cancel(JID, ["web-1"]) == done
        assert fleet.keys() == fleet.change_keys("accept", [KeyChoice(WEB, "x")]) == keys
        assert fleet.grains("web-1") == {"os": "Debian"}
    assert master.asked(ChangeKeys) == [ChangeKeys("accept", (KeyChoice(WEB, "x"),))]


@pytest.mark.parametrize("argument", [{1: "x"}, 2**63, object()])
def test_an_argument_that_cannot_travel_is_refused_before_anything_is_sent(argument: object) -> None:
    with pytest.raises(ArgumentError):
        Client().run("*", "test.echo", argument)  # type: ignore[arg-type] # what a caller without a type checker does


def test_a_name_that_is_no_function_or_minion_is_refused() -> None:
    with pytest.raises(ArgumentError):
        Client().submit("*", "uptime")
    with pytest.raises(ArgumentError):
        Client().grains("../x")


def test_an_answer_of_another_kind_is_an_error_of_ours(start: Start) -> None:
    start({ListKeys: [Done()], ShowJob: [Done()], Submit: [Done()]})
    fleet = Client()
    with pytest.raises(ProtocolError, match="answered ListKeys with Done"):
        fleet.keys()
    with pytest.raises(ProtocolError):
        fleet.job("last")
    with pytest.raises(ProtocolError):
        fleet.run("*", "test.ping")


def test_the_package_offers_its_public_names_and_no_others() -> None:
    assert all(hasattr(fleet.client, name) for name in fleet.client.__all__)
    with pytest.raises(AttributeError):
        _ = fleet.client.Nothing


def test_jobs_are_deleted_by_name_and_all_only_when_that_is_said(start: Start) -> None:
    master = start({DeleteJobs: [JobsDeleted(2, "", (), (WEB,)), Done()]})
    fleet = Client()
    deletion = fleet.delete_jobs("000042", "000043", is_forced=True)
    assert (deletion.jobs, deletion.jid, deletion.owing, deletion.unconfirmed) == (2, "", (WEB,), ())
    with pytest.raises(ArgumentError):
        fleet.delete_jobs()
    assert master.requests == [DeleteJobs(("000042", "000043"), True)]
    fleet.delete_all_jobs()
    assert master.requests[1:] == [DeleteJobs((), False)]


def test_a_deletion_that_is_answered_with_something_else_is_an_error(start: Start) -> None:
    start({DeleteJobs: [Done()]})
    with pytest.raises(ProtocolError):
        Client().delete_jobs("last")


def test_who_has_not_confirmed_in_time_is_told(start: Start) -> None:
    never = threading.Event()
    start({DeleteJobs: [JobsDeleted(1, JID, (WEB,), ()), never]})
    assert Client().delete_jobs("last", timeout_seconds=0).unconfirmed == (WEB,)
    never.set()


def test_a_purge_has_the_limits_that_are_given(start: Start) -> None:
    master = start({PurgeJobs: [JobsPurged(3, 4)]})
    assert Client().purge_jobs(age_seconds=1.5, size_bytes=7) == JobsPurged(3, 4)
    assert master.requests == [PurgeJobs(1.5, 0, 7)]


def test_jobs_are_found_by_what_they_were(start: Start) -> None:
    master = start({ListJobs: [JobList((SUMMARY,), 1)]})
    found = Client().jobs(
        5, user="root", function="f*", target="t*", minion="m", state="failed", since_us=1, until_us=2
    )
    assert found.jobs == (SUMMARY,)
    assert master.requests == [ListJobs(5, "", "root", "f*", "t*", "m", "failed", 1, 2)]


def test_waiting_for_a_job_gives_how_it_stands(start: Start) -> None:
    master = start({Watch: [created("a"), ran("a"), Done()], ShowJob: [SUMMARY, Done()]})
    assert Client().wait("last") == SUMMARY
    assert master.requests == [Watch("last", has_output=False), ShowJob(JID, (), False)]
