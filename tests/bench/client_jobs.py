"""Jobs through the Python client: one after the other, and three hundred at once.

The floor of a job is what its master cannot do without: a round trip through a Unix socket with two durable transactions, one
before it is handed over and one when its return is here.
"""

import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from bench.measuring import Bench, note
from fleet.client import Client
from support.fleet import Fleet
from support.wait import wait_until

MINION = "bench-0"
MINIONS = 10
JOBS, JOBS_OF_MANY = 200, 50
BURST = 300


def measure_client_jobs(bench: Bench, fleet: Fleet) -> None:
    """One minion, then ten."""
    runs = min(bench.runs, 5)
    fleet.start_master()
    fleet.grow(MINION)
    _one_after_the_other(bench, fleet, JOBS, runs)
    for words in (("test.ping",), ("cmd.run", "true")):
        _at_once(bench, fleet, words, runs)
    fleet.grow(*(f"bench-{number}" for number in range(1, MINIONS)))
    _one_after_the_other(bench, fleet, JOBS_OF_MANY, runs)


def _one_after_the_other(bench: Bench, fleet: Fleet, count: int, runs: int) -> None:
    """How many jobs a second when each begins after the one before has ended; by turns with the floor."""
    minions = len(fleet.minions)
    note(f"jobs one after the other, {minions} of the minions")
    client, rates, floors = fleet.client(), [], []

    def ping() -> None:
        outcome = client.run("*", "test.ping")
        assert [each.value for each in outcome.values()] == [True] * minions, outcome

    ping()
    for _ in range(runs):
        with _Floor(fleet.folder) as floor:
            floors.append(_rate(floor.exchange, count))
        rates.append(_rate(ping, count))
    name = f"jobs one after the other through the client, {minions} minion{'s' if minions > 1 else ''}"
    bench.tell(name, "/s", rates, sorted(floors)[runs // 2])


def _rate(action: Callable[[], None], count: int) -> float:
    began = time.monotonic()
    for _ in range(count):
        action()
    return count / (time.monotonic() - began)


def _at_once(bench: Bench, fleet: Fleet, words: tuple[str, ...], runs: int) -> None:
    """Submit three hundred jobs as fast as the master takes them, and wait for what becomes of each."""
    note(f"{BURST} jobs at once: {' '.join(words)}")
    client = fleet.client()
    seconds = [_burst(client, words) for _ in range(runs + 1)]
    bench.tell(f"{BURST} jobs `{' '.join(words)}` at once to one minion, until all have returned", "s", seconds[1:])


def _burst(client: Client, words: tuple[str, ...]) -> float:
    function, *arguments = words
    began = time.monotonic()
    jids = [client.submit(MINION, function, *arguments) for _ in range(BURST)]
    wait_until(lambda: client.jobs(1, state="running").total == 0, 60, "the jobs to end")
    seconds = time.monotonic() - began
    newest = client.jobs(BURST)
    assert {job.jid for job in newest.jobs} == set(jids)
    assert all(job.counts == {"succeeded": 1} for job in newest.jobs), newest
    return seconds


class _Floor:
    """One request after the other through a Unix socket to a thread that makes two durable transactions of each."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "floor.sqlite"
        self._here, self._there = socket.socketpair()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.close()
        self._thread.join()
        self._there.close()
        for file in self._file.parent.glob(f"{self._file.name}*"):
            file.unlink()

    def exchange(self) -> None:
        self._here.sendall(b"request")
        assert self._here.recv(64) == b"answer"

    def _answer(self) -> None:
        store = sqlite3.connect(self._file, isolation_level=None)
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("PRAGMA synchronous=FULL")
        store.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state INTEGER)")
        while self._there.recv(64):
            key = store.execute("INSERT INTO jobs (state) VALUES (0)").lastrowid
            store.execute("UPDATE jobs SET state = 1 WHERE id = ?", (key,))
            self._there.sendall(b"answer")
        store.close()
