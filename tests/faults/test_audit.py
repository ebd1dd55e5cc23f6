"""The audit allows what was promised and finds everything else: hand-made histories."""

from dataclasses import replace
from typing import Any

import pytest

from faults.audit import judge
from faults.endings import adopt_unanswered, cases
from faults.history import EVERY_JOB, Asked, Case, Ending, Fault, Ran, Submission
from faults.orders import Order, OrderKind
from faults.plan import MASTER, FaultKind
from fleet.core.job_states import JobState

JID = "20260102030405000001"
BEGAN = 1_000.0
F = FaultKind
ORDER = Order("s0-00001", OrderKind.SLOW, "m1", 2, 0.3, 0, 2.0, 0.0, None, is_watched=False, is_typed=False)
RAN = Ran(1, BEGAN + 0.5, b"one\ntwo\n", b"warned\n", 0)
DONE = Ending(
    JobState.SUCCEEDED, "", "ok", 0, None, RAN.stdout, RAN.stderr, 8, 7, 1_000_000_000, 1_002_000_000, 1_001_000_000
)


def fault(kind: FaultKind, lane: str = "m1", began: float = BEGAN + 0.2, seconds: float = 1.0, **more: Any) -> Fault:
    return Fault(kind, lane, began, began + seconds, is_inside=True, **more)


def case(ending: Ending | None, ran: Ran | None = RAN, *faults: Fault, order: Order = ORDER, **submitted: Any) -> Case:
    terms: dict[str, Any] = {"jid": JID, "asked": Asked.ACCEPTED, "ended": BEGAN + 0.1} | submitted
    return Case(Submission(order, BEGAN, **terms), "m1", ending, ran, faults)


def found(one: Case) -> list[str]:
    return [finding.what for finding in judge(one)]


def ended(state: JobState, reason: str = "", **more: Any) -> Ending:
    return replace(DONE, state=state, reason=reason, **({"kind": state.value, "retcode": None} | more))


def lost(reason: str) -> Ending:
    return ended(JobState.LOST, reason)


FAILING = replace(ORDER, kind=OrderKind.FAILING, code=3)
KILLED = Ran(1, BEGAN + 0.5, b"one\ntwo\n", b"", None)
CUT_SHORT = ended(JobState.FAILED, "killed", retcode=-9, stdout=b"one\n", stderr=b"", stdout_total_bytes=4)
THIS_JOB: dict[str, Any] = {"struck": frozenset({JID})}
OLD_COPY = fault(F.RESTORE_MASTER, MASTER, newest="20250101000000000000")
OPEN_IN_COPY = fault(F.RESTORE_MASTER, MASTER, newest="20990101000000000000", open_in_copy=frozenset({(JID, "m1")}))
NEWER_COPY = fault(F.RESTORE_MASTER, MASTER, newest="20990101000000000000")

