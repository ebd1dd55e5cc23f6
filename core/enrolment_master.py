"""The master's side of one enrolment connection, sans-IO: it introduces itself, and takes an offer with its proof."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from . import packing
from .crypto import LABEL_MASTER, NONCE_BYTES, CurvePublic, CurveSecret, SigningKey
from .dataclass import dataclass
from .enrolment import CONNECTION_LIMIT_US, SILENCE_LIMIT_US, Close, CloseCause, RandomBytes, Send
from .enrolment_messages import (
    FRESHNESS_BYTES,
    Enrol,
    Frame,
    FrameReader,
    KeyStanding,
    MasterDocument,
    SignedDocument,
    Verdict,
    Who,
    box_verdict,
    open_claim,
    read_from_minion,
    transcript_of,
    write_frame,
)
from .errors import ProtocolError
from .messages import PROTOCOL_MINIMUM, PROTOCOL_VERSION
from .names import MinionId


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a master introduces itself with."""

    identity: SigningKey
    curve: CurveSecret
    publish_port: int
    request_port: int
    fleet_version: str
    protocol_minimum: int = PROTOCOL_MINIMUM
    protocol_maximum: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Offer:
    """A minion that holds this key (X25519, 32 bytes) asks for it to be accepted. Answer with ``decided``."""

    minion_id: MinionId
    public_key: bytes
    fleet_version: str


MasterAction: TypeAlias = Send | Close | Offer


class MasterKnows(StrEnum):
    """What the master knows on this connection."""

    NOTHING = "knows_nothing"
    VERSIONS = "knows_versions"
    MINION = "knows_minion"
    IT_WAITS = "knows_it_waits"
    CLOSED = "closed"


class MasterEvent(StrEnum):
    """What can happen to it."""

    WHO = "who"
    ENROL = "enrol"
    DECIDED = "decided"
    END = "end"


_S, _E = MasterKnows, MasterEvent

#: What is not listed is an error of the other side.
TRANSITIONS: Mapping[tuple[MasterKnows, MasterEvent], MasterKnows] = MappingProxyType(
    {
        (_S.NOTHING, _E.WHO): _S.VERSIONS,
        (_S.VERSIONS, _E.ENROL): _S.MINION,
        (_S.MINION, _E.DECIDED): _S.IT_WAITS,
        (_S.IT_WAITS, _E.DECIDED): _S.IT_WAITS,
        **{(state, _E.END): _S.CLOSED for state in MasterKnows},
    }
)


