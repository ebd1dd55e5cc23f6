"""Who follows the output of which jobs, what each has been told, and what to ask of the minions: pure.

A minion sends a stream once, however many follow it: from where the one who has the least of it stands. Whoever has more skips
what he knows. One who reads slowly is told nothing more until he has read, and is then served from where he stopped; the others
do not wait for him.
"""

from collections.abc import Callable, Iterable, Mapping

from ..core.control_answers import OutputPart
from ..core.control_requests import OutputPosition
from ..core.dataclass import dataclass, field
from ..core.errors import ProtocolError
from ..core.from_master import Follow
from ..core.from_minion import LiveOutput
from ..core.messages import CHUNK_LIMIT_BYTES, FOLLOW_LIMIT_BYTES, FOLLOW_US, FOLLOWED_JOBS_LIMIT
from ..core.names import Jid, MinionId
from ..core.outcome import OUTPUT_STREAMS

#: Three in the time after which a minion stops by itself.
REPEAT_US = FOLLOW_US // 3
#: How long a minion is left alone after it was asked to begin anew: what is under way must not make it do so again.
ANEW_US = 200_000
#: A connection that has so much unread is told nothing more for now.
LIVE_UNREAD_LIMIT_BYTES = 1024 * 1024

Key = tuple[Jid, MinionId]


@dataclass(slots=True)
class _Source:
    """One job on one minion.

    Attributes:
        followers: how much of each stream each connection was told.
        number: of the last asking.
        here: how much of each stream has come, counted from where the last asking began.
        asked: from where on was last asked for.
    """

    followers: dict[int, dict[str, int]] = field(default_factory=dict)
    number: int = 0
    here: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTPUT_STREAMS, 0))
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTPUT_STREAMS, 0))
    asked_us: int = 0
    begun_us: int = 0
    is_new: bool = True
    has_gap: bool = False


