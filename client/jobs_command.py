"""``fleet jobs list`` and ``fleet jobs show``: what is in the job cache."""

import sys
import time
from collections.abc import Mapping

from ..core.control import JobSummary
from ..core.errors import NotFoundError, UsageError
from ..core.names import MinionId, check_minion_id
from ..core.nested import nested_lines, text_lines
from ..core.values import Value
from ..core.visible import columns, cut_to_columns, visible_line
from .blocks import cut_marks
from .destination import Destination
from .documents import job_document, portable, record_document, result_record, run_summary
from .invocation import Invocation
from .moments import moment_here, moments_here, span
from .output import json_line, print_document
from .printers import print_results, printer_for
from .results import JobRecord, MinionResult, RunResult
from .shown import Shown, read_shown
from .table import facts, table
from .verbs import BEFORE, LIMIT, LIST_FORMS, MINION, RUN_FORMS

_DEFAULT_LIMIT = 20
_ARGUMENTS_LIMIT_COLUMNS = 60


def list_jobs(call: Invocation) -> int:
    """Print the newest jobs."""
    form = call.form(LIST_FORMS, "text")
    page = call.client().jobs(call.options.count(LIMIT.name, _DEFAULT_LIMIT), call.options.text(BEFORE.name))
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
            _counts(summary.counts),
            summary.target,
            _fitting(f"{summary.function} {arguments_text(summary)}".strip(), is_cut=call.is_terminal),
        )
        for summary in page.jobs
    ]
    headings = ("JID", "CREATED", "USER", "STATE", "TARGETS", "TARGET", "FUNCTION")
    sys.stdout.write(table(headings, rows, page.total))
    return 0


def show_job(call: Invocation) -> int:
    """Print one job with its results, or with ``--minion`` everything about one of them."""
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which job?", "fleet jobs show JID, or: fleet jobs show last")
    shown = read_shown(call, ("text", *RUN_FORMS), "text")
    with Destination(shown) as destination:
        record = _narrowed(call.client().job(words[0]), call.options.texts(MINION.name))
        with destination.of_job(record.summary.jid):
            if destination.folder is None:
                _show(call, record, shown)
            else:
                printer_for(shown, call.report, destination.folder).finished(_as_run(record))
            destination.complete(call.report)
    return 0


def _show(call: Invocation, record: JobRecord, shown: Shown) -> None:
    """Print one job in a form."""
    results = {minion: result for minion, result in record.results.items() if shown.only.shows(result)}
    match shown.form:
        case "text" if call.options.flag(MINION.name):
            for result in results.values():
                _print_one(record.summary, result)
        case "text":
            _print_record(JobRecord(record.summary, results), len(record.results))
        case "json" | "yaml":
            print_document(record_document(JobRecord(record.summary, results)), shown.form)
        case "jsonl":
            sys.stdout.writelines(json_line(result_record(result)) for result in results.values())
            sys.stdout.write(json_line(run_summary(_as_run(record))))
        case "fold":
            printer_for(shown, call.report).finished(_as_run(record))
        case _:
            print_results(results.values(), shown.form)


def arguments_text(summary: JobSummary) -> str:
    """Write a job's arguments as they would be typed."""
    from shlex import quote

    words = [quote(word) for word in summary.words]
    words += [quote(_value_text(value)) for value in summary.values]
    words += [quote(f"{name}={_value_text(value)}") for name, value in summary.options.items()]
    return " ".join(words + (["--", *(quote(word) for word in summary.literals)] if summary.literals else []))


def _value_text(value: Value) -> str:
    return value if isinstance(value, str) else json_line(portable(value)).rstrip("\n")


def _narrowed(record: JobRecord, minions: tuple[str, ...]) -> JobRecord:
    """Keep only these minions; all when there are none.

    Raises:
        NotFoundError: one is no target of the job.
    """
    if not minions:
        return record
    chosen: dict[MinionId, MinionResult] = {}
    for name in minions:
        minion = check_minion_id(name)
        if minion not in record.results:
            raise NotFoundError(
                f"{minion} is no target of job {record.summary.jid}", f"fleet jobs show {record.summary.jid} lists them"
            )
        chosen[minion] = record.results[minion]
    return JobRecord(record.summary, chosen)


