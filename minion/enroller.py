"""Enrolment over TCP, in the minion's poll loop: which master, which address, when again. What is said is `core/`'s.

::

    idle ──begin──▶ looking ──addresses──▶ connecting ──▶ talking ──accepted──▶ idle
                      ▲  │ none             │ refused        │ anything else
                      │  ▼                  ▼ (next address) ▼
                      └── pausing ◀─────────┴────────────────┘   (next master at once, a pause after the last)

It never gives up: a pending minion stays on its connection for ten seconds and so learns at once that it is accepted, pauses
briefly and asks again; after failures the pauses double up to ten seconds. Each has jitter, so that a fleet that lost its
master does not come back in step.

Poll ``descriptor`` for reading, and for writing when ``wants_write``; call ``handle`` when it is ready or ``deadline_us`` has
passed. Both change with every call. Nothing here blocks.
"""

import os
import socket
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ..core.dataclass import dataclass
from ..core.endpoint import HostPort
from ..core.enrolment import Close, CloseCause, RandomBytes, Send
from ..core.enrolment_messages import CONNECTION_LIMIT_BYTES, FRAME_LENGTH_BYTES, KeyStanding, MasterDocument
from ..core.enrolment_minion import (
    Applicant,
    Learned,
    MasterChanged,
    MinionAction,
    MinionEnrolment,
    VerdictReceived,
)
from ..core.errors import StateError
from ..keys.fingerprint import fingerprint
from .dial import Dial
from .enrolment_log import EnrolmentLog
from .name_lookup import LOOKUP_LIMIT_US, Address, Lookup, NameLookups
from .standing import Standing

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
#: A key that is rejected or denied stays so until a person acts.
DECIDED_PAUSE_SECONDS = 10.0
#: After another identity has answered: neither the disk nor the log is for who shows a new one every time.
CHANGED_PAUSE_SECONDS = 5.0
#: What a master may ask for: a busy one more than usual, but none can send a minion away for ever, or make it spin.
RETRY_SECONDS = (0.5, 60.0)
#: How much of what a stranger says is shown, so that a person knows a web server or an SSH daemon by it.
HEARD_BYTES = 30
NAME_HINT = "see `master` in minion.yaml"
DIAL_HINT = "is fleet-master running there, and its enrolment port open?"
STRANGE_HINT = "`master` in minion.yaml names the master's enrolment port, 4607 unless it is configured"


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The master has accepted this minion.

    Attributes:
        master: as configured.
        address: where it was reached, in digits: use this one, for another address may be another machine.
        document: its keys and ports; kept on disk as well.
    """

    master: HostPort
    address: str
    document: MasterDocument


@dataclass(frozen=True, slots=True)
class _Pausing:
    until_us: int


@dataclass(frozen=True, slots=True)
class _Looking:
    lookup: Lookup
    until_us: int


@dataclass(slots=True)
class _Talking:
    connection: socket.socket
    address: Address
    machine: MinionEnrolment
    heard: bytes = b""
    learned: Learned | None = None
    verdict: VerdictReceived | None = None


_Stage: TypeAlias = _Pausing | _Looking | Dial | _Talking | None


class Enroller:
    """Asks one master after the other until one accepts this minion.

    Args:
        masters: their enrolment ports, in the order to try.
        applicant: what to enrol with.
        standing: which master to believe, and where what it shows is kept.
        lookups: asks for addresses.
        random: gives random bytes.
    """

    def __init__(
        self,
        masters: Sequence[HostPort],
        applicant: Applicant,
        standing: Standing,
        lookups: NameLookups | None = None,
        random: RandomBytes = os.urandom,
    ) -> None:
        self._masters = tuple(masters)
        self._applicant = applicant
        self._standing = standing
        self._lookups = lookups or NameLookups()
        self._random = random
        self._log = EnrolmentLog(applicant)
        self._stage: _Stage = None
        self._turn = 0
        self._failures = 0
        self._has_changed = False

    def descriptor(self) -> int | None:
        """Return what to poll; None while there is only the time to wait for."""
        match self._stage:
            case _Looking(lookup=lookup):
                return lookup.descriptor
            case Dial(descriptor=descriptor):
                return descriptor
            case _Talking(connection=connection):
                return connection.fileno()
            case _:
                return None

    @property
    def wants_write(self) -> bool:
        """Whether to poll for writing in place of reading: the connection is being made."""
        return isinstance(self._stage, Dial)

    def deadline_us(self) -> int | None:
        """When to call ``handle`` at the latest; None when idle."""
        match self._stage:
            case None:
                return None
            case _Talking(machine=machine):
                return machine.deadline_us
            case stage:
                return stage.until_us

    def begin(self, now_us: int) -> None:
        """Begin to ask, now and with the first master; nothing when it is under way."""
        if self._stage is None:
            self._turn = 0
            self._failures = 0
            self._stage = _Pausing(now_us)

    def stop(self) -> None:
        """End whatever is under way."""
        match self._stage:
            case _Looking(lookup=lookup):
                lookup.close()
            case Dial() as dial:
                dial.close()
            case _Talking(connection=connection):
                connection.close()
        self._stage = None

    def handle(self, now_us: int) -> Enrolled | None:
        """Do what can be done without blocking; return the master that has accepted this minion, once."""
        match self._stage:
            case _Pausing(until_us=until_us) if now_us >= until_us:
                self._look_up(now_us)
            case _Looking() as looking:
                self._look(looking, now_us)
            case Dial() as dial:
                dial.step(now_us)
                self._take_dial(dial, now_us)
            case _Talking() as talking:
                return self._talk(talking, now_us)
        return None

    @property
    def _master(self) -> HostPort:
        return self._masters[self._turn]

    def _look_up(self, now_us: int) -> None:
        lookup = self._lookups.begin(self._master)
        if lookup is None:
            self._fail("earlier look-ups of its name still wait for the name server", now_us)
            return
        looking = _Looking(lookup, now_us + LOOKUP_LIMIT_US)
        self._stage = looking
        self._look(looking, now_us)

    def _look(self, looking: _Looking, now_us: int) -> None:
        addresses = looking.lookup.addresses
        if addresses is None and now_us < looking.until_us:
            return
        looking.lookup.close()
        if addresses is None:
            self._fail("the name server does not answer", now_us, NAME_HINT)
        elif not addresses:
            self._fail(looking.lookup.failure or "its name has no address", now_us, NAME_HINT)
        else:
            self._stage = Dial(addresses, now_us)
            self._take_dial(self._stage, now_us)

    def _take_dial(self, dial: Dial, now_us: int) -> None:
        if dial.failure:
            self._fail(dial.failure, now_us, DIAL_HINT)
        elif dial.connection is not None:
            machine = MinionEnrolment(self._applicant, self._standing.judge, self._random)
            talking = _Talking(dial.connection, dial.address, machine)
            self._stage = talking
            self._perform(talking, machine.start(now_us), now_us)

    def _talk(self, talking: _Talking, now_us: int) -> Enrolled | None:
        actions = talking.machine.ticked(now_us)
        if not actions:
            try:
                data = talking.connection.recv(CONNECTION_LIMIT_BYTES)
            except BlockingIOError:
                return None
            except OSError:
                data = b""
            talking.heard = talking.heard or data[:HEARD_BYTES]
            actions = talking.machine.received(data, now_us) if data else talking.machine.closed()
        return self._perform(talking, actions, now_us)

    def _perform(self, talking: _Talking, actions: Iterable[MinionAction], now_us: int) -> Enrolled | None:
        try:
            for action in actions:
                match action:
                    case Send(data=data):
                        # Two frames of 300 bytes always fit the kernel's buffer.
                        talking.connection.send(data)
                    case Learned():
                        self._learn(talking, action, now_us)
                    case MasterChanged(identity=identity):
                        self._has_changed = True
                        self._log.changed(self._place(talking), fingerprint(identity.raw), now_us)
                    case VerdictReceived():
                        self._hear(talking, action, now_us)
                    case Close():
                        return self._end(talking, action, now_us)
        except (OSError, StateError) as problem:
            talking.connection.close()
            self._fail(problem.message if isinstance(problem, StateError) else str(problem.strerror), now_us)
        return None

    def _learn(self, talking: _Talking, learned: Learned, now_us: int) -> None:
        talking.learned = learned
        if learned.is_first_contact:
            self._log.first_contact(str(self._master), fingerprint(learned.document.identity), now_us)
        if self._standing.learned(learned.document, learned.kept, now_us):
            self._has_changed = True

    def _hear(self, talking: _Talking, verdict: VerdictReceived, now_us: int) -> None:
        talking.verdict = verdict
        self._failures = 0
        if talking.learned is not None:
            if verdict.standing is KeyStanding.ACCEPTED:
                self._standing.accepted(talking.learned.document.identity)
            self._log.verdict(str(self._master), verdict.standing, talking.learned, DECIDED_PAUSE_SECONDS, now_us)

    def _end(self, talking: _Talking, close: Close, now_us: int) -> Enrolled | None:
        talking.connection.close()
        verdict, learned = talking.verdict, talking.learned
        if verdict is None or learned is None:
            self._fail(_reason_of(close, talking), now_us, STRANGE_HINT)
            return None
        if verdict.standing is KeyStanding.ACCEPTED:
            self._stage = None
            return Enrolled(self._master, talking.address.text, learned.document)
        if verdict.standing is KeyStanding.PENDING:
            lowest, highest = RETRY_SECONDS
            self._pause(min(max(verdict.retry_seconds, lowest), highest), now_us)
            return None
        self._turn = (self._turn + 1) % len(self._masters)
        self._pause(DECIDED_PAUSE_SECONDS, now_us)
        return None

    def _fail(self, reason: str, now_us: int, hint: str = "") -> None:
        """Go on to the next master, at once; after the last one pause."""
        self._log.failed(str(self._master), reason, hint, now_us)
        self._turn = (self._turn + 1) % len(self._masters)
        if self._turn:
            self._stage = _Pausing(now_us)
            return
        self._failures += 1
        self._pause(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - 1, 10)), now_us)

    def _pause(self, seconds: float, now_us: int) -> None:
        """Wait between half of that time and all of it; twice ``CHANGED_PAUSE_SECONDS`` when another identity has answered."""
        if self._has_changed:
            self._has_changed, seconds = False, max(seconds, 2 * CHANGED_PAUSE_SECONDS)
        share = 0.5 + int.from_bytes(self._random(4), "big") / 2**33
        self._stage = _Pausing(now_us + int(seconds * share * 1_000_000))

    def _place(self, talking: _Talking) -> str:
        return f"{self._master} ({talking.address.text})"


def _reason_of(close: Close, talking: _Talking) -> str:
    """Why an attempt ended without a verdict; where the other side speaks no frames at all, what it says instead."""
    announced_bytes = int.from_bytes(talking.heard[:FRAME_LENGTH_BYTES], "big")
    if close.cause is CloseCause.MALFORMED and announced_bytes > CONNECTION_LIMIT_BYTES:
        return f"what answers there is no fleet master: it says {talking.heard.decode('utf-8', 'backslashreplace')!r}"
    return close.reason
