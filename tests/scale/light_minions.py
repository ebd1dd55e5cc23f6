"""Many light minions in one process: ``python -P -m scale.light_minions --count 100 --master 127.0.0.1:4607``.

Commands come as lines on stdin: ``count``, ``reconnect [SPREAD_SECONDS]``, ``hold`` (what runs does not end) and ``release``, ``keep``
(returns are made and kept), ``deliver`` (they are sent, and from now on answers are only counted) and ``settle`` (what was counted is
taken in), ``stop``; the end of stdin is ``stop`` as well. What they have done goes to stdout, a JSON object a line: one for each ``count``, and one (``"event": "ready"``) each time that all are ready after a start or a reconnect.
"""

import argparse
import heapq
import json
import logging
import os
import resource
import select
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import zmq
from nacl import bindings

from fleet import __version__
from fleet.core.endpoint import parse_endpoint
from fleet.minion.clock import boottime_us
from fleet.minion.self_description import describe_self
from scale.light_keys import LightNames
from scale.light_minion import CONTEXT_MINIONS, DESCRIPTORS_EACH, SOCKETS_EACH, Hub, LightMinion
from scale.light_worker import KnownMaster

ENROL_PORT = 4607
_STDIN = 0
_COMMANDS_BYTES = 4_096
#: Descriptors of the process itself: interpreter, poll, the threads of libzmq.
_RESERVED = 128
_VERIFIED_LIMIT = 64
_CLOSED_LIMIT_US = 10_000_000


