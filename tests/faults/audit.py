"""Whether the end of a job is one that its history allows: pure. What was promised is in ``docs/reliability.md``, by number."""

from collections.abc import Iterator
from dataclasses import dataclass

from faults.history import CLOCK_RATE, Asked, Case, Ending, Finding, Ran
from faults.orders import PROGRAMS, OrderKind
from faults.plan import FaultKind as F
from fleet.core.job_states import TERMINAL, JobState

#: From the decision to start a job to the first line of its program: a journal, a fork server, a supervisor, a shell; on a busy machine.
START_SLACK_SECONDS = 4.0
_EXPIRY_SLACK_US = 1_000_000
_WIPES = (F.WIPE_JOURNAL, F.WIPE_STATE)


@dataclass(frozen=True, slots=True)
class _Loss:
    """One way to be lost.

    Attributes:
        part: of the reason.
        kinds: the faults that explain it.
        is_struck: they must have struck the processes of this very job.
        is_unstarted: it says that nothing was run, or that nobody knows: its program must not have been started. One that was has a
            supervisor, and is found again.
    """

    part: str
    kinds: tuple[F, ...]
    is_struck: bool = False
    is_unstarted: bool = False

    def explains(self, case: Case, reason: str) -> bool:
        is_possible = case.ran is None or not self.is_unstarted
        return self.part in reason and is_possible and bool(case.by(*self.kinds, struck=self.is_struck))


_LOSSES = (
    _Loss("its supervisor was killed, so nobody saw", (F.KILL_SUPERVISOR, F.RESTART_ALL), is_struck=True),
    _Loss(
        "its supervisor was gone before it ran anything", (F.KILL_SUPERVISOR, F.RESTART_ALL), True, is_unstarted=True
    ),
    _Loss("the minion was restarted and the process is gone", (F.KILL_SUPERVISOR, F.RESTART_ALL), is_struck=True),
    _Loss("it may or may not have run", (F.KILL_SUPERVISOR, F.RESTART_ALL), is_struck=True),
    _Loss("it may or may not have run", (F.KILL_MINION, F.CLOCK_MINION, F.RESTART_ALL), is_unstarted=True),
    _Loss("came back with a new journal", _WIPES),
    _Loss("nothing is left of it", (F.WIPE_STATE,)),
    _Loss("its folder cannot be made: no space", (F.FULL_SPOOL,), is_unstarted=True),
    _Loss("it was not started: ", (F.FULL_SPOOL,), is_unstarted=True),
)
#: A job that was cancelled with such a reason has never run.
_NEVER_RAN = ("before it arrived", "before it was handed over", "while it waited", "before it was started")


def judge(case: Case) -> Iterator[Finding]:
    """Find what is wrong with one job on one minion."""
    for what, text in _judge(case):
        submission = case.submission
        seen = f"{text} [{_seen(case)}]"
        yield Finding(what, seen, submission.order.token, submission.jid, case.minion)


def _judge(case: Case) -> Iterator[tuple[str, str]]:
    ran, ending, submission = case.ran, case.ending, case.submission
    if ran is not None and ran.starts > 1 and not (case.is_restored and case.by(*_WIPES)):
        yield "ran twice", f"its program was started {ran.starts} times"
    if submission.asked is Asked.DECLINED:
        if ran is not None or ending is not None:
            yield "ran although refused", f"the master had declined it: {submission.answer}"
        return
    if ending is None:
        if submission.asked is Asked.ACCEPTED and not case.is_restored:
            yield "forgotten", "the master had given it a jid and does not know it"
        return
    if ending.state not in TERMINAL:
        yield "no end", f"it is {ending.state} for ever"
        return
    told = submission.told.get(case.minion)
    if told is not None and told is not ending.state and not case.is_restored:
        yield "another end", f"whoever watched it was told {told}"
    if ran is not None:
        yield from _check_start(case, ran)
    yield from _check_state(case, ending, ran)


def _check_start(case: Case, ran: Ran) -> Iterator[tuple[str, str]]:
    """A job is not started when its time to live has passed, whatever held it up."""
    ttl_seconds = case.submission.order.ttl_seconds
    latest = case.submission.ended + ttl_seconds * (1 + CLOCK_RATE) + START_SLACK_SECONDS
    if not ttl_seconds or ran.starts != 1 or ran.began <= latest or case.is_restored:
        return
    if any(case.submission.began <= step <= ran.began for step in case.clock_steps):
        return
    # Stopped between the decision and the start: then the start is late, and was right when it was decided.
    stopped = [fault for fault in case.by(F.STOP_MINION) if case.submission.ended <= fault.began <= ran.began]
    if stopped or case.by(F.STOP_SUPERVISOR, F.KILL_FORK_SERVER, struck=False):
        return
    late = ran.began - case.submission.ended - ttl_seconds
    yield "started too late", f"{late:.1f} s after its time to live of {ttl_seconds:g} s had passed"


