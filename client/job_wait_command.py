"""``fleet jobs wait``: until a job has ended everywhere; the exit code is that of a run."""

import sys

from ..core.errors import UsageError
from ..core.job_states import JobState
from ..core.names import Jid
from .documents import job_document
from .exit_codes import INTERRUPTED, exit_code_of
from .invocation import Invocation
from .job_text import counts_text, how_to_go_on
from .output import print_document
from .verb_options import LIST_FORMS, TIMEOUT


def wait_for_job(call: Invocation) -> int:
    """Wait for a job, and print how many targets ended in which state.

    Raises:
        UsageError: no job is named.
    """
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which job?", "fleet jobs wait JID, or: fleet jobs wait last")
    form = call.form(LIST_FORMS, "text")
    found: list[Jid] = []
    try:
        summary = call.client().wait(words[0], call.options.seconds(TIMEOUT.name), found.append)
    except KeyboardInterrupt:
        if not found:
            raise
        if sys.stderr.isatty():
            # The terminal has shown ^C, and the cursor stands behind it.
            print(file=sys.stderr)
        call.report.say(f"interrupted; {how_to_go_on(found[0], 'wait')}")
        return INTERRUPTED
    if form == "text":
        sys.stdout.write(f"{summary.jid}  {summary.state}  {counts_text(summary.counts)}\n")
    else:
        print_document(job_document(summary), form)
    if summary.finished_us is None:
        call.report.say(f"the time is up; {how_to_go_on(summary.jid, 'wait')}")
    return exit_code_of(JobState(state) for state, count in summary.counts.items() if count)
