"""Both sides of enrolment, sans-IO: bytes and the time go in, a list of actions comes out, and nothing is ever raised.

States are named by what is known; what a state does not list is an error that closes the connection::

    minion   knows_nothing ──start──▶ asked ──SignedDocument──▶ knows_master ──BoxedVerdict──▶ knows_it_waits
                                        │                          │                             │
                                        └──── changed master ──────┴──── accepted, rejected, ────┴──▶ closed
                                                                         denied, 10 s

    master   knows_nothing ──Who──▶ knows_versions ──Enrol──▶ knows_minion ──decided: pending──▶ knows_it_waits
                  │                       │                        │                                │
                  └── 5 s ────────────────┴── 5 s                  └──── decided otherwise, 10 s ───┴──▶ closed

Each object lives as long as its connection. Whatever is malformed, late or too long ends in ``Close``; afterwards nothing
more is taken or said. ``core/enrolment_messages.py`` has the frames and says what each proves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from . import codec
from .crypto import LABEL_MASTER, NONCE_BYTES, CurvePublic, CurveSecret, SigningKey, VerifyKey
from .enrolment_messages import (
    CONNECTION_LIMIT_BYTES,
    FRESHNESS_BYTES,
    BoxedVerdict,
    Claim,
    Enrol,
    Frame,
    FrameReader,
    FromHost,
    FromStranger,
    KeyStanding,
    MasterDocument,
    SignedDocument,
    Verdict,
    Who,
    box_claim,
    box_verdict,
    open_claim,
    open_verdict,
    read_document,
    read_from_master,
    read_from_minion,
    transcript_of,
    write_frame,
)
from .errors import ProtocolError
from .messages import PROTOCOL_MINIMUM, PROTOCOL_VERSION
from .names import MinionId

#: How long one connection lives in all; a pending minion waits that long for the operator and then asks again.
CONNECTION_LIMIT_US = 10_000_000
#: How long a stranger may take until it has proved a key.
PROOF_LIMIT_US = 5_000_000

RandomBytes: TypeAlias = Callable[[int], bytes]


class CloseCause(StrEnum):
    """Why a side closes."""

    FINISHED = "finished"
    MALFORMED = "malformed"
    OVERDUE = "overdue"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Send what is still unsent, then close the connection."""

    cause: CloseCause
    reason: str


@dataclass(frozen=True, slots=True)
class Learned:
    """To the minion: this is the master.

    Attributes:
        document: what it says of itself.
        kept: the signed bytes, for ``verify_document`` at a later start.
        is_first_contact: nothing was known of it before: tell a person, and take it as provisional.
    """

    document: MasterDocument
    kept: bytes
    is_first_contact: bool


@dataclass(frozen=True, slots=True)
class MasterChanged:
    """To the minion: another identity answers than the pinned one; it was refused and learned nothing."""

    identity: VerifyKey


@dataclass(frozen=True, slots=True)
class VerdictReceived:
    """To the minion: the master's own word about its key."""

    standing: KeyStanding
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Offer:
    """To the master: a minion that holds this key asks for it to be accepted. Answer with ``decided``."""

    minion_id: MinionId
    public_key: bytes
    fleet_version: str


MinionAction: TypeAlias = Send | Close | Learned | MasterChanged | VerdictReceived
MasterAction: TypeAlias = Send | Close | Offer


