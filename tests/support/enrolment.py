"""Two sides of an enrolment with keys, randomness and time that are the same in every run."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from fleet.core.crypto import CurveSecret, SigningKey, VerifyKey
from fleet.core.enrolment import Send
from fleet.core.enrolment_master import Introduction, MasterAction, MasterEnrolment, Offer
from fleet.core.enrolment_messages import KeyStanding
from fleet.core.enrolment_minion import Applicant, Learned, MinionAction, MinionEnrolment, Trust
from fleet.core.names import MinionId

START_US = 1_000_000
IDENTITY = SigningKey.from_seed(bytes(range(32)))
MASTER_CURVE = CurveSecret.generate(bytes(range(32, 64)))
MINION_CURVE = CurveSecret.generate(bytes(range(64, 96)))
INTRODUCTION = Introduction(IDENTITY, MASTER_CURVE, 4605, 4606, "0.1.0")
APPLICANT = Applicant(MinionId("web-1"), MINION_CURVE, "0.1.0")

Kind = TypeVar("Kind")


def counted_bytes(seed: bytes) -> Callable[[int], bytes]:
    """Make a source of "random" bytes that gives the same ones in every run."""
    count = 0

    def give(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(seed + count.to_bytes(4, "big")).digest(length)

    return give


def trust_everybody(_: VerifyKey) -> Trust:
    """Judge as a minion that has met no master."""
    return Trust.FIRST_CONTACT


def minion_side(judge: Callable[[VerifyKey], Trust] = trust_everybody, seed: bytes = b"minion") -> MinionEnrolment:
    """Make a minion's side."""
    return MinionEnrolment(APPLICANT, judge, counted_bytes(seed))


def master_side(introduction: Introduction = INTRODUCTION, seed: bytes = b"master") -> MasterEnrolment:
    """Make a master's side."""
    return MasterEnrolment(introduction, counted_bytes(seed), START_US)


def sent(actions: Iterable[MinionAction | MasterAction]) -> bytes:
    """Return the bytes that the actions send."""
    return b"".join(action.data for action in actions if isinstance(action, Send))


def only(kind: type[Kind], actions: Sequence[object]) -> Kind:
    """Return the one action of this kind."""
    (found,) = (action for action in actions if isinstance(action, kind))
    return found


class Conversation:
    """A minion and a master that have come to the offer; ``tell`` goes on from there."""

    def __init__(self, minion: MinionEnrolment | None = None, master: MasterEnrolment | None = None) -> None:
        self.minion = minion or minion_side()
        self.master = master or master_side()
        self.who = sent(self.minion.start(START_US))
        self.document = sent(self.master.received(self.who, START_US))
        learned = self.minion.received(self.document, START_US)
        self.learned = only(Learned, learned)
        self.enrol = sent(learned)
        self.offer = only(Offer, self.master.received(self.enrol, START_US))

    def tell(self, standing: KeyStanding, retry_seconds: float = 10.0) -> list[MinionAction]:
        """Decide at the master; return what the minion makes of it."""
        return self.minion.received(sent(self.master.decided(standing, retry_seconds)), START_US)
