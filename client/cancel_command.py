"""``fleet jobs cancel``: ask for a job to be stopped, and wait until the minions say that it is."""

from collections.abc import Mapping, Sequence

from ..core.control_answers import JobCancelled
from ..core.errors import ArgumentError, NotFoundError, UsageError
from ..core.job_states import JobState
from ..core.names import MinionId
from .exit_codes import CANCEL_USAGE, NOT_STOPPED, OK, UNKNOWN_JOB
from .invocation import Invocation
from .results import MinionResult
from .verb_options import MINION, TIMEOUT

#: A minion sends TERM, and KILL some seconds later; who has not said "cancelled" by then is not there.
_WAIT_SECONDS = 30.0


def cancel_job(call: Invocation) -> int:
    """Cancel a job; exit codes of their own: 0 stopped, 1 something did not stop, 2 no such job or target, 64 usage."""
    words = call.words + call.literals
    try:
        if len(words) != 1:
            raise UsageError("which job?", "fleet jobs cancel JID, or: fleet jobs cancel last")
        cancelled = call.client().cancel(words[0], call.options.texts(MINION.name))
    except (UsageError, ArgumentError) as problem:
        call.report.error(problem)
        return CANCEL_USAGE
    except NotFoundError as problem:
        call.report.error(problem)
        return UNKNOWN_JOB
    return _wait_for_the_end(call, cancelled)


def _wait_for_the_end(call: Invocation, cancelled: JobCancelled) -> int:
    """Wait for those that were asked, and say what became of each."""
    for minion in cancelled.ended:
        call.report.say(f"{minion}: had ended before")
    _print_stopped(cancelled.stopped)
    if not cancelled.asked:
        if not cancelled.stopped:
            is_all = not call.options.flag(MINION.name)
            call.report.say(
                f"job {cancelled.jid} has ended, there is nothing to stop" if is_all else "nothing to stop there"
            )
        return OK if cancelled.stopped else NOT_STOPPED
    seconds = call.options.seconds(TIMEOUT.name)
    with call.client().follow(cancelled.jid, _WAIT_SECONDS if seconds is None else seconds) as stream:
        while not stream.is_over and not set(cancelled.asked).isdisjoint(stream.open_minions):
            stream.next_result(1.0)
        # The other targets of the job do not matter; only for those that were asked the master is asked once more.
        is_settled = set(cancelled.asked).isdisjoint(stream.open_minions)
        results = stream.results if is_settled else stream.finish()
    return _report_end(call, cancelled.asked, results)


def _report_end(call: Invocation, asked: Sequence[MinionId], results: Mapping[MinionId, MinionResult]) -> int:
    code = OK
    for minion in asked:
        result = results.get(minion)
        if result is None or not result.has_ended:
            reason = f": {result.reason}" if result is not None and result.reason else ""
            call.report.say(f"{minion}: asked to stop, has not confirmed it{reason}")
            code = NOT_STOPPED
        elif result.state is JobState.CANCELLED:
            _print_stopped([minion])
        else:
            call.report.say(f"{minion}: ended by itself, {result.state.value}")
    return code


def _print_stopped(minions: Sequence[MinionId]) -> None:
    for minion in minions:
        print(f"{minion}: stopped")
