"""``fleet jobs list``: the newest jobs, and those that fit what is asked for."""

import sys
import time

from ..core.control_requests import ListJobs
from ..core.errors import ArgumentError, NoMatchError
from ..core.names import check_minion_id
from ..core.visible import columns, cut_to_columns, visible_line
from .client import Client
from .documents import job_document
from .invocation import Invocation
from .job_text import arguments_text, counts_text
from .moments import moment_here, read_moment
from .output import print_document
from .table import table
from .verb_options import BEFORE, FUNCTION, JOB_STATE, LIMIT, LIST_FORMS, OF_MINION, SINCE, TARGET, UNTIL, USER

_DEFAULT_LIMIT = 20
_ARGUMENTS_LIMIT_COLUMNS = 60
_HEADINGS = ("JID", "CREATED", "USER", "STATE", "TARGETS", "TARGET", "FUNCTION")


def list_jobs(call: Invocation) -> int:
    """Print jobs, the newest first, and how many fit in all."""
    form = call.form(LIST_FORMS, "text")
    client = call.client()
    page = client.list_jobs(_query(call))
    minion = call.options.text(OF_MINION.name)
    if minion and not page.total and not _is_known(client, minion):
        call.report.warn(f"no job was for {minion}, and no accepted key has this id")
    if form != "text":
        jobs = [job_document(summary) for summary in page.jobs]
        print_document({"jobs": jobs, "shown": len(jobs), "total": page.total}, form)
        return 0
    rows = [
        (
            summary.jid,
            moment_here(summary.created_us),
            summary.user,
            summary.state,
            counts_text(summary.counts),
            summary.target,
            _fitting(f"{summary.function} {arguments_text(summary)}".strip(), is_cut=call.is_terminal),
        )
        for summary in page.jobs
    ]
    sys.stdout.write(table(_HEADINGS, rows, page.total))
    if rows and page.total > len(rows):
        call.report.detail(f"older ones: --before {page.jobs[-1].jid}, or --limit 0 for all")
    return 0


def _query(call: Invocation) -> ListJobs:
    options = call.options
    now_us = time.time_ns() // 1000
    since, until = options.text(SINCE.name), options.text(UNTIL.name)
    return ListJobs(
        limit=options.count(LIMIT.name, _DEFAULT_LIMIT),
        before=options.text(BEFORE.name),
        user=options.text(USER.name),
        function=options.text(FUNCTION.name),
        target=options.text(TARGET.name),
        minion=options.text(OF_MINION.name),
        state=",".join(options.names(JOB_STATE.name)),
        since_us=read_moment(since, now_us) if since else 0,
        until_us=read_moment(until, now_us) if until else 0,
    )


def _is_known(client: Client, minion: str) -> bool:
    try:
        return bool(client.preview(check_minion_id(minion), "list").minions)
    except (ArgumentError, NoMatchError):
        return False


def _fitting(text: str, *, is_cut: bool) -> str:
    """Cut what would not fit on a terminal's line; a program that reads it gets all of it."""
    text = visible_line(text)
    if not is_cut or columns(text) <= _ARGUMENTS_LIMIT_COLUMNS:
        return text
    return cut_to_columns(text, _ARGUMENTS_LIMIT_COLUMNS - 1) + "…"