ALLOWED = {
    "it ran and succeeded": case(DONE),
    "it failed as it was to": case(ended(JobState.FAILED, retcode=3), replace(RAN, code=3), order=FAILING),
    "its command was killed": case(CUT_SHORT, KILLED, fault(F.KILL_COMMAND, **THIS_JOB)),
    "a power cut killed its command": case(
        CUT_SHORT, KILLED, fault(F.RESTART_ALL, MASTER, struck=frozenset({EVERY_JOB}))
    ),
    "its supervisor was killed": case(
        lost("its supervisor was killed, so nobody saw how it ended"), RAN, fault(F.KILL_SUPERVISOR, **THIS_JOB)
    ),
    "its minion was killed while it started this": case(
        lost("stopped while it started this; it may or may not have run"), None, fault(F.KILL_MINION)
    ),
    "its journal was wiped": case(lost("the minion came back with a new journal"), RAN, fault(F.WIPE_JOURNAL)),
    "its key was removed": case(ended(JobState.ABANDONED), RAN, fault(F.DELETE_KEY)),
    "it expired while its minion was away": case(
        ended(JobState.EXPIRED, finished_us=1_002_500_000), None, fault(F.KILL_MINION)
    ),
    "it was cancelled in the middle": case(
        ended(JobState.CANCELLED, "cancelled", stdout=b"one\n", stderr=b"", retcode=-15), KILLED, is_cancelled=True
    ),
    "it was stopped after its limit": case(
        ended(JobState.TIMED_OUT, stdout=b"one\n", stderr=b""), KILLED, order=replace(ORDER, timeout_seconds=0.6)
    ),
    "the spool was full": case(ended(JobState.REFUSED, kind="spool_full"), None, fault(F.FULL_SPOOL)),
    "a full disk cut what was kept of its output": case(replace(DONE, stdout=b"one\n"), RAN, fault(F.FULL_SPOOL)),
    "the master declined it": case(None, None, asked=Asked.DECLINED, jid=""),
    "no answer came, and no job was made": case(None, None, asked=Asked.UNKNOWN, jid=""),
    "the restored master never heard of it": case(None, RAN, OLD_COPY),
    "the restored master asked, and its minion had forgotten it": case(
        lost("does not know this job"), RAN, OPEN_IN_COPY
    ),
    "both memories of its start are gone": case(
        DONE, Ran(2, BEGAN + 3, b"one\ntwo\none\ntwo\n"), OPEN_IN_COPY, fault(F.WIPE_JOURNAL)
    ),
    "it was stopped between its decision and its start": case(
        DONE, replace(RAN, began=BEGAN + 30), fault(F.STOP_MINION, seconds=29)
    ),
    "echo gave back its text": case(replace(DONE, value="s0-00001"), None, order=replace(ORDER, kind=OrderKind.ECHO)),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_was_promised_is_allowed(name: str) -> None:
    assert found(ALLOWED[name]) == []


FOUND = {
    "ran twice": case(DONE, replace(RAN, starts=2)),
    "forgotten": case(None, RAN, NEWER_COPY),
    "no end": case(ended(JobState.RUNNING)),
    "another end": case(DONE, told={"m1": JobState.LOST}),
    "never ran": case(DONE, None),
    "wrong result": case(replace(DONE, value="s0-00002"), None, order=replace(ORDER, kind=OrderKind.ECHO)),
    "wrong output": case(replace(DONE, stdout=b"two\none\n")),
    "output lost": case(
        replace(CUT_SHORT, stdout=b""), replace(KILLED, stdout=b"1\n2\n3\n"), fault(F.KILL_COMMAND, **THIS_JOB)
    ),
    "ran although refused": case(None, RAN, asked=Asked.DECLINED, jid=""),
    "ran although cancelled": case(ended(JobState.CANCELLED, "cancelled before it arrived"), RAN, is_cancelled=True),
    "ran although expired": case(ended(JobState.EXPIRED, finished_us=1_002_500_000), RAN),
    "expired too early": case(ended(JobState.EXPIRED, finished_us=1_000_500_000), None),
    "started too late": case(DONE, replace(RAN, began=BEGAN + 30), fault(F.STOP_MINION, began=BEGAN - 1, seconds=30)),
    "unexplained refusal": case(ended(JobState.REFUSED, kind="spool_full"), None),
    "unexplained cancel": case(ended(JobState.CANCELLED, "cancelled")),
    "unexplained time-out": case(ended(JobState.TIMED_OUT)),
    "unexplained failure": case(CUT_SHORT, KILLED, fault(F.KILL_COMMAND, struck=frozenset({"another"}))),
    "unexplained abandonment": case(ended(JobState.ABANDONED), RAN, fault(F.KILL_MINION)),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_not_promised_is_found(what: str) -> None:
    assert what in found(FOUND[what])


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("the minion was restarted and the process is gone", F.KILL_MINION),
        ("the minion does not know this job (any more)", F.KILL_MASTER),
        ("its supervisor was killed, so nobody saw how it ended", F.KILL_COMMAND),
        ("it may or may not have run", F.KILL_MINION),
        ("came back with a new journal", F.KILL_MINION),
        ("nothing is left of it", F.FULL_SPOOL),
        ("for some other reason", F.WIPE_STATE),
    ],
)
def test_a_loss_is_explained_by_nothing_but_what_may_cause_it(reason: str, kind: FaultKind) -> None:
    assert found(case(lost(reason), RAN, fault(kind, **THIS_JOB))) == ["unexplained loss"]


def test_a_fault_that_was_over_before_explains_nothing() -> None:
    before = fault(F.DELETE_KEY, began=BEGAN - 10)
    assert found(case(ended(JobState.ABANDONED), RAN, before)) == ["unexplained abandonment"]


def test_a_fault_that_came_after_its_end_explains_nothing() -> None:
    after = fault(F.DELETE_KEY, began=BEGAN + 10)
    assert found(case(ended(JobState.ABANDONED), RAN, after)) == ["unexplained abandonment"]
    assert found(case(ended(JobState.ABANDONED, finished_us=1_009_000_000), RAN, after)) == []
    assert found(case(ended(JobState.ABANDONED, finished_us=9_000_000_000), RAN, after)) == [], "the clock was set"


def test_two_jobs_of_one_request_are_found_and_one_is_taken_for_the_answer_that_did_not_come() -> None:
    submission = Submission(ORDER, BEGAN, BEGAN + 1)
    assert list(adopt_unanswered([submission], {ORDER.token: [JID]}, [])) == []
    assert submission.jid == JID
    (finding,) = adopt_unanswered([submission], {ORDER.token: [JID, "another"]}, [])
    assert finding.what == "two jobs of one request"
    assert list(adopt_unanswered([submission], {ORDER.token: [JID, "another"]}, [OLD_COPY])) == []


def test_a_job_that_ran_where_the_master_knows_nothing_of_it_is_a_case() -> None:
    submission = Submission(ORDER, BEGAN, BEGAN + 1, JID, Asked.ACCEPTED)
    outside = {"m1": {ORDER.token: RAN}, "m2": {ORDER.token: RAN}}
    both = list(cases([submission], {JID: {"m1": DONE}}, outside, [], []))
    assert [(one.minion, found(one)) for one in both] == [("m1", []), ("m2", ["forgotten"])]
    (nowhere,) = cases([submission], {}, {"m1": {}}, [], [])
    assert found(nowhere) == ["forgotten"]
