"""What the enrolment port allows, and what it counts: ``master/enrolment_port.py`` says what happens beyond each bound."""

from ..core.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class PortLimits:
    """The bounds that are settings.

    Attributes:
        connections: in all.
        connections_per_source: from one source.
        accepts_per_second: in the long run.
        accept_burst: at once.
    """

    connections: int = 256
    connections_per_source: int = 64
    accepts_per_second: float = 200.0
    accept_burst: float = 400.0


@dataclass(slots=True)
class EnrolmentCounters:
    """How often what happened since the start.

    Attributes:
        accepted: connections taken.
        refused: connections closed at once, for want of room.
        displaced: connections that made room for a newer one before they proved anything.
        throttled: times that the queue was left to the kernel, more having come than are served.
        exhausted: connections closed because the process has no descriptors left.
        malformed: ended because of what they sent.
        overdue: ended because their time was over.
        other_version: ended because they speak no version of ours.
        gone: ended by the other side before it was answered.
        offers: keys that were proved.
        sent_off: pending minions that made room while they waited; they come again.
    """

    accepted: int = 0
    refused: int = 0
    displaced: int = 0
    throttled: int = 0
    exhausted: int = 0
    malformed: int = 0
    overdue: int = 0
    other_version: int = 0
    gone: int = 0
    offers: int = 0
    sent_off: int = 0