class MasterEnrolment:
    """One connection of a stranger.

    Attributes:
        state: what the master knows.
        deadline_us: when ``ticked`` closes the connection; it moves on with what the stranger proves.
        offer: what it has proved; None before.
    """

    __slots__ = (
        "_end_us",
        "_introduction",
        "_minion",
        "_random",
        "_reader",
        "_standing",
        "_transcript",
        "_verdicts",
        "deadline_us",
        "offer",
        "state",
    )

    def __init__(self, introduction: Introduction, random: RandomBytes, now_us: int) -> None:
        """Begin: the connection was accepted."""
        self.state = MasterKnows.NOTHING
        self.deadline_us = now_us + SILENCE_LIMIT_US
        self.offer: Offer | None = None
        self._introduction = introduction
        self._random = random
        self._end_us = now_us + CONNECTION_LIMIT_US
        self._reader = FrameReader()
        self._transcript = b""
        self._minion: CurvePublic | None = None
        self._standing: KeyStanding | None = None
        self._verdicts = 0

    @property
    def is_closed(self) -> bool:
        """Nothing more is taken or said."""
        return self.state is MasterKnows.CLOSED

    def received(self, data: bytes, now_us: int) -> list[MasterAction]:
        """Take bytes of the stranger, in pieces of any size."""
        actions = self.ticked(now_us)
        try:
            self._reader.feed(data)
            while not self.is_closed and (frame := self._reader.next_frame()) is not None:
                actions += self._take(frame, now_us)
        except ProtocolError as problem:
            actions.append(self._close(CloseCause.MALFORMED, problem.message))
        return actions

    def decided(self, standing: KeyStanding, retry_seconds: float) -> list[MasterAction]:
        """Tell the minion where its key stands; while it is pending the connection waits for the next decision."""
        if self._minion is None or self.is_closed or standing is self._standing:
            return []
        self._standing = standing
        self._verdicts += 1
        verdict = Verdict(standing, self._verdicts, retry_seconds, self._transcript)
        boxed = box_verdict(verdict, self._introduction.curve, self._minion, self._random(NONCE_BYTES))
        self._move(MasterEvent.DECIDED)
        told: list[MasterAction] = [Send(write_frame(boxed))]
        if standing is KeyStanding.PENDING:
            return told
        return [*told, self._close(CloseCause.FINISHED, f"the key is {standing}")]

    def closed(self) -> list[MasterAction]:
        """The stranger has closed the connection, or the network has."""
        if self.is_closed:
            return []
        return [self._close(self._ending(CloseCause.GONE), "the minion closed the connection")]

    def ticked(self, now_us: int) -> list[MasterAction]:
        """Close when the time is over."""
        if self.is_closed or now_us < self.deadline_us:
            return []
        return [self._close(self._ending(CloseCause.OVERDUE), f"its time was over while the master {self.state}")]

    def _take(self, frame: Frame, now_us: int) -> list[MasterAction]:
        message = read_from_minion(frame)
        match message:
            case Who():
                self._move(MasterEvent.WHO)
                self.deadline_us = min(now_us + SILENCE_LIMIT_US, self._end_us)
                return self._introduce(message, frame.raw)
            case Enrol():
                self._move(MasterEvent.ENROL)
                self.deadline_us = self._end_us
                return self._take_claim(message)

    def _introduce(self, who: Who, raw: bytes) -> list[MasterAction]:
        mine = self._introduction
        document = packing.encode(
            MasterDocument(
                identity=mine.identity.public.raw,
                curve=mine.curve.public.raw,
                publish_port=mine.publish_port,
                request_port=mine.request_port,
                protocol_minimum=mine.protocol_minimum,
                protocol_maximum=mine.protocol_maximum,
                minion_nonce=who.nonce,
                master_nonce=self._random(FRESHNESS_BYTES),
                fleet_version=mine.fleet_version,
            )
        )
        answer = write_frame(SignedDocument(document, mine.identity.sign(LABEL_MASTER, document)))
        self._transcript = transcript_of(raw, answer)
        # It is told all the same: the document is signed, so the minion knows whom to upgrade.
        if who.protocol_maximum < mine.protocol_minimum or who.protocol_minimum > mine.protocol_maximum:
            spoken = f"{who.protocol_minimum} to {who.protocol_maximum}"
            return [Send(answer), self._close(CloseCause.REFUSED, f"it speaks protocol versions {spoken}")]
        return [Send(answer)]

    def _take_claim(self, enrol: Enrol) -> list[MasterAction]:
        minion = CurvePublic(enrol.public_key)
        claim = open_claim(enrol, self._introduction.curve, minion, self._transcript)
        self._minion = minion
        self.offer = Offer(claim.minion_id, enrol.public_key, claim.fleet_version)
        return [self.offer]

    def _ending(self, otherwise: CloseCause) -> CloseCause:
        """For a minion that waits the end of the connection is what both expect."""
        return CloseCause.FINISHED if self.state is MasterKnows.IT_WAITS else otherwise

    def _close(self, cause: CloseCause, reason: str) -> Close:
        self._move(MasterEvent.END)
        return Close(cause, reason)

    def _move(self, event: MasterEvent) -> None:
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            raise ProtocolError(f"a message of kind {event} while the master {self.state}")
        self.state = after