class Trust(StrEnum):
    """What a minion thinks of the identity that a master shows."""

    KNOWN = "known"
    FIRST_CONTACT = "first_contact"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Applicant:
    """What a minion enrols with."""

    minion_id: MinionId
    curve: CurveSecret
    fleet_version: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a master introduces itself with; the ports are those that minions can reach."""

    identity: SigningKey
    curve: CurveSecret
    publish_port: int
    request_port: int
    fleet_version: str
    protocol_minimum: int = PROTOCOL_MINIMUM
    protocol_maximum: int = PROTOCOL_VERSION


class MinionKnows(StrEnum):
    """What the minion knows on this connection."""

    NOTHING = "knows_nothing"
    ASKED = "asked"
    MASTER = "knows_master"
    IT_WAITS = "knows_it_waits"
    CLOSED = "closed"


class MasterKnows(StrEnum):
    """What the master knows on this connection."""

    NOTHING = "knows_nothing"
    VERSIONS = "knows_versions"
    MINION = "knows_minion"
    IT_WAITS = "knows_it_waits"
    CLOSED = "closed"


class MinionEnrolment:
    """The minion's side of one connection.

    Attributes:
        state: what it knows.
        deadline_us: when ``ticked`` closes the connection.
    """

    def __init__(self, applicant: Applicant, judge: Callable[[VerifyKey], Trust], random: RandomBytes) -> None:
        """Prepare; ``judge`` compares an identity with what is configured or pinned, ``random`` gives random bytes."""
        self.state = MinionKnows.NOTHING
        self.deadline_us = 0
        self._applicant = applicant
        self._judge = judge
        self._random = random
        self._reader = FrameReader()
        self._nonce = b""
        self._who = b""
        self._transcript = b""
        self._master: CurvePublic | None = None
        self._last_number = 0

    def start(self, now_us: int) -> list[MinionAction]:
        """Begin: the connection is open."""
        if self.state is not MinionKnows.NOTHING:
            return []
        self.state = MinionKnows.ASKED
        self.deadline_us = now_us + CONNECTION_LIMIT_US
        self._nonce = self._random(FRESHNESS_BYTES)
        self._who = write_frame(Who(PROTOCOL_MINIMUM, PROTOCOL_VERSION, self._nonce))
        return [Send(self._who)]

    def received(self, data: bytes, now_us: int) -> list[MinionAction]:
        """Take bytes of the master, in pieces of any size."""
        overdue = self.ticked(now_us)
        if overdue or self.state in {MinionKnows.NOTHING, MinionKnows.CLOSED}:
            return overdue
        actions: list[MinionAction] = []
        try:
            self._reader.feed(data)
            while self.state is not MinionKnows.CLOSED and (frame := self._reader.next_frame()) is not None:
                actions += self._take(frame)
        except ProtocolError as problem:
            actions += self._close(CloseCause.MALFORMED, problem.message)
        return actions

    def closed(self) -> list[MinionAction]:
        """The master has closed the connection, or the network has."""
        if self.state is MinionKnows.CLOSED:
            return []
        waits = self.state is MinionKnows.IT_WAITS
        return self._close(CloseCause.FINISHED if waits else CloseCause.GONE, "the master closed the connection")

    def ticked(self, now_us: int) -> list[MinionAction]:
        """Close when the time is over."""
        if self.state in {MinionKnows.NOTHING, MinionKnows.CLOSED} or now_us < self.deadline_us:
            return []
        waits = self.state is MinionKnows.IT_WAITS
        return self._close(CloseCause.FINISHED if waits else CloseCause.OVERDUE, "no further answer in time")

    def _take(self, frame: Frame) -> list[MinionAction]:
        message = read_from_master(frame)
        step = self._STEPS.get((self.state, type(message)))
        if step is None:
            raise ProtocolError(f"a {type(message).__name__} while the minion {self.state}")
        return step(self, frame, message)

    def _learn_master(self, frame: Frame, message: FromHost) -> list[MinionAction]:
        signed = _expect(SignedDocument, message)
        document = read_document(signed)
        if document.minion_nonce != self._nonce:
            raise ProtocolError("the document answers somebody else's question")
        identity = VerifyKey(document.identity)
        trust = self._judge(identity)
        if trust is Trust.CHANGED:
            return [MasterChanged(identity), *self._close(CloseCause.REFUSED, "another master answers")]
        if document.protocol_maximum < PROTOCOL_MINIMUM or document.protocol_minimum > PROTOCOL_VERSION:
            spoken = f"{document.protocol_minimum} to {document.protocol_maximum}"
            mine = f"{PROTOCOL_MINIMUM} to {PROTOCOL_VERSION}"
            reason = f"the master ({document.fleet_version}) speaks protocol versions {spoken}, this minion {mine}"
            return self._close(CloseCause.REFUSED, f"{reason}: upgrade the older one")
        self._master = CurvePublic(document.curve)
        self._transcript = transcript_of(self._who, frame.raw)
        self.state = MinionKnows.MASTER
        claim = Claim(self._applicant.minion_id, self._transcript, self._applicant.fleet_version)
        enrol = box_claim(claim, self._applicant.curve, self._master, self._random(NONCE_BYTES))
        return [Learned(document, codec.encode(signed), trust is Trust.FIRST_CONTACT), Send(write_frame(enrol))]

    def _hear_verdict(self, _: Frame, message: FromHost) -> list[MinionAction]:
        boxed = _expect(BoxedVerdict, message)
        if self._master is None:
            raise ProtocolError("a verdict before the document")
        verdict = open_verdict(boxed, self._applicant.curve, self._master, self._transcript)
        if verdict.number <= self._last_number:
            raise ProtocolError("a verdict came twice")
        self._last_number = verdict.number
        heard = VerdictReceived(verdict.standing, verdict.retry_seconds)
        if verdict.standing is KeyStanding.PENDING:
            self.state = MinionKnows.IT_WAITS
            return [heard]
        return [heard, *self._close(CloseCause.FINISHED, f"the key is {verdict.standing}")]

    def _close(self, cause: CloseCause, reason: str) -> list[MinionAction]:
        self.state = MinionKnows.CLOSED
        return [Close(cause, reason)]

    _STEPS: Mapping[tuple[MinionKnows, type], Callable[["MinionEnrolment", Frame, FromHost], list[MinionAction]]] = (
        MappingProxyType(
            {
                (MinionKnows.ASKED, SignedDocument): _learn_master,
                (MinionKnows.MASTER, BoxedVerdict): _hear_verdict,
                (MinionKnows.IT_WAITS, BoxedVerdict): _hear_verdict,
            }
        )
    )
