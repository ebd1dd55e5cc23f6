"""Sends what jobs write while they run, to a master that asked for it: pure but for reading the job's files."""

from collections.abc import Iterator
from typing import Protocol

from ..core.dataclass import dataclass, field
from ..core.from_master import Follow
from ..core.from_minion import LiveOutput
from ..core.messages import CHUNK_LIMIT_BYTES, FOLLOW_LIMIT_BYTES, FOLLOW_US, FOLLOWED_JOBS_LIMIT
from ..core.names import Jid
from ..core.outcome import OUTPUT_STREAMS

#: How often the files of a followed job are looked at: a third of what a person who watches may notice.
LOOK_US = 100_000


class ReadStream(Protocol):
    """Reads at most so many bytes of a job's stream from an offset on; none beyond its end, or without such a job."""

    def __call__(self, jid: Jid, stream: str, offset: int, limit_bytes: int, /) -> bytes:
        """Read."""


@dataclass(slots=True)
class _Followed:
    number: int
    until_us: int
    sent: dict[str, int] = field(default_factory=dict)
    may_send: dict[str, int] = field(default_factory=dict)


class LiveOutputs:
    """The followed jobs of one session, and how much of each may still be sent."""

    def __init__(self, read: ReadStream) -> None:
        self._read = read
        self._followed: dict[Jid, _Followed] = {}
        self._look_us = 0

    def follow(self, message: Follow, now_us: int) -> None:
        """The master asks for the output of a job, or for more of it; ``take`` gives what there is already.

        Beyond ``FOLLOWED_JOBS_LIMIT`` the one that was asked for the longest ago is let go of: its output comes at its end.
        """
        offsets = dict(zip(OUTPUT_STREAMS, (message.stdout_offset, message.stderr_offset), strict=True))
        followed = self._followed.pop(message.jid, None)
        if followed is None or followed.number != message.number:
            followed = _Followed(message.number, 0, sent=dict(offsets))
        limit_bytes = min(message.limit_bytes, FOLLOW_LIMIT_BYTES)
        followed.may_send = {stream: offset + limit_bytes for stream, offset in offsets.items()}
        followed.until_us = now_us + FOLLOW_US
        self._followed[message.jid] = followed
        while len(self._followed) > FOLLOWED_JOBS_LIMIT:
            self._followed.pop(next(iter(self._followed)))
        self._look_us = now_us

    def left(self) -> None:
        """The session is gone: the next one begins anew."""
        self._followed.clear()

    def ended(self, jid: Jid) -> None:
        """A job has ended: what is left of its output goes with its return."""
        self._followed.pop(jid, None)

    def take(self, now_us: int) -> Iterator[LiveOutput]:
        """What has been written since the last look, as far as it may be sent; nothing before it is time to look."""
        if not self._followed or now_us < self._look_us:
            return
        self._look_us = now_us + LOOK_US
        for jid in [jid for jid, followed in self._followed.items() if now_us >= followed.until_us]:
            del self._followed[jid]
        for jid, followed in self._followed.items():
            for stream in OUTPUT_STREAMS:
                yield from self._news(jid, stream, followed)

    def deadline_us(self) -> int | None:
        """When to look again; None while nothing is followed."""
        return self._look_us if self._followed else None

    def _news(self, jid: Jid, stream: str, followed: _Followed) -> Iterator[LiveOutput]:
        while (room := followed.may_send[stream] - followed.sent[stream]) > 0:
            offset = followed.sent[stream]
            data = self._read(jid, stream, offset, min(room, CHUNK_LIMIT_BYTES))
            if not data:
                return
            followed.sent[stream] = offset + len(data)
            yield LiveOutput(jid, stream, offset, data)
