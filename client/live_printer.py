"""Shows what jobs write as they write it: of one minion byte for byte, of several line by line under their names."""

import codecs
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from ..core.control_answers import OutputPart
from ..core.control_requests import OutputPosition
from ..core.dataclass import dataclass, field
from ..core.names import MinionId
from ..core.outcome import OUTPUT_STREAMS
from ..core.visible import visible, visible_line
from .blocks import nested_value, own_reason, standing
from .printers import name_cuts, name_others
from .ranks import Only
from .report import Report
from .results import MinionResult, RunResult

#: Reads an output of a result from an offset on, in parts.
ReadRest = Callable[[MinionResult, str, int], Iterable[bytes]]
#: A line that does not end is shown in pieces of so many characters.
LINE_LIMIT_CHARACTERS = 8 * 1024


@dataclass(slots=True)
class _Stream:
    """One stream of one minion: how much of it is shown, and the beginning of a line that has not ended."""

    shown_bytes: int = 0
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    line: str = ""


class LivePrinter:
    """Prints pieces of output as they come, and at the end of each job what is left of it.

    Args:
        report: says on stderr what is no output.
        read_rest: reads an output that was left with the master, from an offset on.
    """

    def __init__(self, report: Report, read_rest: ReadRest) -> None:
        self._report = report
        self._read_rest = read_rest
        self._streams: dict[tuple[MinionId, str], _Stream] = {}
        self._is_alone = False
        self._ended: set[MinionId] = set()

    def begin(self, minions: Sequence[MinionId], positions: Sequence[OutputPosition] = ()) -> None:
        """These are followed, from these positions on, or from the beginning."""
        self._is_alone = len(minions) == 1
        for one in positions:
            self._stream(one.minion, "stdout").shown_bytes = one.stdout_offset
            self._stream(one.minion, "stderr").shown_bytes = one.stderr_offset

    def positions(self) -> tuple[OutputPosition, ...]:
        """How much of each minion's output is shown: from there on it is followed over a restart of the master."""
        minions = sorted({minion for minion, _ in self._streams})
        return tuple(
            OutputPosition(each, *(self._shown(each, stream) for stream in OUTPUT_STREAMS)) for each in minions
        )

    def output(self, part: OutputPart) -> None:
        """Show a piece of output; what was shown before is left out."""
        shown = self._shown(part.minion, part.stream)
        if part.offset <= shown < part.offset + len(part.data):
            self._write(part.minion, part.stream, part.data[shown - part.offset :])

    def settled(self, result: MinionResult) -> None:
        """A job has ended: show the rest of its output, its value when that is something else, and how it failed."""
        if not result.has_ended or result.minion in self._ended:
            return
        self._ended.add(result.minion)
        for stream, whole in (("stdout", result.stdout), ("stderr", result.stderr)):
            shown = self._shown(result.minion, stream)
            rest = self._read_rest(result, stream, shown) if stream in result.long else (whole[shown:],)
            for part in rest:
                self._write(result.minion, stream, part)
            self._end_line(result.minion, stream)
        if result.has_value and not result.value_from:
            self._lines(sys.stdout, result.minion, nested_value(result))
        name_cuts([result], self._report)
        if not result.has_succeeded:
            why = ": ".join(part for part in (standing(result), own_reason(result)) if part)
            self._report.say(f"{result.minion}: {visible_line(why)}")
            self._lines(sys.stderr, result.minion, result.traceback.splitlines())

    def finished(self, outcome: RunResult) -> None:
        """The wait is over: name those that have not ended, and count all when there are several."""
        for result in outcome.values():
            self.settled(result)
        rest = {minion: result for minion, result in outcome.items() if minion not in self._ended}
        for minion, stream in list(self._streams):
            self._end_line(minion, stream)
        others = RunResult(outcome.jid, outcome.function, rest, outcome.unknown, outcome.duration_seconds)
        name_others(others, self._report, Only(), with_failed=False)

    def _stream(self, minion: MinionId, stream: str) -> _Stream:
        return self._streams.setdefault((minion, stream), _Stream())

    def _shown(self, minion: MinionId, stream: str) -> int:
        known = self._streams.get((minion, stream))
        return known.shown_bytes if known else 0

    def _write(self, minion: MinionId, stream: str, data: bytes) -> None:
        known = self._stream(minion, stream)
        known.shown_bytes += len(data)
        place = sys.stdout if stream == "stdout" else sys.stderr
        if self._is_alone and not place.isatty():
            place.flush()
            place.buffer.write(data)
            place.buffer.flush()
            return
        text = known.decoder.decode(data)
        if self._is_alone:
            place.write(visible(text))
            place.flush()
            known.line = "" if text.endswith("\n") else known.line or text[-1:]
            return
        *lines, known.line = (known.line + text).split("\n")
        if len(known.line) > LINE_LIMIT_CHARACTERS:
            lines.append(known.line)
            known.line = ""
        self._lines(place, minion, lines)

    def _end_line(self, minion: MinionId, stream: str) -> None:
        """Show a line that has no end; of one minion, whose bytes are shown as they are, only end it on a terminal."""
        known = self._streams.get((minion, stream))
        if known is None or not known.line:
            return
        place = sys.stdout if stream == "stdout" else sys.stderr
        if self._is_alone:
            place.write("\n")
            place.flush()
        else:
            self._lines(place, minion, [known.line])
        known.line = ""

    def _lines(self, place: TextIO, minion: MinionId, lines: Sequence[str]) -> None:
        name = "" if self._is_alone else f"{minion}: "
        place.writelines(f"{name}{visible_line(line)}\n" for line in lines)
        place.flush()
