"""Descriptors: how many this process may have, and whether that is enough for the fleet (DESIGN T2)."""

import logging
import os
import resource

from ..core.dataclass import replace
from .config import MasterSettings

log = logging.getLogger(__name__)

#: Descriptors beside the fleet's: the store, the control socket and its connections, pipes, logs.
RESERVED = 256
#: A minion has two connections.
PER_MINION = 2
#: What the master itself has open when nobody is connected, and some room.
OWN = 40
#: However few there are, so many connections are served on each port.
LEAST_CONNECTIONS = 4


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; return what the soft one was, and the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


def count_descriptors() -> int:
    """How many this process has open; all that it may have when there is none left to look with."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def fit_to_descriptors(settings: MasterSettings, minions: int) -> MasterSettings:
    """Raise the limit of open files, log it, and return the settings with bounds for strangers that it can bear.

    Args:
        settings: what ``master.yaml`` says.
        minions: accepted keys.
    """
    soft, hard = raise_descriptor_limit()
    if soft < hard:
        log.info("open files: limit %d, raised to the hard limit %d", soft, hard)
    else:
        log.info("open files: limit %d, hard limit %d", soft, hard)
    strangers = settings.unproven_limit + settings.enrol_connections_limit + settings.control_connections_limit
    needed = RESERVED + strangers + PER_MINION * minions
    if hard >= needed:
        return settings
    fitted = _fitted(settings, hard - OWN - PER_MINION * minions, strangers)
    log.warning(
        "the limit of %d open files is too low for %d minions: %d are needed; raise LimitNOFILE of the unit, or ulimit -n. Until "
        "then at most %d connections without a proven key, %d to the enrolment port and %d of commands are served at once",
        hard,
        minions,
        needed,
        fitted.unproven_limit,
        fitted.enrol_connections_limit,
        fitted.control_connections_limit,
    )
    return fitted


def _fitted(settings: MasterSettings, room: int, strangers: int) -> MasterSettings:
    share = min(1.0, max(room, 0) / strangers)

    def part(limit: int) -> int:
        return max(LEAST_CONNECTIONS, int(limit * share))

    return replace(
        settings,
        unproven_limit=part(settings.unproven_limit),
        enrol_connections_limit=part(settings.enrol_connections_limit),
        control_connections_limit=part(settings.control_connections_limit),
    )
