"""Faults of wires: of that between one minion and the master, or of the cable that all share."""

from faults.history import Fault
from faults.plan import FaultKind
from faults.strike import Injector, Strike


def _cut(strike: Strike) -> Fault:
    strike.site.links.cut(strike.planned.lane)
    return strike.done()


def _reset(strike: Strike) -> Fault:
    strike.site.links.reset(strike.planned.lane)
    return strike.done()


def _delay(strike: Strike) -> Fault:
    """Hold up broadcasts, or everything else, or both: by that orders and cancels overtake one another."""
    publish, request, _ = strike.site.ports
    dice = strike.planned.dice
    ports = ((publish,), (request,), (publish, request))[int(dice * 3)]
    strike.site.links.delay(strike.planned.lane, 0.2 + 1.3 * (dice * 7 % 1), ports)
    strike.last()
    strike.site.links.heal(strike.planned.lane)
    return strike.done()


def _drop(strike: Strike) -> Fault:
    strike.site.links.swallow(strike.planned.lane)
    strike.last()
    strike.site.links.heal(strike.planned.lane)
    return strike.done()


def _half_open(strike: Strike) -> Fault:
    strike.site.links.half_open(strike.planned.lane, is_minion_told=strike.planned.dice < 0.5)
    strike.last()
    strike.site.links.heal(strike.planned.lane)
    return strike.done()


def _part(strike: Strike) -> Fault | None:
    """Pull the cable between the master and all minions, where there is one."""
    cable = strike.site.cable
    if cable is None:
        return None
    cable.pull()
    try:
        strike.last()
    finally:
        cable.plug_in()
    return strike.done()


INJECTORS: dict[FaultKind, Injector] = {
    FaultKind.CUT: _cut,
    FaultKind.RESET: _reset,
    FaultKind.DELAY: _delay,
    FaultKind.DROP: _drop,
    FaultKind.HALF_OPEN: _half_open,
    FaultKind.PARTITION: _part,
}
