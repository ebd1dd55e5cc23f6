"""The minion's side of one enrolment connection, sans-IO: whom it trusts, and what it is told about its key."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from . import packing
from .crypto import NONCE_BYTES, CurvePublic, CurveSecret, VerifyKey
from .dataclass import dataclass
from .enrolment import CONNECTION_LIMIT_US, Close, CloseCause, RandomBytes, Send
from .enrolment_messages import (
    FRESHNESS_BYTES,
    BoxedVerdict,
    Claim,
    Frame,
    FrameReader,
    KeyStanding,
    MasterDocument,
    SignedDocument,
    Who,
    box_claim,
    open_verdict,
    read_document,
    read_from_master,
    transcript_of,
    write_frame,
)
from .errors import ProtocolError, VersionError
from .messages import PROTOCOL_MINIMUM, PROTOCOL_VERSION
from .names import MinionId


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
class Learned:
    """This is the master, and what it says is fresh.

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
    """Another identity answers than the pinned one; it was refused and told nothing."""

    identity: VerifyKey


@dataclass(frozen=True, slots=True)
class VerdictReceived:
    """The master's own word about the key: nobody else can say it.

    Attributes:
        standing: the state of the key; after anything but ``pending`` the connection is closed.
        retry_seconds: when to ask again; the master's wish, so bound it.
    """

    standing: KeyStanding
    retry_seconds: float


MinionAction: TypeAlias = Send | Close | Learned | MasterChanged | VerdictReceived


class MinionKnows(StrEnum):
    """What the minion knows on this connection."""

    NOTHING = "knows_nothing"
    ASKED = "asked"
    MASTER = "knows_master"
    IT_WAITS = "knows_it_waits"
    CLOSED = "closed"


class MinionEvent(StrEnum):
    """What can happen to it."""

    START = "start"
    DOCUMENT = "document"
    VERDICT = "verdict"
    END = "end"


_S, _E = MinionKnows, MinionEvent

#: What is not listed is an error of the other side.
TRANSITIONS: Mapping[tuple[MinionKnows, MinionEvent], MinionKnows] = MappingProxyType(
    {
        (_S.NOTHING, _E.START): _S.ASKED,
        (_S.ASKED, _E.DOCUMENT): _S.MASTER,
        (_S.MASTER, _E.VERDICT): _S.IT_WAITS,
        (_S.IT_WAITS, _E.VERDICT): _S.IT_WAITS,
        **{(state, _E.END): _S.CLOSED for state in MinionKnows},
    }
)


class MinionEnrolment:
    """One connection to a master.

    Attributes:
        state: what the minion knows.
        deadline_us: when ``ticked`` closes the connection; meaningless before ``start``.
    """

    def __init__(self, applicant: Applicant, judge: Callable[[VerifyKey], Trust], random: RandomBytes) -> None:
        """Prepare; ``judge`` compares an identity with what is configured or pinned."""
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
        self._verdicts = 0

    @property
    def is_closed(self) -> bool:
        """Nothing more is taken or said."""
        return self.state is MinionKnows.CLOSED

    def start(self, now_us: int) -> list[MinionAction]:
        """Begin: the connection is open."""
        if self.state is not MinionKnows.NOTHING:
            return []
        self._move(MinionEvent.START)
        self.deadline_us = now_us + CONNECTION_LIMIT_US
        self._nonce = self._random(FRESHNESS_BYTES)
        self._who = write_frame(Who(PROTOCOL_MINIMUM, PROTOCOL_VERSION, self._nonce))
        return [Send(self._who)]

    def received(self, data: bytes, now_us: int) -> list[MinionAction]:
        """Take bytes of the master, in pieces of any size."""
        actions = self.ticked(now_us)
        try:
            self._reader.feed(data)
            while not self.is_closed and (frame := self._reader.next_frame()) is not None:
                actions += self._take(frame)
        except VersionError as problem:
            actions.append(self._close(CloseCause.REFUSED, f"{problem.message}: {problem.hint}"))
        except ProtocolError as problem:
            actions.append(self._close(CloseCause.MALFORMED, problem.message))
        return actions

    def closed(self) -> list[MinionAction]:
        """The other side has closed the connection, or the network has."""
        if self.is_closed:
            return []
        return [self._close(self._ending(CloseCause.GONE), "the master closed the connection")]

    def ticked(self, now_us: int) -> list[MinionAction]:
        """Close when the time is over."""
        if self.is_closed or self.state is MinionKnows.NOTHING or now_us < self.deadline_us:
            return []
        return [self._close(self._ending(CloseCause.OVERDUE), "the master did not answer in time")]

    def _take(self, frame: Frame) -> list[MinionAction]:
        message = read_from_master(frame)
        match message:
            case SignedDocument():
                self._move(MinionEvent.DOCUMENT)
                return self._learn_master(message, frame.raw)
            case BoxedVerdict():
                self._move(MinionEvent.VERDICT)
                return self._hear_verdict(message)

    def _learn_master(self, signed: SignedDocument, raw: bytes) -> list[MinionAction]:
        document = read_document(signed)
        if document.minion_nonce != self._nonce:
            raise ProtocolError("the document answers another question")
        identity = VerifyKey(document.identity)
        trust = self._judge(identity)
        if trust is Trust.CHANGED:
            return [MasterChanged(identity), self._close(CloseCause.REFUSED, "another master answers")]
        _check_versions(document)
        self._master = CurvePublic(document.curve)
        self._transcript = transcript_of(self._who, raw)
        claim = Claim(self._applicant.minion_id, self._transcript, self._applicant.fleet_version)
        enrol = box_claim(claim, self._applicant.curve, self._master, self._random(NONCE_BYTES))
        return [Learned(document, packing.encode(signed), trust is Trust.FIRST_CONTACT), Send(write_frame(enrol))]

    def _hear_verdict(self, boxed: BoxedVerdict) -> list[MinionAction]:
        if self._master is None:
            raise ProtocolError("a verdict before the document")
        verdict = open_verdict(boxed, self._applicant.curve, self._master, self._transcript)
        if verdict.number <= self._verdicts:
            raise ProtocolError("a verdict came twice")
        self._verdicts = verdict.number
        heard = VerdictReceived(verdict.standing, verdict.retry_seconds)
        if verdict.standing is KeyStanding.PENDING:
            return [heard]
        return [heard, self._close(CloseCause.FINISHED, f"the key is {verdict.standing}")]

    def _ending(self, otherwise: CloseCause) -> CloseCause:
        """For a minion that waits the end of the connection is what it expects."""
        return CloseCause.FINISHED if self.state is MinionKnows.IT_WAITS else otherwise

    def _close(self, cause: CloseCause, reason: str) -> Close:
        self._move(MinionEvent.END)
        return Close(cause, reason)

    def _move(self, event: MinionEvent) -> None:
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise ProtocolError(f"a {event} while the minion is in state {self.state}")
        self.state = after


def _check_versions(document: MasterDocument) -> None:
    if document.protocol_maximum < PROTOCOL_MINIMUM or document.protocol_minimum > PROTOCOL_VERSION:
        raise VersionError(
            f"the master ({document.fleet_version}) speaks protocol versions {document.protocol_minimum} to "
            f"{document.protocol_maximum}, this minion {PROTOCOL_MINIMUM} to {PROTOCOL_VERSION}",
            "upgrade the older of the two sides",
        )
