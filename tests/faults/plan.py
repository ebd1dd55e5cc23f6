"""Which faults are injected, where and for how long: pure, so that a seed names a run.

Each daemon has a lane, in which one fault follows another; the lanes go on side by side, so faults of several daemons overlap. What
strikes everything at once is dealt to the lane of the master, and waits until the other lanes are between two faults.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType

#: The lane of the master; those of minions are called as the minion is.
MASTER = "master"
#: How many of ten faults are to strike while a job runs.
_INSIDE_OF_TEN = 9


class FaultKind(StrEnum):
    """What may happen."""

    KILL_MASTER = "kill-master"
    STOP_MASTER = "stop-master"
    FULL_STORE = "full-store"
    CLOCK_MASTER = "clock-master"
    RESTORE_MASTER = "restore-master"
    RESTART_ALL = "restart-all"
    KILL_MINION = "kill-minion"
    STOP_MINION = "stop-minion"
    KILL_SUPERVISOR = "kill-supervisor"
    STOP_SUPERVISOR = "stop-supervisor"
    KILL_COMMAND = "kill-command"
    STOP_COMMAND = "stop-command"
    KILL_FORK_SERVER = "kill-fork-server"
    CUT = "cut"
    RESET = "reset"
    DELAY = "delay"
    DROP = "drop"
    HALF_OPEN = "half-open"
    FULL_SPOOL = "full-spool"
    CLOCK_MINION = "clock-minion"
    DELETE_KEY = "delete-key"
    WIPE_JOURNAL = "wipe-journal"
    WIPE_STATE = "wipe-state"
    PARTITION = "partition"


_F = FaultKind
#: How long each lasts, in seconds: least and most. A fault that takes no time is over when it was injected.
SECONDS: Mapping[FaultKind, tuple[float, float]] = MappingProxyType(
    {
        _F.KILL_MASTER: (0.1, 2.0),
        _F.STOP_MASTER: (0.5, 4.0),
        _F.FULL_STORE: (1.0, 3.0),
        _F.CLOCK_MASTER: (0.5, 2.0),
        _F.RESTORE_MASTER: (0.5, 3.0),
        _F.RESTART_ALL: (0.1, 1.0),
        _F.KILL_MINION: (0.1, 2.5),
        _F.STOP_MINION: (0.5, 6.0),
        _F.KILL_SUPERVISOR: (0.0, 0.0),
        _F.STOP_SUPERVISOR: (0.3, 3.0),
        _F.KILL_COMMAND: (0.0, 0.0),
        _F.STOP_COMMAND: (0.3, 3.0),
        _F.KILL_FORK_SERVER: (0.0, 0.0),
        _F.CUT: (0.0, 0.0),
        _F.RESET: (0.0, 0.0),
        _F.DELAY: (1.0, 4.0),
        _F.DROP: (0.3, 3.0),
        _F.HALF_OPEN: (1.0, 6.0),
        _F.FULL_SPOOL: (1.0, 3.0),
        _F.CLOCK_MINION: (0.5, 3.0),
        _F.DELETE_KEY: (0.3, 2.0),
        _F.WIPE_JOURNAL: (0.1, 1.0),
        _F.WIPE_STATE: (0.1, 1.0),
        _F.PARTITION: (1.0, 8.0),
    }
)
#: What the lane of the master is dealt: what strikes it, or everybody.
OF_MASTER = (
    _F.KILL_MASTER,
    _F.STOP_MASTER,
    _F.FULL_STORE,
    _F.CLOCK_MASTER,
    _F.RESTORE_MASTER,
    _F.RESTART_ALL,
    _F.PARTITION,
)
OF_MINION = tuple(kind for kind in FaultKind if kind not in OF_MASTER)
#: What needs no network namespaces (``namespaces.py``).
EVERYWHERE = tuple(kind for kind in FaultKind if kind is not _F.PARTITION)
#: What needs a disk of its own under a daemon.
OF_DISKS = frozenset({_F.FULL_STORE, _F.FULL_SPOOL})


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of a lane.

    Attributes:
        pause_seconds: how long the lane is quiet before it.
        lane: ``master``, or the id of the minion that it strikes.
        seconds: how long it lasts.
        dice: 0 to 1, for whatever else there is to choose.
        is_inside: it is to strike while a job runs there, and waits a moment for one.
    """

    pause_seconds: float
    lane: str
    kind: FaultKind
    seconds: float
    dice: float
    is_inside: bool


def deal(
    seed: int,
    lane: str,
    kinds: Sequence[FaultKind],
    pause_seconds: tuple[float, float] = (0.2, 2.0),
    stretch: Mapping[FaultKind, float] = MappingProxyType({}),
) -> Iterator[PlannedFault]:
    """Deal the faults of a lane, without end: every kind once in random order, then every kind once more, and so on.

    Args:
        seed: of the run; the same seed, lane and kinds deal the same faults.
        lane: ``master`` or a minion id.
        kinds: of which a lane takes those that strike it.
        pause_seconds: least and most between two faults.
        stretch: by which faults of a kind last longer than they would.
    """
    own = [kind for kind in kinds if (kind in OF_MASTER) is (lane == MASTER)]
    dice = Random(f"{seed} {lane}")
    while own:
        deck = list(own)
        dice.shuffle(deck)
        for kind in deck:
            yield PlannedFault(
                pause_seconds=dice.uniform(*pause_seconds),
                lane=lane,
                kind=kind,
                seconds=stretch.get(kind, 1.0) * dice.uniform(*SECONDS[kind]),
                dice=dice.random(),
                is_inside=dice.randrange(10) < _INSIDE_OF_TEN,
            )
