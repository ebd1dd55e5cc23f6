"""Descriptors: how many this process may have, and whether that is enough for the fleet (DESIGN T2)."""

import logging
import resource

log = logging.getLogger(__name__)

#: Descriptors beside the fleet's: the store, the control socket and its connections, pipes, logs.
RESERVED = 256
#: A minion has two connections.
PER_MINION = 2


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise the soft limit of open files to the hard one; return (soft, hard)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft, hard


def check_descriptors(strangers: int, minions: int) -> None:
    """Log the limits, and warn when they are too low.

    Args:
        strangers: connections that may be open without a proven key, on all ports.
        minions: accepted keys.
    """
    soft, hard = raise_descriptor_limit()
    log.info("open files: limit %d, hard limit %d", soft, hard)
    needed = RESERVED + strangers + PER_MINION * minions
    if soft < needed:
        log.warning(
            "the limit of %d open files is too low for %d minions: %d are needed; raise LimitNOFILE of the unit, or ulimit -n",
            soft,
            minions,
            needed,
        )