class LightFleet:
    """All light minions of this process, on one poll.

    Args:
        hub: what they share.
        names: their ids and keys.
        numbers: which of them live here.
    """

    def __init__(self, hub: Hub, names: LightNames, numbers: Sequence[int]) -> None:
        self._hub = hub
        self._names = names
        self._numbers = numbers
        self._minions: list[LightMinion] = []
        self._due: list[tuple[int, int]] = []
        self._scheduled: list[int] = []
        self._began_us = boottime_us()
        self._is_told = False
        self._is_stopping = False
        self._commands = b""

    def run(self, spread_seconds: float) -> None:
        """Start the first, which asks the enrolment port who the master is, then the others with what it has learned."""
        self._hub.epoll.register(_STDIN, select.EPOLLIN)
        first = self._add(self._numbers[0], KnownMaster())
        self._serve(0)
        while not self._is_stopping and first.standing.document() is None:
            self._turn()
        if not self._is_stopping:
            for number in self._numbers[1:]:
                self._add(number, first.standing.copy())
            self._begin(spread_seconds)
        while not self._is_stopping:
            self._turn()
        for minion in self._minions:
            minion.close()

    def _add(self, number: int, standing: KnownMaster) -> LightMinion:
        minion = LightMinion(
            self._hub, len(self._minions), self._names.minion_id(number), self._names.secret(number), standing
        )
        self._minions.append(minion)
        self._scheduled.append(0)
        return minion

    def _begin(self, spread_seconds: float) -> None:
        """Have each begin at its place in that time."""
        self._is_told = False
        self._began_us = boottime_us()
        for place, minion in enumerate(self._minions):
            minion.begin_us = self._began_us + int(place * spread_seconds * 1e6 / len(self._minions))
            self._serve(place)

    def _turn(self, wait_seconds: float = 60.0) -> None:
        now_us = boottime_us()
        if self._due:
            wait_seconds = min(wait_seconds, max(0.0, (self._due[0][0] - now_us) / 1e6))
        ready = self._hub.epoll.poll(wait_seconds, maxevents=1_024)
        if self._hub.is_gathering:
            self._gather([number for number, _ in ready])
            return
        places = dict.fromkeys(self._hub.owners[number][0].place for number, _ in ready if number in self._hub.owners)
        if any(number == _STDIN for number, _ in ready):
            self._read_commands()
        for place in places:
            self._serve(place)
        now_us = boottime_us()
        while self._due and self._due[0][0] <= now_us:
            due_us, place = heapq.heappop(self._due)
            if self._scheduled[place] == due_us:
                self._scheduled[place] = 0
                self._serve(place)
        if self._hub.unready and self._is_told:
            self._is_told = False
            self._began_us = now_us
        if not self._hub.unready and not self._is_told and len(self._minions) == len(self._numbers):
            self._is_told = True
            self._say("ready")

    def _gather(self, ready: Sequence[int]) -> None:
        owners = self._hub.owners
        for number in ready:
            if number in owners:
                owners[number][0].gather()
        if _STDIN in ready:
            self._read_commands()

    def _serve(self, place: int) -> None:
        minion = self._minions[place]
        minion.turn()
        due_us = minion.deadline_us()
        if due_us is not None and due_us != self._scheduled[place]:
            self._scheduled[place] = due_us
            heapq.heappush(self._due, (due_us, place))

    def _read_commands(self) -> None:
        data = os.read(_STDIN, _COMMANDS_BYTES)
        *lines, self._commands = (self._commands + data).split(b"\n")
        if not data:
            self._is_stopping = True
        for line in lines:
            self._obey(line.decode().split())

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["count"]:
                self._say("count")
            case ["reconnect", *spread]:
                self._reconnect(float(spread[0]) if spread else 0.0)
            case ["hold"]:
                self._hub.is_holding = True
                self._say("hold")
            case ["release"]:
                self._hub.is_holding = False
                for place in range(len(self._minions)):
                    self._serve(place)
            case ["keep"]:
                self._hub.is_keeping = True
                self._say("keep")
            case ["deliver"]:
                self._hub.is_keeping, self._hub.is_gathering = False, True
                for minion in self._minions:
                    minion.deliver()
                    minion.gather()  # Whatever is sent on a socket may take in what has come: its descriptor then stays quiet.
            case ["settle"]:
                self._hub.is_gathering = False
                for place, minion in enumerate(self._minions):
                    minion.settle()
                    self._serve(place)
                self._say("settle")
            case ["stop"]:
                self._is_stopping = True
            case _:
                raise ValueError(f"there is no command {words}")

    def _reconnect(self, spread_seconds: float) -> None:
        for minion in self._minions:
            minion.leave()
        # libzmq closes in a thread of its own; without this wait all of them would need twice the descriptors for a moment.
        deadline_us = boottime_us() + _CLOSED_LIMIT_US
        while open_descriptors() > _RESERVED and boottime_us() < deadline_us:
            time.sleep(0.002)
        self._begin(spread_seconds)

    def _say(self, event: str) -> None:
        counts = self._hub.counts
        said = {
            "event": event,
            "minions": len(self._minions),
            "ready": len(self._minions) - len(self._hub.unready),
            "links": counts.links,
            "closed": dict(counts.closed),
            "ordered": sum(minion.ordered for minion in self._minions),
            "returned": sum(minion.returned for minion in self._minions),
            "kept": sum(minion.kept for minion in self._minions),
            "stored": counts.stored,
            "stored_us": counts.stored_us,
            "discarded": counts.discarded,
            "unanswered": sum(minion.unanswered for minion in self._minions),
            "malformed": sum(minion.malformed for minion in self._minions),
            "seconds": (boottime_us() - self._began_us) / 1e6,
            "descriptors": open_descriptors(),
            "cpu_seconds": sum(os.times()[:2]),
        }
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Run light minions until they are told to stop."""
    parser = argparse.ArgumentParser(prog="python -P -m scale.light_minions", description=__doc__)
    parser.add_argument("--count", type=int, required=True, help="how many minions")
    parser.add_argument("--first", type=int, default=0, help="the number of the first")
    parser.add_argument("--prefix", default=LightNames().prefix, help="of their ids")
    parser.add_argument("--seed", default=LightNames().seed, help="of their keys")
    parser.add_argument("--master", required=True, help="HOST:PORT of its enrolment port")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds over which they begin")
    parser.add_argument("--output", default="hi\n", help="what every program writes to stdout")
    parser.add_argument("--nice", type=int, default=0, help="how far to step back behind the master")
    parser.add_argument("--log-level", default="error")
    options = parser.parse_args(words)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    raise_descriptor_limit(options.count)
    if options.nice:
        step_back(options.nice)
    verify_once()
    names = LightNames(options.prefix, options.seed)
    description = describe_self(names.minion_id(options.first), __version__)  # It forks: before there is a thread.
    contexts: list[zmq.Context[zmq.Socket[bytes]]] = []
    for _ in range(0, options.count, CONTEXT_MINIONS):
        contexts.append(zmq.Context())
        # Twice: those that were closed a moment ago are still being given back when all of them reconnect.
        contexts[-1].set(zmq.MAX_SOCKETS, 2 * SOCKETS_EACH * CONTEXT_MINIONS + _RESERVED)
    master = parse_endpoint(options.master, ENROL_PORT)
    hub = Hub(contexts, select.epoll(), master, description, options.output.encode())
    LightFleet(hub, names, range(options.first, options.first + options.count)).run(options.spread)
    for context in contexts:
        context.destroy(0)
    return 0


def verify_once() -> None:
    """Verify each signature of the master once for all minions of this process.

    The machines of a fleet verify the same broadcast side by side. Here one processor would do it for all of them, a tenth of a
    millisecond each, and what is measured would be that processor.
    """
    bindings.crypto_sign_open = lru_cache(_VERIFIED_LIMIT)(bindings.crypto_sign_open)


def step_back(nice: int) -> None:
    """Leave the master its processor: the machines of a fleet take none of it.

    At 10 nine processes like this one weigh together what the master does. At 19, where it had all that it wanted, nine thousand
    minions made their handshakes too late for it, and were cut.
    """
    os.nice(nice)
    group = Path("/proc/self/autogroup")
    # Between sessions the kernel shares by group, where it has them; another's group is not ours to change.
    if group.exists() and os.getsid(0) == os.getpid():
        group.write_text(str(nice))


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def raise_descriptor_limit(count: int) -> None:
    """Take as many descriptors as the system gives.

    Raises:
        SystemExit: they are too few for so many light minions in one process.
    """
    needed = 2 * DESCRIPTORS_EACH * count + _RESERVED
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < needed:
        raise SystemExit(f"{count} light minions need {needed} descriptors, and {hard} are allowed: use more processes")


if __name__ == "__main__":
    sys.exit(main())
