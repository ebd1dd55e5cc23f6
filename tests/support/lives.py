"""Lives of a simulated fleet: what may happen to it, by name, drawn by dice or by Hypothesis."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from support.simulated_parts import INSTANT, PROGRAM, SECOND_US, UNKNOWN
from support.simulation import Fleet

Event = tuple[str, int, int]

_FUNCTIONS = (PROGRAM, PROGRAM, PROGRAM, INSTANT, UNKNOWN)
_TTLS_SECONDS = (30.0, 2.0, 600.0)
_SPANS_US = (100_000, SECOND_US, 3 * SECOND_US, 20 * SECOND_US, 70 * SECOND_US, 3_600 * SECOND_US)


def _minion(fleet: Fleet, number: int) -> Any:
    return fleet.minions[number % len(fleet.minions)]


def _deliver_some(fleet: Fleet, number: int, _: int) -> None:
    for _position in range(number % 12 + 1):
        fleet.deliver(0)


def _kill(fleet: Fleet, number: int, how: int) -> None:
    minion = _minion(fleet, number)
    if how % 2:
        fleet.guarded(minion, minion.kill_processes)
    minion.crash()


def _die_soon(fleet: Fleet, number: int, actions: int) -> None:
    _minion(fleet, number).actions_left = actions % 12


def _fill_disk(fleet: Fleet, number: int, how: int) -> None:
    _minion(fleet, number).disk_is_full = bool(how % 2)


#: What may happen, by name; two numbers say to whom and how.
EVENTS: dict[str, Callable[[Fleet, int, int], object]] = {
    "submit": lambda fleet, a, b: fleet.submit(a, _FUNCTIONS[b % 5], _TTLS_SECONDS[b % 3]),
    "submit to all": lambda fleet, a, b: fleet.submit(-1, PROGRAM, _TTLS_SECONDS[b % 3]),
    "cancel": lambda fleet, a, b: fleet.cancel(a, b),
    "connect": lambda fleet, a, b: _minion(fleet, a).connect(),
    "disconnect": lambda fleet, a, b: _minion(fleet, a).disconnect(),
    "deliver": lambda fleet, a, b: fleet.deliver(a),
    "deliver some": _deliver_some,
    "drop": lambda fleet, a, b: fleet.drop(a),
    "duplicate": lambda fleet, a, b: fleet.duplicate(a),
    "commit": lambda fleet, a, b: fleet.master.commit(a % 6 + 1),
    "commit fails": lambda fleet, a, b: fleet.master.commit(a % 3 + 1, fails=True),
    "time": lambda fleet, a, b: fleet.pass_time(_SPANS_US[a % len(_SPANS_US)]),
    "finish": lambda fleet, a, b: _minion(fleet, a).finish_program(b),
    "kill": _kill,
    "die soon": _die_soon,
    "wipe": lambda fleet, a, b: _minion(fleet, a).wipe() if b % 4 == 0 else None,
    "disk": _fill_disk,
    "restart master": lambda fleet, a, b: fleet.restart_master(a % 5),
    "remove key": lambda fleet, a, b: fleet.remove(a) if b % 4 == 0 else None,
    "delete": lambda fleet, a, b: fleet.delete(a),
}
#: How often each is drawn: mostly life goes on, else nothing is ever under way when it is struck.
_WEIGHTS = {
    "submit": 4,
    "submit to all": 2,
    "connect": 4,
    "deliver": 3,
    "deliver some": 10,
    "commit": 6,
    "time": 3,
    "finish": 3,
    "delete": 0,
}
#: The names to draw from, each as often as it weighs.
NAMES = [name for name in EVENTS for _ in range(_WEIGHTS.get(name, 1))]

#: The same, where jobs are deleted as well.
DELETING = [*NAMES, *["delete"] * 8]


def live(events: Sequence[Event], **parts: Any) -> Fleet:
    """Let a fleet of these parts live through this, and check it."""
    fleet = Fleet(**parts)
    for minion in fleet.minions:
        minion.connect()
    for name, first, second in events:
        EVENTS[name](fleet, first, second)
    fleet.settle()
    fleet.check()
    return fleet


def random_events(seed: int, number: int = 70, names: Sequence[str] = NAMES) -> list[Event]:
    """Make a life by dice; long ones find what short ones do not."""
    dice = Random(seed)
    return [(dice.choice(names), dice.randrange(1_000), dice.randrange(1_000)) for _ in range(number)]
