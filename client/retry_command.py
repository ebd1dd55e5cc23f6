"""``fleet retry``: run a job again, as it was asked for, on those of its minions that the options name. Nothing is run again by itself."""

from collections import Counter

from ..core.errors import NoMatchError, UsageError
from ..core.job_states import TERMINAL, JobState
from ..core.names import MinionId
from .calls import retry_request
from .invocation import Invocation
from .job_text import counts_text
from .results import JobRecord
from .run_command import read_terms, submit
from .shown import read_shown
from .verb_options import (
    ALL_AGAIN,
    FAILED_AGAIN,
    LOST_AGAIN,
    MINION,
    NO_STDIN,
    REFUSED_AGAIN,
    SILENT_AGAIN,
    STDIN,
    STDIN_TEXT,
)

#: What became of it there: ``lost`` may have run to any point, so that it is never meant by another word.
_CHOICES = (
    (FAILED_AGAIN, frozenset({JobState.FAILED, JobState.TIMED_OUT, JobState.CANCELLED})),
    (SILENT_AGAIN, frozenset({JobState.EXPIRED, JobState.ABANDONED})),
    (REFUSED_AGAIN, frozenset({JobState.REFUSED})),
    (LOST_AGAIN, frozenset({JobState.LOST})),
    (ALL_AGAIN, TERMINAL),
)


def retry(call: Invocation) -> int:
    """Run a job again on some of its minions; the word is its jid. The exit code is that of a run."""
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which job?", "fleet retry JID --failed, or: fleet retry last --failed")
    states: frozenset[JobState] = frozenset().union(
        *(chosen for option, chosen in _CHOICES if call.options.flag(option.name))
    )
    if not states:
        names = ", ".join(option.name for option, _ in _CHOICES)
        raise UsageError("on which of its minions? nothing is run again by itself", f"say one or more of {names}")
    shown = read_shown(call)
    record = call.client().job(words[0], has_output=False)
    _check_stdin(call, record)
    minions = _choose(call, record, states)
    terms = read_terms(call, record.summary.target, record.summary.target_kind)
    return submit(call, retry_request(terms, record.summary, minions), terms.stdin, shown)


def _check_stdin(call: Invocation, record: JobRecord) -> None:
    """See that a job that read something is told what to read now: what it read then was let go of at its end."""
    said = any(call.options.flag(option.name) for option in (STDIN, STDIN_TEXT, NO_STDIN))
    if record.summary.stdin_bytes and not said:
        raise UsageError(
            f"job {record.summary.jid} had a stdin of {record.summary.stdin_bytes:,} bytes, which is not kept",
            "give it again: --stdin FILE, or say --no-stdin",
        )


def _choose(call: Invocation, record: JobRecord, states: frozenset[JobState]) -> tuple[MinionId, ...]:
    """Choose the minions on which it ended so; one on which it has not ended is left out, for there it may still run.

    Raises:
        NotFoundError: a minion that is named is no target of the job.
        NoMatchError: there is none.
    """
    results = record.narrowed(call.options.texts(MINION.name)).results
    chosen = [minion for minion, result in results.items() if result.state in states]
    still_open = [minion for minion, result in results.items() if not result.has_ended]
    jid = record.summary.jid
    left_out = ""
    if still_open:
        have, are = ("has", "is") if len(still_open) == 1 else ("have", "are")
        stop = f"fleet jobs cancel {jid[-6:]} stops what still runs"
        left_out = f"{len(still_open):,} {have} not ended and {are} left out ({stop})"
    if not chosen:
        counts = counts_text(Counter(result.state.value for result in results.values()))
        raise NoMatchError(
            f"no minion of job {jid} ended so; {counts}", left_out or f"fleet jobs show {jid} tells more"
        )
    counts = counts_text(Counter(results[minion].state.value for minion in chosen))
    text = f"again on {len(chosen):,} of {len(record.results):,} minions of job {jid}: {counts}"
    call.report.say(f"{text}; {left_out}" if left_out else text)
    return tuple(chosen)
