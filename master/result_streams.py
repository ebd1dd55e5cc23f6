"""Gives stored results to control connections, a few at a time and as fast as each reads: no answer is held in memory whole.

A job of a thousand minions with 16 MiB of output each is read from the disk while it is being printed.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import islice

from ..core.control_answers import TargetResult
from ..core.dataclass import dataclass
from ..core.names import Jid, MinionId
from .control_port import ControlPort
from .replies import Replies
from .store import JobStore
from .store_thread import StoreThread

#: Read from the store at once, and the most that a connection may have unread before more is read for it.
PART_LIMIT_BYTES = 4 * 1024 * 1024
PART_LIMIT_RESULTS = 500


@dataclass(slots=True)
class _Stream:
    jid: Jid
    minions: deque[MinionId]
    has_output: bool
    explain: Callable[[TargetResult], TargetResult | None]
    on_end: Callable[[], None]
    is_reading: bool = False


class ResultStreams:
    """The streams that are under way, one a connection.

    Args:
        store: holds the results.
        control: knows how much each connection has left unread.
        replies: takes the results.
    """

    def __init__(self, store: StoreThread, control: ControlPort, replies: Replies) -> None:
        self._store = store
        self._control = control
        self._replies = replies
        self._streams: dict[int, _Stream] = {}

    def begin(
        self,
        connection: int,
        jid: Jid,
        minions: Iterable[MinionId],
        explain: Callable[[TargetResult], TargetResult | None],
        on_end: Callable[[], None],
        *,
        has_output: bool = True,
    ) -> None:
        """Stream what became of a job on these minions.

        Args:
            connection: to which.
            jid: of the job.
            minions: in this order.
            explain: makes of each stored result what is said of it; None leaves it out.
            on_end: called when all are handed over; not when the connection goes, or the store fails.
            has_output: with the outputs, or only their lengths.
        """
        self._streams[connection] = _Stream(jid, deque(minions), has_output, explain, on_end)
        self.pump()

    def is_under_way(self, connection: int) -> bool:
        """Tell whether something is being streamed to this connection."""
        return connection in self._streams

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self._streams.pop(connection, None)

    def pump(self) -> None:
        """Read on for every connection that has read what it was given."""
        for connection, stream in list(self._streams.items()):
            if not stream.is_reading and self._control.pending_bytes(connection) < PART_LIMIT_BYTES:
                self._read_on(connection, stream)

    def _read_on(self, connection: int, stream: _Stream) -> None:
        if not stream.minions:
            del self._streams[connection]
            stream.on_end()
            return
        stream.is_reading = True

        def done(results: tuple[TargetResult, ...] | Exception) -> None:
            stream.is_reading = False
            if self._streams.get(connection) is not stream:
                return
            if isinstance(results, Exception):
                del self._streams[connection]
                self._replies.fail(connection, results)
                return
            said = (stream.explain(result) for result in results)
            self._replies.stream_several(connection, (answer for answer in said if answer is not None))
            self.pump()

        self._store.read(lambda store: _read_part(store, stream), done)


def _read_part(store: JobStore, stream: _Stream) -> tuple[TargetResult, ...]:
    """Read the next results; in the store's thread, while nobody else touches the stream."""
    wanted = tuple(islice(stream.minions, PART_LIMIT_RESULTS))
    results = store.results_of(stream.jid, wanted, PART_LIMIT_BYTES, has_output=stream.has_output)
    size_bytes = sum(len(result.stdout) + len(result.stderr) + len(result.value) for result in results)
    # What was deleted meanwhile is passed over with those before it.
    last = results[-1].minion if size_bytes >= PART_LIMIT_BYTES else wanted[-1]
    while stream.minions.popleft() != last:
        pass
    return results


def those_of(every: Iterable[MinionId], wanted: Collection[MinionId]) -> tuple[MinionId, ...]:
    """The minions that are wanted, or all of them when none is named."""
    return tuple(minion for minion in every if not wanted or minion in wanted)
