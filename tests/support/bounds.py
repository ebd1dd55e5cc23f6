"""Bounds of the master, as an operator sees that somebody ran into one."""

from itertools import islice

from fleet.core.control_answers import EventNote
from support.fleet import Fleet


def limit_event(fleet: Fleet, name: str) -> EventNote:
    """Wait for the first event that tells of a bound, and return it."""
    (event,) = islice(fleet.client().events(f"fleet/limit/{name}", after=0), 1)
    return event


def counter(fleet: Fleet, name: str) -> int:
    """Return what the master has counted under this name."""
    return fleet.client().status().counters[name]
