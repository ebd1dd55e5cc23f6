"""The list of ten thousand keys: a command that prints much and asks the master once."""

from bench.measuring import Bench, note
from scale.light_keys import LightNames, accept_keys
from support.fleet import Fleet

KEYS = 10_000


def measure_keys(bench: Bench, fleet: Fleet) -> None:
    """All of them accepted before the master starts."""
    note(f"{KEYS} keys")
    accept_keys(fleet.master_root, LightNames(), range(KEYS))
    fleet.start_master()
    bench.commands(fleet, {f"fleet-key -L, {KEYS:,} keys": ("fleet-key", "-L")})
