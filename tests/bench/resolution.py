"""Which of ten thousand minions a target means, as the master works it out before it stores a job: in this process, without sockets."""

import time

from bench.measuring import Bench, note
from fleet.core.names import MinionId
from fleet.core.values import Value
from fleet.master.facts import FleetFacts
from fleet.master.minion_choice import choose_minions
from fleet.master.store import MinionFacts
from support.fleet import Fleet

MINIONS, GRAINS = 10_000, 60
#: By name: kind and text, and how many of the minions it selects.
TARGETS: dict[str, tuple[str, str, int]] = {
    "glob *": ("glob", "*", MINIONS),
    "glob web-*7": ("glob", "web-*7", 1_000),
    "list of 500 ids": ("list", ",".join(f"web-{number:05}" for number in range(1, 1_000, 2)), 500),
    "regex (web|db).*[13579]": ("regex", "(web|db).*[13579]", 5_000),
    "grain os:Deb*": ("grain", "os:Deb*", 5_000),
    "grain cpus:4": ("grain", "cpus:4", 2_500),
    "grain serial:*77": ("grain", "serial:*77", 100),
    "grain roles:web": ("grain", "roles:web", 3_334),
    "grain net:eth0:10.0.*": ("grain", "net:eth0:10.0.*", 256),
    "compound of two grains and a glob": ("compound", "web-* and G@os:Debian and not G@roles:db", 1_666),
    "compound of six parts": (
        "compound",
        "(web-* or db-*) and G@os:Deb* and G@cpus:2 and not (G@roles:db or G@env:prod)",
        1_666,
    ),
}


def measure_resolution(bench: Bench, _: Fleet) -> None:
    """The grains of all are gathered anew each time, as for every job."""
    note(f"targets of {MINIONS} minions with {GRAINS} grains each")
    minions = [MinionId(f"{'web' if number % 2 else 'db'}-{number:05}") for number in range(MINIONS)]
    facts = known_minions(minions)
    for name, (kind, text, expected) in TARGETS.items():
        seconds = []
        for _run in range(bench.runs + 1):
            began = time.perf_counter()
            chosen, _unknown = choose_minions(text, kind, facts.of_all(minions))
            seconds.append(time.perf_counter() - began)
            assert len(chosen) == expected, (name, len(chosen))
        bench.tell(f"target of {MINIONS:,} minions, {name}", "ms", [each * 1000 for each in seconds[1:]])


def known_minions(minions: list[MinionId]) -> FleetFacts:
    """What a master knows of these: grains of which each minion has its own."""
    facts, grains = [], {}
    for number, minion in enumerate(minions):
        digest = number.to_bytes(32, "big")
        grains[digest] = _grains(number)
        facts.append(MinionFacts(minion, "1", "127.0.0.1", bytes(16), "", 0, digest, b""))
    return FleetFacts(facts, grains, {})


def _grains(number: int) -> dict[str, Value]:
    """Sixty grains: a few that targets ask for, the others of the kinds that there are."""
    named: dict[str, Value] = {
        "os": "Debian" if number % 4 < 2 else "Rocky",
        "cpus": 2 ** (number % 4),
        "serial": f"S-{number:08}",
        "roles": [("web", "db", "cache")[number % 3], "all"],
        "env": ("prod", "test")[number % 2],
        "net": {"lo": "127.0.0.1", "eth0": f"10.{number // 256}.{number % 256}.1"},
    }
    filled: dict[str, Value] = {f"grain_{each}": f"value {each} of {number}" for each in range(GRAINS - len(named))}
    return named | filled
