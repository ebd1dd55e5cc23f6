"""``fleet -f TARGET FUNCTION …`` and ``fleet jobs follow``: what jobs write, as they write it, also over a restart of the master."""

import time
from collections.abc import Callable

from ..core.control_answers import OutputPart
from ..core.control_requests import OutputPosition, Watch
from ..core.errors import UnreachableError, UsageError
from ..core.names import check_minion_id
from .exit_codes import INTERRUPTED
from .invocation import Invocation
from .job_stream import JobStream
from .job_text import how_to_go_on
from .live_printer import LivePrinter
from .verb_options import ALL, DIFF, FOLD, ONLY, OUT, OUT_DIR, OUT_FILE, REMOVE, SHOW_JID, SKIP, SUMMARY, TIMEOUT

#: Takes what a job has written.
OnOutput = Callable[[OutputPart], None]
#: How results are shown when all of them are known: not as they come.
SHOWN_AT_THE_END = (OUT, ONLY, FOLD, DIFF, ALL, OUT_FILE, OUT_DIR)

_WAIT_SECONDS = 3600.0
_RETRY_FIRST_SECONDS = 0.1
_RETRY_LIMIT_SECONDS = 1.0


def follow_live(call: Invocation) -> int:
    """Follow a job that was started before; the words are its jid and, if not all, its minions.

    Raises:
        UsageError: no job is named, or ``--skip`` is said of several minions.
    """
    words = call.words + call.literals
    if not words:
        raise UsageError("which job?", "fleet jobs follow JID [MINION…], or: fleet jobs follow last")
    jid, minions = words[0], tuple(check_minion_id(word) for word in words[1:])
    skipped = call.options.count(SKIP.name, 0)
    if skipped and len(minions) != 1:
        raise UsageError("--skip counts bytes of one minion's stdout", "fleet jobs follow JID MINION --skip N")
    positions = tuple(OutputPosition(minion, skipped) for minion in minions) if skipped else ()
    request = Watch(jid, is_live=True, minions=minions, positions=positions)
    return watch_live(
        call,
        lambda on_output: call.client().watch(request, _timeout(call), on_output=on_output, leaves_long=True),
        positions,
    )


def watch_live(
    call: Invocation, start: Callable[[OnOutput], JobStream], positions: tuple[OutputPosition, ...] = ()
) -> int:
    """Start or find the job, show what it writes until it has ended, and return the exit code of a run."""
    client = call.client()
    printer = LivePrinter(
        call.report, lambda result, stream, shown: client.output(result.jid, result.minion, stream, shown)
    )
    try:
        stream = start(printer.output)
    except KeyboardInterrupt:
        call.report.say("interrupted before the master confirmed the job; it may exist: fleet jobs list")
        return INTERRUPTED
    if call.options.flag(SHOW_JID.name) or call.report.is_verbose:
        call.report.say(f"jid: {stream.jid}")
    printer.begin(stream.minions, positions)
    following = _Following(call, printer, stream)
    is_interrupted = False
    try:
        following.run()
    except KeyboardInterrupt:
        is_interrupted = True
    stream = following.stream
    is_time_up = stream.is_time_up
    outcome = stream.finish()
    printer.finished(outcome)
    if call.options.flag(SUMMARY.name):
        from .fold import summary_line

        call.report.say(summary_line(outcome))
    if is_interrupted:
        call.report.say(f"interrupted; {_how_to_resume(stream, printer)}")
        return INTERRUPTED
    if is_time_up and not all(result.has_ended for result in outcome.values()):
        call.report.say(f"the time is up; {_how_to_resume(stream, printer)}")
    if call.options.flag(REMOVE.name):
        from .job_delete_command import remove_job

        remove_job(call, stream.jid)
    return outcome.exit_code


class _Following:
    """A job that is followed until it has ended, over restarts of the master.

    Attributes:
        stream: what is listened to now.
    """

    def __init__(self, call: Invocation, printer: LivePrinter, stream: JobStream) -> None:
        self._call = call
        self._printer = printer
        self._began = time.monotonic()
        self.stream = stream

    def run(self) -> None:
        """Show what comes until there is nothing more to wait for."""
        while not self.stream.is_over:
            try:
                result = self.stream.next_result(_WAIT_SECONDS)
            except UnreachableError as problem:
                self.stream.close()
                self._call.report.say(f"{problem.message}; going on when it is back")
                self.stream = self._again()
                self._call.report.say("the master is back")
                continue
            if result is not None:
                self._printer.settled(result)

    def _again(self) -> JobStream:
        """Wait for the master, and go on where the output stopped.

        Raises:
            UnreachableError: the time is up, and the master is not back.
            NotFoundError: the master that is back does not know the job.
        """
        pause_seconds = _RETRY_FIRST_SECONDS
        timeout = _timeout(self._call)
        request = Watch(self.stream.jid, is_live=True, minions=self.stream.minions, positions=self._printer.positions())
        while True:
            time.sleep(pause_seconds)
            left = None if timeout is None else timeout - (time.monotonic() - self._began)
            try:
                stream = self._call.client().watch(request, left, on_output=self._printer.output, leaves_long=True)
            except UnreachableError:
                if left is not None and left <= 0:
                    raise
                pause_seconds = min(pause_seconds * 2, _RETRY_LIMIT_SECONDS)
            else:
                stream.more_unknown = self.stream.more_unknown
                return stream


def _how_to_resume(stream: JobStream, printer: LivePrinter) -> str:
    """Say how to go on; of one minion's output also from where on."""
    text = how_to_go_on(stream.jid)
    shown = next((one.stdout_offset for one in printer.positions() if (one.minion,) == stream.minions), 0)
    again = f"fleet jobs follow {stream.jid[-6:]} {stream.minions[0]} --skip {shown}" if shown else ""
    return f"{text} · from here: {again}" if again else text


def _timeout(call: Invocation) -> float | None:
    return call.options.seconds(TIMEOUT.name)
