"""The exit codes of ``fleet``: scripts rely on them."""

from collections.abc import Iterable

from ..core.job_states import JobState, Result, result_of

OK = 0
REQUEST_FAILED = 1
USAGE = 2
NO_MATCH = 3
NOT_PERMITTED = 4
SOME_FAILED = 11
SOME_SILENT = 12
SOME_REFUSED = 13
INTERRUPTED = 130
#: 128 + SIGPIPE, what the shell shows for a program that the signal ended: whoever read our output went away.
BROKEN_PIPE = 141

#: ``fleet jobs cancel`` has its own.
NOT_STOPPED = 1
#: Or no such target of it.
UNKNOWN_JOB = 2
CANCEL_USAGE = 64

#: What ``fleet help exit-codes`` prints.
EXIT_CODES = """\
Exit codes of fleet:
    0   every target succeeded
    1   the request failed: no master, or it could not do what was asked
    2   usage: the words or options do not fit
    3   no minion matched the target
    4   not permitted
   11   one target failed, timed out, was lost or cancelled
   12   none failed, but one is queued, sent, acked or running (-t ended the wait),
        expired or abandoned, or a listed id belongs to no minion;
        of fleet ping: a reply is missing; of fleet jobs delete: all is deleted here,
        and a minion has not confirmed it yet
   13   one was refused, none failed or silent
  130   interrupted with Ctrl-C; the job goes on
  141   whoever read the output went away

fleet jobs cancel:
    0   stopped
    1   something did not stop
    2   no such job, or no such target of it
   64   usage

fleet-key; where nothing fits it has 1, not 3:
    0   done, or it was so before
    1   nothing was changed: nothing fitted, it could not be done, or somebody said no
    2   usage
    4   not permitted
"""


def exit_code_of(states: Iterable[JobState], *, has_unknown: bool = False) -> int:
    """Derive the exit code from the states of all targets.

    Args:
        states: one for each target.
        has_unknown: the target names an id that no minion has; that is never a success either.
    """
    found = set(states)
    if any(result_of(state) is Result.FAILURE for state in found):
        return SOME_FAILED
    if has_unknown or found - {JobState.SUCCEEDED, JobState.REFUSED}:
        return SOME_SILENT
    return SOME_REFUSED if JobState.REFUSED in found else OK
