"""Events: what has happened, in a ring that forgets the oldest, and subscribers who each read at their own pace. Pure.

Events are for people and programs that watch; nothing in the fleet depends on one being read. Whoever is too slow misses some, and
is told how many.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from typing import Protocol, cast
from weakref import WeakSet

from ..core.control_answers import EventNote
from ..core.dataclass import dataclass
from ..core.packing import decode_value, encode_value
from ..core.values import Value

RING_LIMIT_EVENTS = 10_000
#: Minions fill events with what they like, up to the size of a frame: ten thousand of those would be a gigabyte.
RING_LIMIT_BYTES = 32 * 1024 * 1024
#: In place of a number of missed events: the master was restarted, and nobody can tell how many there were before.
MISSED_UNKNOWN = -1

#: What an event takes beside its tag and payload: its place, its time, and the objects that hold them.
_EVENT_BYTES = 200


class Published(Protocol):
    """An event as it is kept: few are ever read, so what is told of one may be made then."""

    @property
    def tag(self) -> str:
        """What has happened."""

    @property
    def payload(self) -> Mapping[str, Value]:
        """What is to be known of it."""

    @property
    def memory_bytes(self) -> int:
        """About how much memory its tag and payload take as they are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An event whose payload is packed: a mapping takes five times as much memory."""

    tag: str
    packed: bytes

    @property
    def payload(self) -> Mapping[str, Value]:
        """What is to be known of it."""
        return cast("Mapping[str, Value]", decode_value(self.packed))

    @property
    def memory_bytes(self) -> int:
        """About how much memory it takes."""
        return len(self.tag) + len(self.packed)


@dataclass(frozen=True, slots=True)
class TagMeaning:
    """One kind of event.

    Attributes:
        pattern: its tag; ``<…>`` stands for what varies, without a slash but at the end.
        fields: the fields of its payload.
        meaning: when it happens.
    """

    pattern: str
    fields: tuple[str, ...]
    meaning: str

    def fits(self, tag: str) -> bool:
        """Tell whether a tag is of this kind."""
        form = re.sub("<[a-z]+>$", ".+", self.pattern)
        return re.fullmatch(re.sub("<[a-z]+>", "[^/]+", form), tag) is not None


#: Every event that there is; the reference is written from this table.
TAGS: tuple[TagMeaning, ...] = (
    TagMeaning("fleet/master/start", ("version", "user"), "the master is ready"),
    TagMeaning(
        "fleet/auth",
        ("minion", "fingerprint", "address", "state"),
        "a minion has asked to join and proved that it holds its key; `state` is the key's",
    ),
    TagMeaning(
        "fleet/key/<action>",
        ("minion", "fingerprint", "user"),
        "a key was accepted, rejected or deleted (`accept`, `reject`, `delete`)",
    ),
    TagMeaning("fleet/minion/<minion>/start", ("minion", "address", "version"), "a minion was started and has joined"),
    TagMeaning(
        "fleet/minion/<minion>/up",
        ("minion", "address", "version"),
        "a minion has joined again, or is heard again after it was silent",
    ),
    TagMeaning("fleet/minion/<minion>/silent", ("minion", "address"), "a connected minion misses its heartbeats"),
    TagMeaning("fleet/minion/<minion>/down", ("minion", "address"), "a minion's connection has gone"),
    TagMeaning(
        "fleet/minion/<minion>/conflict",
        ("minion", "address", "other"),
        "two machines speak with one key, from `address` and `other`: neither gets jobs",
    ),
    TagMeaning("fleet/minion/<minion>/event/<name>", (), "what a minion has to say; its fields are its own"),
    TagMeaning(
        "fleet/job/<jid>/new",
        ("jid", "function", "target", "target_kind", "user", "minions"),
        "a job was stored and is handed over",
    ),
    TagMeaning(
        "fleet/job/<jid>/ret/<minion>",
        ("jid", "minion", "function", "state", "retcode", "reason", "duration_ms"),
        "a return was stored; its output is in the job cache",
    ),
    TagMeaning(
        "fleet/job/<jid>/state/<minion>",
        ("jid", "minion", "state", "pid", "reason"),
        "a job has come a step further on a minion, or ended there without a return",
    ),
    TagMeaning(
        "fleet/job/<jid>/prog",
        ("jid", "function", "counts"),
        "targets of a job have come further: how many are in which state; at most one a second, and none for a job on one minion",
    ),
    TagMeaning(
        "fleet/job/<jid>/end",
        ("jid", "function", "counts"),
        "a job has ended on the last of its targets: how many ended in which state",
    ),
    TagMeaning("fleet/job/<jid>/deleted", ("jid", "user"), "a job and its results were removed from the job cache"),
    TagMeaning(
        "fleet/jobs/purged", ("jobs", "user"), "old jobs were removed; `user` is empty when the settings say so"
    ),
    TagMeaning(
        "fleet/limit/store",
        ("name", "reason"),
        "the job cache cannot be written, or, with an empty reason, can be again",
    ),
    TagMeaning(
        "fleet/limit/<name>",
        ("name", "count", "who", "limit", "setting", "reason"),
        "a bound was run into, `count` times since the last such event; at most one a minute for each bound",
    ),
)


def meaning_of(tag: str) -> TagMeaning | None:
    """Find what kind of event a tag is; None when the table does not have it."""
    return next((meaning for meaning in TAGS if meaning.fits(tag)), None)


class EventRing:
    """The newest events, each with its number, which no event of another process has.

    Attributes:
        missed: how many were forgotten before one who followed them had read them, counted for each of those.

    Args:
        limit: how many are kept.
        limit_bytes: about how much memory they may hold.
        first: the number of the first event: when the master was started, in microseconds since 1970. No master publishes an event
            every microsecond, so those of a later process are higher.
    """

    def __init__(self, limit: int = RING_LIMIT_EVENTS, limit_bytes: int = RING_LIMIT_BYTES, first: int = 1) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._slots: list[tuple[int, Published] | None] = [None] * limit
        self._size_bytes = 0
        self._subscriptions: WeakSet[Subscription] = WeakSet()
        self._first = first
        self.missed = 0
        self.oldest = first
        self.newest = first - 1

    def publish(self, tag: str, payload: Mapping[str, Value], now_us: int) -> None:
        """Keep an event, at the cost of the oldest ones."""
        self.keep(Packed(tag, encode_value(payload)), now_us)

    def keep(self, event: Published, now_us: int) -> None:
        """As ``publish``."""
        size_bytes = _EVENT_BYTES + event.memory_bytes
        self.newest = number = self.newest + 1
        while number - self.oldest >= self._limit or (
            self._size_bytes + size_bytes > self._limit_bytes and self.oldest < number
        ):
            self._forget_oldest()
        self._slots[number % self._limit] = (now_us, event)
        self._size_bytes += size_bytes

    @property
    def published(self) -> int:
        """How many events there have been in this process."""
        return self.newest - self._first + 1

    def figures(self) -> Mapping[str, tuple[int, int]]:
        """How many events are kept, and about how many bytes; each with its limit."""
        return {
            "events": (self.newest - self.oldest + 1, self._limit),
            "events_memory_bytes": (self._size_bytes, self._limit_bytes),
        }

    def tag(self, number: int) -> str | None:
        """The tag of the event of this number; None when it is no longer kept, or has not happened."""
        slot = self._slots[number % self._limit] if self.oldest <= number <= self.newest else None
        return None if slot is None else slot[1].tag

    def read(self, number: int, missed: int) -> EventNote | None:
        """The event of this number, which so many were missed before; None when there is none, as ``tag``."""
        slot = self._slots[number % self._limit] if self.oldest <= number <= self.newest else None
        if slot is None:
            return None
        time_us, event = slot
        return EventNote(number, event.tag, time_us, event.payload, missed)

    def subscribe(self, pattern: str, after: int = -1) -> "Subscription":
        """Read the events whose whole tag fits a glob.

        Args:
            pattern: a glob of ``fnmatch``; ``*`` also spans slashes.
            after: continue after this number; 0: everything since this master's start; -1: only what comes from now on. A number of
                an earlier process is answered with everything since the start, and with a number of missed events that says that
                nobody can tell it.
        """
        if after < 0:
            following, missed = self.newest + 1, 0
        elif after == 0:
            following, missed = self.oldest, self.oldest - self._first
        elif self._first - 1 <= after <= self.newest:
            following, missed = max(after + 1, self.oldest), max(self.oldest - after - 1, 0)
        else:
            following, missed = self.oldest, MISSED_UNKNOWN
        subscription = Subscription(self, pattern, following, missed)
        self._subscriptions.add(subscription)
        return subscription

    def _forget_oldest(self) -> None:
        place = self.oldest % self._limit
        slot = self._slots[place]
        if slot is not None:
            event = slot[1]
            if self._subscriptions:
                tag = event.tag
                for subscription in self._subscriptions:
                    self.missed += subscription.overrun(self.oldest, tag)
            self._slots[place] = None
            self._size_bytes -= _EVENT_BYTES + event.memory_bytes
        self.oldest += 1


class Subscription:
    """What one subscriber has still to read; made by ``EventRing.subscribe``, gone when it is forgotten."""

    def __init__(self, ring: EventRing, pattern: str, following: int, missed: int) -> None:
        self._ring = ring
        self._fits = re.compile(translate(pattern)).match
        self._following = following
        self._missed = missed

    @property
    def missed(self) -> int:
        """How many events were asked for and are lost, which the next event will tell; ``MISSED_UNKNOWN`` when nobody can tell."""
        return self._missed

    def overrun(self, number: int, tag: str) -> bool:
        """This event is about to be forgotten; tell whether it would have been read."""
        if number < self._following:
            return False
        self._following = number + 1
        is_missed = self._fits(tag) is not None
        if self._missed != MISSED_UNKNOWN:
            self._missed += is_missed
        return is_missed

    def take(self, limit: int) -> list[EventNote]:
        """The next events, ``limit`` at the most; the first says how many were missed before it."""
        taken: list[EventNote] = []
        while len(taken) < limit and self._following <= self._ring.newest:
            number, tag = self._following, self._ring.tag(self._following)
            self._following += 1
            note = self._ring.read(number, self._missed) if tag is not None and self._fits(tag) else None
            if note is not None:
                taken.append(note)
                self._missed = 0
        return taken
