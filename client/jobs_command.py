"""``fleet jobs show``: one job of the job cache, and what became of it on each minion."""

import sys
import time
from itertools import islice

from ..core.control_answers import JobSummary
from ..core.errors import UsageError
from ..core.nested import nested_lines, text_lines
from .blocks import cut_marks
from .destination import Destination
from .documents import record_document, result_record, run_summary
from .invocation import Invocation
from .job_text import arguments_text, counts_text
from .moments import moment_here, moments_here, span
from .output import json_line, print_document
from .printers import name_cuts, print_results, printer_for
from .results import JobRecord, MinionResult, RunResult
from .shown import Shown, read_shown
from .table import facts, table
from .verb_options import MINION, ONLY, RUN_FORMS, SHOW_LIMIT


def show_job(call: Invocation) -> int:
    """Print one job with its results, or with ``--minion`` everything about one of them."""
    words = call.words + call.literals
    if len(words) != 1:
        raise UsageError("which job?", "fleet jobs show JID, or: fleet jobs show last")
    shown = read_shown(call, ("text", *RUN_FORMS), "text")
    minions = call.options.texts(MINION.name)
    with Destination(shown) as destination:
        record = call.client().job(words[0], minions).narrowed(minions)
        if record.results and not any(map(shown.only.shows, record.results.values())):
            count = f"{len(record.results):,} target{'s are' if len(record.results) != 1 else ' is'}"
            call.report.say(f"nothing fits --only {','.join(call.options.texts(ONLY.name))}: {count} left out")
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
            limit = call.options.count(SHOW_LIMIT.name, 0) or None
            first = dict(islice(results.items(), limit))
            _print_record(JobRecord(record.summary, first), len(record.results))
        case "json" | "yaml":
            print_document(record_document(JobRecord(record.summary, results)), shown.form)
        case "jsonl":
            sys.stdout.writelines(json_line(result_record(result)) for result in results.values())
            sys.stdout.write(json_line(run_summary(_as_run(record))))
        case "fold":
            printer_for(shown, call.report).finished(_as_run(record))
        case _:
            print_results(results.values(), shown.form)
            if shown.form != "nested":
                name_cuts(results.values(), call.report)


def _as_run(record: JobRecord) -> RunResult:
    end_us = record.summary.finished_us or time.time_ns() // 1000
    duration_seconds = max(end_us - record.summary.created_us, 0) / 1e6
    return RunResult(record.summary.jid, record.summary.function, record.results, duration_seconds=duration_seconds)


def _job_facts(summary: JobSummary) -> list[tuple[str, str]]:
    return [
        ("JID", summary.jid),
        ("FUNCTION", f"{summary.function} {arguments_text(summary)}".strip()),
        ("TARGET", f"{summary.target} ({summary.target_kind})"),
        *([("RETRY-OF", f"{summary.retry_of}, on some of its minions")] if summary.retry_of else []),
        ("USER", summary.user),
        ("STATE", f"{summary.state}: {counts_text(summary.counts)}"),
        ("CREATED", moment_here(summary.created_us)),
        ("EXPIRES", f"{moment_here(summary.expires_us)}, where it was not handed over until then"),
        ("FINISHED", moment_here(summary.finished_us)),
        ("JOB-TIMEOUT", span(summary.timeout_seconds) if summary.timeout_seconds else "none"),
        *([("STDIN", f"{summary.stdin_bytes:,} bytes")] if summary.stdin_bytes else []),
        ("SIGNED-BY", summary.signed_by or "-"),
    ]


def _print_record(record: JobRecord, total: int) -> None:
    """Print the job, a row for each target that is shown, of ``total``, and then what each had to say."""
    rows = [
        (
            result.minion,
            result.host or "-",
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
    sys.stdout.write(table(("MINION", "HOST", "ADDRESS", "STATUS", "RESULT", "EXIT", "TIME", "DETAIL"), rows, total))
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
                ("HOST", result.host or "-"),
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
