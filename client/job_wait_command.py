"""``fleet jobs wait``: until a job has ended everywhere; the exit code is that of a run."""

import sys

from ..core.errors import UsageError
from ..core.job_states import JobState
from .documents import job_document
from .exit_codes import exit_code_of
from .invocation import Invocation
from .job_text import counts_text
from .output import print_document
from .verbs import LIST_FORMS, TIMEOUT


def wait_for_job(call: Invocation) -> int:
    """Wait for a job, and print how many targets ended in which state.

    Raises:
        UsageError: no job is named.
    """
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which job?", "fleet jobs wait JID, or: fleet jobs wait last")
    form = call.form(LIST_FORMS, "text")
    summary = call.client().wait(words[0], call.options.seconds(TIMEOUT.name))
    if form == "text":
        sys.stdout.write(f"{summary.jid}  {summary.state}  {counts_text(summary.counts)}\n")
    else:
        print_document(job_document(summary), form)
    if summary.finished_us is None:
        end = summary.jid[-6:]
        call.report.say(f"the time is up, the job goes on: fleet jobs wait {end} · stop it: fleet jobs cancel {end}")
    return exit_code_of(JobState(state) for state, count in summary.counts.items() if count)
