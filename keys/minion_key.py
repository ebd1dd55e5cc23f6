"""One minion key and its state."""

from enum import StrEnum

from ..core.dataclass import dataclass
from ..core.names import MinionId
from .fingerprint import fingerprint


class KeyState(StrEnum):
    """What the operator has said about a key. Append only: it is in the store and in the answers of ``fleet-key``.

    ``pending`` and ``denied`` keys are *candidates*: nobody has decided about them. Which of the two follows from the id:
    ``denied`` when another key of it is accepted, else ``pending``.
    """

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DENIED = "denied"

    @property
    def is_candidate(self) -> bool:
        """Whether nobody has decided about the key."""
        return self in {KeyState.PENDING, KeyState.DENIED}


@dataclass(frozen=True, slots=True)
class MinionKey:
    """A public key that was offered under an id, with the proof that the secret half is held.

    Attributes:
        minion_id: what the minion calls itself.
        public_key: X25519, 32 bytes.
        state: what the operator has said about it.
        first_seen_us: when it was first offered, microseconds since 1970, UTC.
        last_seen_us: when it was last offered.
        address: from where it was last offered.
        decided_us: when it was accepted or rejected; None for a candidate.
    """

    minion_id: MinionId
    public_key: bytes
    state: KeyState
    first_seen_us: int
    last_seen_us: int
    address: str
    decided_us: int | None = None

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key; computed at each call, so that ten thousand keys load at once."""
        return fingerprint(self.public_key)
