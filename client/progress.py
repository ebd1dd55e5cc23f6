"""The line that comes and goes while a terminal waits: how many have answered, and who has not."""

import os
import sys

from ..core.node_names import fold_names
from ..core.visible import cut_to_columns, visible_line
from .job_stream import JobStream

#: Most runs are over before; a line that flashes up would only disturb.
_FIRST_AFTER_SECONDS = 0.5
_WAITING_LIMIT = 200
_ERASE = "\r\x1b[K"


class Progress:
    """One line on stderr, written over again and erased at the end; nothing where nobody looks.

    Attributes:
        interval_seconds: how often ``tick`` is to be called.
    """

    interval_seconds = 0.2

    def __init__(self, stream: JobStream, *, is_wanted: bool) -> None:
        self._stream = stream
        self._is_wanted = is_wanted and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_shown = False
        self._next_seconds = _FIRST_AFTER_SECONDS

    def tick(self) -> None:
        """Show how things stand, a few times a second at the most."""
        if not self._is_wanted or self._stream.elapsed_seconds < self._next_seconds:
            return
        self._next_seconds = self._stream.elapsed_seconds + self.interval_seconds
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            width = 80
        sys.stderr.write(_ERASE + cut_to_columns(progress_line(self._stream), max(width - 1, 10)))
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Erase the line."""
        if self._is_shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
            self._is_shown = False

    def end_line(self) -> None:
        """Get off the line on which the terminal showed a Ctrl-C as ``^C``; where the progress stands there, it is erased."""
        if not self._is_shown and sys.stderr.isatty():
            sys.stderr.write("\n")
            sys.stderr.flush()


def progress_line(stream: JobStream) -> str:
    """Say how many targets have answered, and who is waited for."""
    waiting = stream.open_minions
    ended = sum(result.has_ended for result in stream.results.values())
    failed = sum(result.has_ended and not result.has_succeeded for result in stream.results.values())
    silent = sum(result.is_silent for result in stream.results.values())
    parts = [f"{ended:,}/{len(stream.minions):,}", f"{stream.elapsed_seconds:.0f} s"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{silent:,} silent"] if silent else []
    # Folding ten thousand names five times a second would slow down what it reports.
    more = "…" if len(waiting) > _WAITING_LIMIT else ""
    return visible_line(f"{' · '.join(parts)} · waiting: {fold_names(waiting[:_WAITING_LIMIT])}{more}")
