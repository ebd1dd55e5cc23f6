"""``fleet TARGET FUNCTION …`` and ``fleet jobs follow``: run, wait, print, and say with the exit code how it went."""

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from ..core.control_answers import OutputPart
from ..core.control_requests import Submit
from ..core.dataclass import replace
from ..core.errors import NoMatchError, UnreachableError, UsageError
from ..core.options import Option
from .calls import TTL_SECONDS, JobTerms, words_request
from .destination import Destination
from .exit_codes import INTERRUPTED, REQUEST_FAILED
from .invocation import Invocation
from .job_stdin import read_job_stdin
from .job_stream import JobStream
from .job_target import check_nodes, read_target, target_kind
from .job_text import how_to_go_on
from .moments import moments_here
from .output import print_document
from .printers import Printer, printer_for
from .progress import Progress
from .results import MinionResult
from .shown import Shown, read_shown
from .verb_options import (
    ASYNC,
    JOB_TIMEOUT,
    LIVE,
    NODES,
    OUT,
    OUT_DIR,
    OUT_FILE,
    PREVIEW,
    PREVIEW_LIMIT,
    REMOVE,
    SHOW_JID,
    SHOW_OPTIONS,
    SUMMARY,
    TIMEOUT,
    TTL,
)


def run(call: Invocation) -> int:
    """Run a function on a target; the words are target, function and arguments, without the target where there is a node file."""
    if call.options.flag(PREVIEW.name):
        return _preview(call)
    if call.options.flag(PREVIEW_LIMIT.name):
        raise UsageError("--limit is for --preview-target; a run asks every minion that its target selects")
    word, function, words, literals = _take_apart(call)
    shown = read_shown(call)
    terms = read_terms(call, word, target_kind(call))
    target = read_target(call, word)
    terms = replace(terms, target=target.text, kind=target.kind)
    request = words_request(terms, function, words, literals)
    return submit(call, request, terms.stdin, shown, more_unknown=target.more_unknown)


def read_terms(call: Invocation, target: str, kind: str) -> JobTerms:
    """Read from the options how a function is to run.

    Raises:
        UsageError: two options do not go together.
    """
    is_live = call.options.flag(LIVE.name)
    if is_live:
        _refuse_with_live(call)
    if call.options.flag(ASYNC.name):
        if call.options.flag(REMOVE.name):
            raise UsageError("--async does not wait for the end, which --rm needs", "leave one of them out")
        _refuse(call, ASYNC.name, (OUT, *SHOW_OPTIONS, SUMMARY))
    return JobTerms(
        target,
        kind,
        ttl_seconds=_seconds_or(call, TTL.name, TTL_SECONDS),
        job_timeout_seconds=_seconds_or(call, JOB_TIMEOUT.name, 0.0),
        is_watched=not call.options.flag(ASYNC.name),
        is_live=is_live,
        stdin=read_job_stdin(call),
    )


def submit(call: Invocation, request: Submit, stdin: bytes, shown: Shown, *, more_unknown: int = 0) -> int:
    """Start a job, and show what becomes of it as the options say; return the exit code of a run.

    ``more_unknown`` ids that no accepted key has were named beside the target.
    """
    client = call.client()
    if call.options.flag(ASYNC.name):
        created = client.create(request, stdin)
        print(created.jid)
        call.report.detail(f"job {created.jid} is started on {len(created.minions)} minions")
        _warn_of_unknown(call, created.unknown)
        return 0
    timeout_seconds = call.options.seconds(TIMEOUT.name)

    def start(on_output: Callable[[OutputPart], None] = lambda _part: None) -> JobStream:
        stream = client.watch(request, timeout_seconds, stdin, on_output, leaves_long=request.is_live)
        stream.more_unknown = more_unknown
        return stream

    if request.is_live:
        from .live_command import watch_live

        return watch_live(call, start)
    return _watch(call, shown, start)


def follow(call: Invocation) -> int:
    """Show what a job writes as it writes it; where it is said how results are to be shown, wait for all of them instead."""
    from .live_command import SHOWN_AT_THE_END, follow_live

    if not any(call.options.flag(option.name) for option in SHOWN_AT_THE_END):
        return follow_live(call)
    if len(call.words + call.literals) != 1:
        raise UsageError("which job?", "fleet jobs follow JID, or: fleet jobs follow last")
    shown = read_shown(call)
    (jid,) = call.words + call.literals
    return _watch(call, shown, lambda: call.client().follow(jid, call.options.seconds(TIMEOUT.name)))