def _as_run(record: JobRecord) -> RunResult:
    end_us = record.summary.finished_us or time.time_ns() // 1000
    duration_seconds = max(end_us - record.summary.created_us, 0) / 1e6
    return RunResult(record.summary.jid, record.summary.function, record.results, duration_seconds=duration_seconds)


def _counts(counts: Mapping[str, int]) -> str:
    return " ".join(f"{count} {state}" for state, count in sorted(counts.items()) if count) or "0"


def _fitting(text: str, *, is_cut: bool) -> str:
    """Cut what would not fit on a terminal's line; a program that reads it gets all of it."""
    text = visible_line(text)
    if not is_cut or columns(text) <= _ARGUMENTS_LIMIT_COLUMNS:
        return text
    return cut_to_columns(text, _ARGUMENTS_LIMIT_COLUMNS - 1) + "…"


def _job_facts(summary: JobSummary) -> list[tuple[str, str]]:
    return [
        ("JID", summary.jid),
        ("FUNCTION", f"{summary.function} {arguments_text(summary)}".strip()),
        ("TARGET", f"{summary.target} ({summary.target_kind})"),
        ("USER", summary.user),
        ("STATE", f"{summary.state}: {_counts(summary.counts)}"),
        ("CREATED", moment_here(summary.created_us)),
        ("EXPIRES", f"{moment_here(summary.expires_us)}, where it was not handed over until then"),
        ("FINISHED", moment_here(summary.finished_us)),
        ("JOB-TIMEOUT", span(summary.timeout_seconds) if summary.timeout_seconds else "none"),
        ("SIGNED-BY", summary.signed_by or "-"),
    ]


def _print_record(record: JobRecord, total: int) -> None:
    """Print the job, a row for each target that is shown, of ``total``, and then what each had to say."""
    rows = [
        (
            result.minion,
            result.address or "-",
            result.state.value,
            result.result.value,
            "-" if result.retcode is None else str(result.retcode),
            "-" if result.duration_us is None else span(result.duration_us / 1e6),
            _detail(result),
        )
        for result in record.results.values()
    ]
    sys.stdout.write(facts(_job_facts(record.summary)) + "\n")
    sys.stdout.write(table(("MINION", "ADDRESS", "STATUS", "RESULT", "EXIT", "TIME", "DETAIL"), rows, total))
    if any(result.has_value or result.stdout or result.stderr for result in record.results.values()):
        sys.stdout.write("\n")
        print_results(record.results.values(), "nested")


def _detail(result: MinionResult) -> str:
    reason = moments_here(result.reason)
    if result.pid is not None and not result.has_ended:
        return f"pid {result.pid}{f'; {reason}' if reason else ''}"
    return reason or "-"


def _print_one(summary: JobSummary, result: MinionResult) -> None:
    """Print everything about one target; an empty stream is said to be empty."""
    sys.stdout.write(
        facts(
            [
                ("JID", summary.jid),
                ("MINION", result.minion),
                ("ADDRESS", result.address or "-"),
                ("ACCOUNT", result.account or "-"),
                ("STATUS", result.state.value),
                ("RESULT", result.result.value),
                ("REASON", moments_here(result.reason) or "-"),
                ("EXIT-CODE", "-" if result.retcode is None else f"{result.retcode}"),
                ("FORCE-STOPPED", "yes" if result.force_stopped else "no"),
                ("PID", "-" if result.pid is None else str(result.pid)),
                ("STARTED", moment_here(result.started_us)),
                ("FINISHED", moment_here(result.finished_us)),
                *(("NOTE", moments_here(note)) for note in result.notes),
            ]
        )
    )
    if result.has_value and not result.value_from:
        _print_section("VALUE", nested_lines(result.value))
    _print_section("STDOUT", text_lines(result.stdout.decode("utf-8", "replace")))
    _print_section("STDERR", text_lines(result.stderr.decode("utf-8", "replace")))
    for mark in cut_marks(result):
        sys.stdout.write(f"{mark}\n")
    if result.traceback:
        _print_section("TRACEBACK", text_lines(result.traceback))
    sys.stdout.write("\n")


def _print_section(name: str, lines: list[str]) -> None:
    sys.stdout.write(f"[{name}]\n")
    sys.stdout.writelines(f"{line}\n" for line in lines or ["No content."])