class LiveOutputs:
    """What is followed.

    Args:
        is_full: whether a connection has so much unread that it is to be told nothing for now.
    """

    def __init__(self, is_full: Callable[[int], bool]) -> None:
        self._is_full = is_full
        self._sources: dict[Key, _Source] = {}
        self._of_minion: dict[MinionId, dict[Jid, None]] = {}
        self._of_connection: dict[int, set[Key]] = {}
        self._dirty: set[Key] = set()
        self._lagging: set[Key] = set()
        self._looked_us = 0

    def __len__(self) -> int:
        """How many jobs on minions are followed."""
        return len(self._sources)

    def follow(
        self, connection: int, jid: Jid, minions: Iterable[MinionId], positions: Iterable[OutputPosition] = ()
    ) -> None:
        """This connection follows a job on these minions, each from the beginning where no position is named."""
        offsets = {one.minion: (max(0, one.stdout_offset), max(0, one.stderr_offset)) for one in positions}
        for minion in minions:
            key = (jid, minion)
            source = self._sources.setdefault(key, _Source())
            source.followers[connection] = dict(zip(OUTPUT_STREAMS, offsets.get(minion, (0, 0)), strict=True))
            self._of_minion.setdefault(minion, {})[jid] = None
            self._of_connection.setdefault(connection, set()).add(key)
            self._dirty.add(key)

    def closed(self, connection: int) -> None:
        """A connection is gone, or follows nothing any more."""
        for key in self._of_connection.pop(connection, ()):
            source = self._sources[key]
            source.followers.pop(connection)
            if not source.followers:
                self._drop(key)

    def ended(self, jid: Jid, minion: MinionId) -> None:
        """A job has ended on a minion: its whole output was told."""
        source = self._sources.get((jid, minion))
        if source is not None:
            for connection in source.followers:
                self._of_connection[connection].discard((jid, minion))
            self._drop((jid, minion))

    def joined(self, minion: MinionId) -> None:
        """A minion has opened a session: what is followed of it is asked for anew."""
        for jid in self._of_minion.get(minion, ()):
            self._sources[jid, minion].is_new = True
            self._dirty.add((jid, minion))

    def take(self, minion: MinionId, message: LiveOutput) -> list[tuple[int, OutputPart]]:
        """Take a piece of output: what to tell to whom. Nobody may be there any more who asked for it.

        Raises:
            ProtocolError: it is no piece of output.
        """
        offset, data, stream = message.offset, message.data, message.stream
        if stream not in OUTPUT_STREAMS or offset < 0 or not 0 < len(data) <= CHUNK_LIMIT_BYTES:
            raise ProtocolError("a piece of output that is none")
        key = (message.jid, minion)
        source = self._sources.get(key)
        if source is None:
            return []
        end = offset + len(data)
        if offset > source.here[stream] or end > source.asked[stream] + FOLLOW_LIMIT_BYTES:
            # Something was lost; or it was under way when it was asked to begin anew, and then what is wanted follows.
            source.has_gap = True
            self._dirty.add(key)
            return []
        source.has_gap = source.has_gap and offset != source.here[stream]
        source.here[stream] = max(source.here[stream], end)
        if source.here[stream] - source.asked[stream] >= FOLLOW_LIMIT_BYTES // 2:
            self._dirty.add(key)
        told: list[tuple[int, OutputPart]] = []
        for connection, known in source.followers.items():
            if not offset <= known[stream] < end:
                continue
            if self._is_full(connection):
                self._lagging.add(key)
                continue
            news = data[known[stream] - offset :]
            told.append((connection, OutputPart(minion, stream, known[stream], news)))
            known[stream] = end
        return told

    def due(self, now_us: int) -> list[tuple[MinionId, Follow]]:
        """What to ask of minions now."""
        if now_us - self._looked_us >= REPEAT_US // 10:
            self._looked_us = now_us
            self._dirty.update(key for key, source in self._sources.items() if now_us - source.asked_us >= REPEAT_US)
        caught_up = {key for key in self._lagging if self._is_behind(self._sources[key])}
        self._lagging -= caught_up
        self._dirty |= caught_up
        asked: list[tuple[MinionId, Follow]] = []
        for key in sorted(self._dirty):
            if not self._may_ask(key):
                continue
            source = self._sources[key]
            wanted = self._wanted(source)
            if wanted is None:
                continue  # Those who follow it have to read first; looked at again in the next turn.
            # What is repeated begins anew as well: the last piece may have been lost, and no other has shown the gap.
            is_old = now_us - source.asked_us >= REPEAT_US
            is_behind = any(wanted[each] < source.here[each] for each in OUTPUT_STREAMS)
            begins = source.is_new or source.has_gap or is_old or is_behind
            if begins and not source.is_new and now_us - source.begun_us < ANEW_US:
                continue
            self._dirty.discard(key)
            if begins:
                source.number += 1
                source.begun_us, source.is_new, source.has_gap = now_us, False, False
                source.here = dict(wanted)
            source.asked = dict(source.here)
            source.asked_us = now_us
            jid, minion = key
            asked.append(
                (minion, Follow(jid, source.number, source.here["stdout"], source.here["stderr"], FOLLOW_LIMIT_BYTES))
            )
        return asked

    def _may_ask(self, key: Key) -> bool:
        """Only the first few jobs of a minion are followed at one time; the others when those have ended."""
        jid, minion = key
        for place, followed in enumerate(self._of_minion[minion]):
            if place >= FOLLOWED_JOBS_LIMIT:
                return False
            if followed == jid:
                return True
        return False

    def _wanted(self, source: _Source) -> Mapping[str, int] | None:
        """How much of each stream all of those have who can take more; None when nobody can."""
        ready = [known for connection, known in source.followers.items() if not self._is_full(connection)]
        if not ready:
            return None
        return {stream: min(known[stream] for known in ready) for stream in OUTPUT_STREAMS}

    def _is_behind(self, source: _Source) -> bool:
        """Whether somebody who can take more lacks what has come."""
        wanted = self._wanted(source)
        return wanted is not None and any(wanted[stream] < source.here[stream] for stream in OUTPUT_STREAMS)

    def _drop(self, key: Key) -> None:
        jid, minion = key
        del self._sources[key]
        self._dirty.discard(key)
        self._lagging.discard(key)
        mine = self._of_minion[minion]
        del mine[jid]
        if not mine:
            del self._of_minion[minion]