def _take_apart(call: Invocation) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Split into target, function, words and literals; ``--`` may stand anywhere among them."""
    every = call.words + call.literals
    if check_nodes(call):
        if not every:
            raise UsageError("a function is missing", f"fleet {NODES.name} FILE FUNCTION [ARGUMENT…]")
        return "", every[0], call.words[1:], call.literals[max(0, 1 - len(call.words)) :]
    if len(every) < 2:
        raise UsageError(
            "a function is missing" if every else "target and function are missing",
            "fleet TARGET FUNCTION [ARGUMENT…], such as: fleet '*' cmd.run uptime",
        )
    return every[0], every[1], call.words[2:], call.literals[max(0, 2 - len(call.words)) :]


def _seconds_or(call: Invocation, name: str, default: float) -> float:
    seconds = call.options.seconds(name)
    return default if seconds is None else seconds


def _preview(call: Invocation) -> int:
    _refuse(call, PREVIEW.name, (OUT_FILE, OUT_DIR))
    form = call.form(("text", "json", "yaml"), "text")
    every = call.words + call.literals
    if not check_nodes(call) and not every:
        raise UsageError("a target is missing", "fleet 'web-*' --preview-target")
    target = read_target(call, every[0] if every else "")
    preview = call.client().preview(target.text, target.kind)
    _warn_of_unknown(call, preview.unknown)
    if not preview.minions:
        raise NoMatchError(f"no minion matches {target.text!r}", "fleet minions lists those that there are")
    shown = preview.minions[: call.options.count(PREVIEW_LIMIT.name, 0) or None]
    if form == "text":
        sys.stdout.writelines(f"{minion}\n" for minion in shown)
        call.report.say(f"{len(shown)}/{len(preview.minions)} minions; nothing was run")
    else:
        more = {"more_unknown": target.more_unknown} if target.more_unknown else {}
        print_document({"minions": list(shown), "unknown": list(preview.unknown), **more}, form)
    return 0


def _warn_of_unknown(call: Invocation, unknown: tuple[str, ...]) -> None:
    if unknown:
        call.report.warn(f"no accepted key has the id {', '.join(unknown)}")


def _refuse(call: Invocation, name: str, others: Iterable[Option]) -> None:
    """Refuse options that say how results are shown, where there are none."""
    for other in others:
        if call.options.flag(other.name):
            raise UsageError(
                f"with {name} there are no results, which {other.name} is for",
                "leave one of them away; later: fleet jobs show JID",
            )


def _refuse_with_live(call: Invocation) -> None:
    """Refuse options that say how results are shown when all of them are there: these come as they are made."""
    from .live_command import SHOWN_AT_THE_END

    for other in (*SHOWN_AT_THE_END, ASYNC):
        if call.options.flag(other.name):
            raise UsageError(
                f"{LIVE.names[0]} shows what is written as it is written, which does not go with {other.name}",
                "leave one of them away",
            )


def _watch(call: Invocation, shown: Shown, start: Callable[[], JobStream]) -> int:
    """Open the place of the results, then start the job or the watch of one; wait and print."""
    with Destination(shown) as destination, ExitStack() as stack:
        try:
            stream = stack.enter_context(start())
        except KeyboardInterrupt:
            call.report.say("interrupted before the master confirmed the job; it may exist: fleet jobs list")
            return INTERRUPTED
        with destination.of_job(stream.jid):
            return _wait_and_print(call, stream, shown, destination)


def _wait_and_print(call: Invocation, stream: JobStream, shown: Shown, destination: Destination) -> int:
    """Wait until nobody need be waited for, and print; Ctrl-C prints what has arrived, and so does the loss of the master."""
    _announce(call, stream, shown.form)
    printer = printer_for(shown, call.report, destination.folder)
    # Beside lines that a program shows as they come there is no place for one that comes and goes.
    progress = Progress(stream, is_wanted=shown.form != "jsonl" or bool(shown.file or shown.folder))
    is_interrupted = False
    lost: UnreachableError | None = None
    try:
        _wait(call, stream, printer, progress)
    except KeyboardInterrupt:
        is_interrupted = True
        progress.end_line()
    except UnreachableError as problem:
        lost = problem
    finally:
        progress.clear()
    is_time_up = stream.is_time_up
    outcome = stream.finish()
    printer.finished(outcome)
    destination.complete(call.report)
    if call.options.flag(SUMMARY.name) and (shown.form != "fold" or shown.folder):
        from .fold import summary_line

        call.report.say(summary_line(outcome, is_kept=shown.is_kept))
    if lost is not None:
        call.report.error(lost)
        return REQUEST_FAILED
    if is_interrupted:
        call.report.say(f"interrupted; {how_to_go_on(stream.jid, is_kept=shown.is_kept)}")
        return INTERRUPTED
    if is_time_up and not all(result.has_ended for result in outcome.values()):
        call.report.say(f"the time is up; {how_to_go_on(stream.jid)}")
    if call.options.flag(REMOVE.name):
        from .job_delete_command import remove_job

        remove_job(call, stream.jid)
    return outcome.exit_code


def _announce(call: Invocation, stream: JobStream, form: str) -> None:
    if call.options.flag(SHOW_JID.name) or call.report.is_verbose:
        call.report.say(f"jid: {stream.jid}")
    elif form == "fold" and sys.stderr.isatty():
        count = len(stream.minions)
        call.report.say(f"{stream.function} → {count:,} minion{'s' if count != 1 else ''}   jid {stream.jid}")


def _wait(call: Invocation, stream: JobStream, printer: Printer, progress: Progress) -> None:
    while not stream.is_over:
        result = stream.next_result(progress.interval_seconds)
        if result is not None:
            _tell_of_silence(call, result, progress)
            printer.settled(result)
        progress.tick()


def _tell_of_silence(call: Invocation, result: MinionResult, progress: Progress) -> None:
    if result.is_silent and call.report.is_verbose:
        progress.clear()
        call.report.detail(f"{result.minion}: silent: {moments_here(result.reason)}")
