"""``fleet jobs delete``, ``fleet jobs purge`` and ``fleet … --rm``: jobs and their results are removed, here and on the minions."""

import sys

from ..core.errors import FleetError, StateError, StoreFullError, UsageError
from ..core.names import Jid
from ..core.node_names import fold_names
from .deletion import Deletion
from .exit_codes import OK, REQUEST_FAILED, SOME_SILENT
from .invocation import Invocation
from .output import print_document
from .question import ask
from .verb_options import ALL_JOBS, FORCE, KEEP, KEEP_BYTES, LIST_FORMS, OLDER_THAN, TIMEOUT, YES

#: A minion sends TERM, and KILL some seconds later; who has not confirmed by then is asked again without us.
_WAIT_SECONDS = 30.0


def delete_jobs(call: Invocation) -> int:
    """Delete the jobs that are named, or all; all or none.

    Raises:
        UsageError: none are named, or names and ``--all`` together.
    """
    words = call.words + call.literals
    is_all, is_forced = call.options.flag(ALL_JOBS.name), call.options.flag(FORCE.name)
    if bool(words) == is_all:
        raise UsageError(
            "names and --all contradict each other" if words else "name jobs, or say --all",
            "fleet jobs delete JID…, or: fleet jobs delete --all",
        )
    what = "every job, also those that run" if is_forced else "every job that has ended"
    if is_all and not _is_wanted(call, f"Delete {what}, with all results?"):
        return REQUEST_FAILED
    seconds = call.options.seconds(TIMEOUT.name)
    wait_seconds = _WAIT_SECONDS if seconds is None else seconds
    client = call.client()
    if is_all:
        return _tell(call, client.delete_all_jobs(is_forced=is_forced, timeout_seconds=wait_seconds))
    return _tell(call, client.delete_jobs(*words, is_forced=is_forced, timeout_seconds=wait_seconds))


def purge_jobs(call: Invocation) -> int:
    """Remove the oldest jobs until the limits that are given are kept.

    Raises:
        UsageError: no limit is given.
    """
    age_seconds = call.options.seconds(OLDER_THAN.name) or 0.0
    count, size_bytes = call.options.count(KEEP.name, 0), call.options.size_bytes(KEEP_BYTES.name)
    if not (age_seconds or count or size_bytes):
        raise UsageError("which jobs? a limit above 0 is missing", "--older-than 30d, --keep 10000 or --keep-bytes 2G")
    form = call.form(LIST_FORMS, "text")
    limits = [f"older than {call.options.text(OLDER_THAN.name)}"] if age_seconds else []
    limits += [f"beyond the newest {count:,}"] if count else []
    limits += [f"beyond {call.options.text(KEEP_BYTES.name)}"] if size_bytes else []
    if not _is_wanted(call, f"Remove the jobs that have ended and are {' or '.join(limits)}, with all results?"):
        return REQUEST_FAILED
    purged = call.client().purge_jobs(age_seconds=age_seconds, count=count, size_bytes=size_bytes)
    if form == "text":
        sys.stdout.write(f"{_jobs(purged.jobs)} removed, {purged.freed_bytes:,} bytes freed\n")
    else:
        figures = {"jobs": purged.jobs, "freed_bytes": purged.freed_bytes, "kept_open": purged.kept_open}
        print_document(figures, form)
    if purged.kept_open:
        has = "has" if purged.kept_open == 1 else "have"
        call.report.say(
            f"{_jobs(purged.kept_open)} beyond the limits kept, which {has} not ended: fleet jobs list --state running"
        )
    return OK


def remove_job(call: Invocation, jid: Jid) -> None:
    """Delete a job whose results have just been printed; one that has not ended everywhere is kept, and said to be."""
    try:
        call.client().delete_jobs(jid, timeout_seconds=_WAIT_SECONDS)
    except FleetError as problem:
        if isinstance(problem, StateError) and not isinstance(problem, StoreFullError):
            end = jid[-6:]
            call.report.say(f"job {jid} is kept, it has not ended everywhere; later: fleet jobs delete {end} --force")
        else:
            call.report.warn(f"job {jid} is kept: {problem.message}")


def _is_wanted(call: Invocation, question: str) -> bool:
    if call.options.flag(YES.name) or ask(question, is_yes=False):
        return True
    call.report.say("Nothing was changed.")
    return False


def _jobs(count: int) -> str:
    return f"{count:,} job{'s' if count != 1 else ''}"


def _tell(call: Invocation, deletion: Deletion) -> int:
    sys.stdout.write(f"{deletion.jid}: deleted\n" if deletion.jid else f"{_jobs(deletion.jobs)} deleted\n")
    if deletion.owing:
        call.report.say(f"{fold_names(deletion.owing)}: away; what is left of it there goes when it comes back")
    if deletion.unconfirmed:
        call.report.say(
            f"{fold_names(deletion.unconfirmed)}: asked to forget it, has not confirmed it; it is asked again"
        )
        return SOME_SILENT
    return OK
