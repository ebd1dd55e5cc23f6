"""The bounds of the fleet that somebody may run into: each with its setting, what counts the times, and the event that tells it. Pure.

A bound protects the rest from one that is too much: what is beyond it is refused, put off or ended, and counted where that happens.
Here counts become events, at most one a minute for each bound, so that a flood of one makes no flood of the other.
"""

from collections.abc import Mapping, Sequence

from ..core.dataclass import dataclass, field
from ..core.messages import WINDOW_BYTES
from ..core.values import Value
from .events import RING_LIMIT_BYTES
from .incoming import WAITING_LIMIT_BYTES
from .pings import PINGS_LIMIT
from .store_queue import QUEUE_LIMIT_CHANGES

#: How long nothing more is told of a bound; what it counts meanwhile is told afterwards.
QUIET_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound.

    Attributes:
        name: as in the tag of its event, ``fleet/limit/<name>``.
        counters: of ``fleet status``: each counts what was beyond it.
        setting: of ``master.yaml`` that moves it; empty where it is fixed, or a setting of the minion.
        limit: where it is fixed; None for one of the minion's.
        meaning: what becomes of what is beyond it.
    """

    name: str
    counters: tuple[str, ...]
    setting: str
    limit: int | None
    meaning: str


#: Every bound that is told of; ``docs/operations.md`` has them, with those that only make somebody wait.
BOUNDS: tuple[Bound, ...] = (
    Bound("spool", ("messages_spool_full",), "", None, "a minion has refused jobs: its spool or its disk is full"),
    Bound(
        "messages",
        ("messages_throttled",),
        "minion_messages_per_second",
        None,
        "a minion sends too much: events and reports were dropped, or its connection was ended",
    ),
    Bound(
        "minion_unread",
        ("frames_unread",),
        "",
        None,
        "a minion does not read what it is sent: messages for it were dropped, and are repeated as far as they matter",
    ),
    Bound("events", ("events_missed",), "events_limit", RING_LIMIT_BYTES, "who follows events is too slow and misses some"),
    Bound(
        "control_connections",
        ("control_refused",),
        "control_connections_limit",
        None,
        "commands or consoles were turned away: too many are connected",
    ),
    Bound(
        "control_unread",
        ("control_slow_readers",),
        "",
        None,
        "a command or console that did not read its answers was ended",
    ),
    Bound(
        "store_queue",
        ("store_refused",),
        "",
        QUEUE_LIMIT_CHANGES,
        "the disk is too slow: new jobs were refused, or returns left with their minions",
    ),
    Bound(
        "returns_waiting",
        ("returns_put_off",),
        "",
        WAITING_LIMIT_BYTES,
        "too many returns wait for room: more were left with their minions, which repeat them",
    ),
    Bound(
        "orders",
        ("orders_put_off",),
        "",
        WINDOW_BYTES,
        "jobs for a minion waited: so much before them has been handed to it and is not answered",
    ),
    Bound("pings", ("pings_refused",), "", PINGS_LIMIT, "pings were refused: too many are under way"),
    Bound("pending_keys", ("keys_dropped",), "pending_limit", None, "keys that wait for a decision were dropped, the oldest first"),
    Bound(
        "unproven_connections",
        ("connections_excess",),
        "unproven_limit",
        None,
        "connections to the fleet's ports that have not proved a key were ended",
    ),
    Bound("handshakes", ("handshakes_throttled",), "", None, "connections of an accepted key were refused: it tries too often"),
    Bound(
        "subscriptions",
        ("messages_greedy",),
        "",
        None,
        "connections of an accepted key were ended: it subscribes to what is not for it",
    ),
    Bound(
        "enrol_connections",
        ("enrolment_refused", "enrolment_displaced"),
        "enrol_connections_limit",
        None,
        "connections to the enrolment port were closed for want of room",
    ),
    Bound("enrol_rate", ("enrolment_throttled",), "enrol_rate_per_second", None, "enrolments were left to wait"),
)  # fmt: skip


@dataclass(slots=True)
class BoundWatch:
    """Tells which bounds were run into, by what is counted.

    Args:
        settings: the value of each setting that a bound names.
    """

    settings: Mapping[str, int | float]
    _told: dict[str, int] = field(default_factory=dict)
    _quiet_until_us: dict[str, int] = field(default_factory=dict)

    def look(
        self, counters: Mapping[str, int], culprits: Mapping[str, tuple[str, str]], now_us: int
    ) -> Sequence[tuple[str, Mapping[str, Value]]]:
        """The events that are due: tag and payload.

        Args:
            counters: as they are now.
            culprits: by the name of a bound, who ran into it last and what was said of it; as far as that is known.
            now_us: the time.
        """
        due: list[tuple[str, Mapping[str, Value]]] = []
        for bound in BOUNDS:
            total = sum(counters[counter] for counter in bound.counters)
            count = total - self._told.get(bound.name, 0)
            if count <= 0 or now_us < self._quiet_until_us.get(bound.name, 0):
                continue
            self._told[bound.name] = total
            self._quiet_until_us[bound.name] = now_us + QUIET_US
            who, reason = culprits.get(bound.name, ("", ""))
            payload: dict[str, Value] = {
                "name": bound.name,
                "count": count,
                "who": who,
                "limit": self.settings[bound.setting] if bound.setting else bound.limit,
                "setting": bound.setting,
                "reason": reason or bound.meaning,
            }
            due.append((f"fleet/limit/{bound.name}", payload))
        return due