def _check_state(case: Case, ending: Ending, ran: Ran | None) -> Iterator[tuple[str, str]]:
    starts = ran.starts if ran else 0
    if starts > 1:
        return  # Judged above; what both starts wrote is compared with nothing.
    match ending.state:
        case JobState.SUCCEEDED:
            yield from _check_result(case, ending, ran)
        case JobState.FAILED:
            yield from _check_failure(case, ending, ran)
        case JobState.REFUSED:
            if starts:
                yield "ran although refused", ending.reason
            if ending.kind != "spool_full" or not case.by(F.FULL_SPOOL):
                yield "unexplained refusal", f"{ending.kind}: {ending.reason}"
        case JobState.CANCELLED:
            if not case.submission.is_cancelled:
                yield "unexplained cancel", "nobody asked for it"
            if starts and any(words in ending.reason for words in _NEVER_RAN) and not case.is_restored:
                yield "ran although cancelled", ending.reason
            yield from _check_part(case, ending, ran)
        case JobState.TIMED_OUT:
            if not case.submission.order.timeout_seconds:
                yield "unexplained time-out", "it has no limit"
            yield from _check_part(case, ending, ran)
        case JobState.LOST:
            if not case.is_restored and not _is_explained_loss(case, ending.reason):
                yield "unexplained loss", ending.reason
        case JobState.EXPIRED:
            yield from _check_expiry(case, ending, starts)
        case JobState.ABANDONED:
            if not case.by(F.DELETE_KEY, F.WIPE_STATE):
                yield "unexplained abandonment", "its minion's key was not removed"


def _is_explained_loss(case: Case, reason: str) -> bool:
    return any(loss.explains(case, reason.lower()) for loss in _LOSSES)


def _check_expiry(case: Case, ending: Ending, starts: int) -> Iterator[tuple[str, str]]:
    if case.is_restored:
        return
    if starts:
        yield "ran although expired", ending.reason
    early_us = ending.expires_us - (ending.finished_us or 0)
    if early_us > _EXPIRY_SLACK_US and not any(case.submission.began <= step for step in case.clock_steps):
        yield "expired too early", f"by {early_us / 1_000_000:.1f} s"


def _check_result(case: Case, ending: Ending, ran: Ran | None) -> Iterator[tuple[str, str]]:
    order = case.submission.order
    if order.kind not in PROGRAMS:
        expected: object = order.token if order.kind is OrderKind.ECHO else True
        if ending.value != expected:
            yield "wrong result", f"the value is {ending.value!r} and not {expected!r}"
        return
    if ran is None:
        yield "never ran", "it is said to have succeeded"
        return
    if ran.code != order.code or ending.retcode != order.code:
        yield (
            "wrong result",
            f"exit code {ending.retcode}; its program ended with {ran.code}, and was to end with {order.code}",
        )
    yield from _check_whole(case, ending, ran)


def _check_failure(case: Case, ending: Ending, ran: Ran | None) -> Iterator[tuple[str, str]]:
    order = case.submission.order
    if ran is not None and order.code and ending.retcode == order.code == ran.code:
        yield from _check_whole(case, ending, ran)
        return
    if case.by(F.KILL_COMMAND, F.RESTART_ALL, struck=True):
        yield from _check_part(case, ending, ran)
        return
    is_unstarted = ran is None and "it was not started" in ending.reason
    if is_unstarted and case.by(F.KILL_FORK_SERVER, F.FULL_SPOOL, F.RESTART_ALL, F.KILL_MINION):
        return
    if "could not be kept" in ending.reason and case.by(F.FULL_SPOOL):
        return
    yield "unexplained failure", f"{ending.kind}, exit code {ending.retcode}: {ending.reason}"


def _check_whole(case: Case, ending: Ending, ran: Ran) -> Iterator[tuple[str, str]]:
    """What was returned is what was printed, to the byte; on a full disk its beginning, with its whole length."""
    for name, kept, total, printed in _streams(ending, ran):
        if kept == printed and total == len(printed):
            continue
        if case.by(F.FULL_SPOOL) and printed.startswith(kept) and total == len(printed):
            continue
        yield "wrong output", f"{len(kept)} of {total} bytes of {name}, and its program printed {len(printed)}"


def _check_part(case: Case, ending: Ending, ran: Ran | None) -> Iterator[tuple[str, str]]:
    """Of a program that was stopped in the middle, all is kept that it had printed: all that it wrote down, or a line less."""
    order = case.submission.order
    if order.kind not in PROGRAMS:
        return
    for name, kept, _, printed in _streams(ending, ran or Ran(0, 0.0)):
        if not printed.startswith(kept):
            yield (
                "wrong output",
                f"{name} is no beginning of what its program printed: {kept[-80:]!r}, {printed[-80:]!r}",
            )
        elif order.kind is not OrderKind.LARGE and printed[len(kept) :].count(b"\n") > 1 and not case.by(F.FULL_SPOOL):
            yield "output lost", f"{name} lacks {printed[len(kept) :]!r}"


def _streams(ending: Ending, ran: Ran) -> Iterator[tuple[str, bytes, int, bytes]]:
    yield "stdout", ending.stdout, ending.stdout_total_bytes, ran.stdout
    yield "stderr", ending.stderr, ending.stderr_total_bytes, ran.stderr


def _seen(case: Case) -> str:
    ending, ran, order = case.ending, case.ran, case.submission.order
    parts = [
        order.kind,
        f"{ending.state} ({ending.reason})" if ending else "unknown to the master",
        f"{ran.starts} starts, exit code {ran.code}" if ran else "never ran",
        f"submitted {case.submission.began:.2f}",
    ]
    since = case.submission.began
    struck = [fault for fault in case.faults if since - 5 <= fault.ended and fault.began <= since + 60]
    parts += [f"{fault.kind} {fault.began - since:+.1f}…{fault.ended - since:+.1f} s" for fault in struck]
    return "; ".join(parts)
