"""What the master says to a minion: one frozen dataclass a message."""

from .dataclass import dataclass
from .names import Jid


@dataclass(frozen=True, slots=True)
class Welcome:
    """The session: everything a minion may believe about where it stands.

    Attributes:
        token: opens every further message of the session, both ways.
        epoch: of the broadcast key.
        broadcast_key: 32 bytes, never written to disk.
        sequence: broadcasts up to this one are not for this session.
        master_time_us: the master's clock.
        heartbeat_seconds: how often to say that the loop lives.
        reconnect_window_seconds: over how long to spread reconnects, by the size of the fleet.
        wants_grains: the digest in hello is not known.
        wants_catalogue: likewise.
        master_version: its release, for people.
        incarnation: random, made with the master's store; another one means a store restored or made anew.
    """

    token: bytes
    epoch: int
    broadcast_key: bytes
    sequence: int
    master_time_us: int
    heartbeat_seconds: float
    reconnect_window_seconds: float
    wants_grains: bool
    wants_catalogue: bool
    master_version: str
    incarnation: bytes


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The master's loop is alive."""

    number: int
    master_time_us: int


@dataclass(frozen=True, slots=True)
class JobOrder:
    """A job for this minion over its own connection.

    Attributes:
        document: encoded ``JobDocument``, as signed.
        signature: by the master's identity over label and document.
    """

    document: bytes
    signature: bytes
    master_time_us: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The return is committed; the minion may forget it."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Discard:
    """The return is not wanted; the minion may forget it."""

    jid: Jid
    reason: str


@dataclass(frozen=True, slots=True)
class Need:
    """Send this stream from this offset on, ``WINDOW_BYTES`` at most; then wait."""

    jid: Jid
    stream: str
    offset: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this job; when it is unknown, do not start it later."""

    jid: Jid
    expires_us: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """A new broadcast key; the old one is dead."""

    epoch: int
    broadcast_key: bytes
    sequence: int
    master_time_us: int


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Say where this job stands: by its progress, its return, or that it is unknown."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class Rejoin:
    """This connection has no session (any more): say hello.

    Attributes:
        reason: for the log.
        retry_seconds: how long to wait before.
    """

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ping:
    """Answer with ``Pong``. Since version 2."""

    number: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Somebody follows the output of a job: send it as it is made. Once begun it holds for ``FOLLOW_US``, and is repeated before.

    Attributes:
        number: a new one begins anew at the offsets; a repeated one goes on, and moves only how far.
        stdout_offset, stderr_offset: how much of each stream is here.
        limit_bytes: how much of each may be sent beyond these offsets before this is repeated.
    """

    jid: Jid
    number: int
    stdout_offset: int
    stderr_offset: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop everything of this job, its return included; stop it when it runs, never start it when it does not. Since version 2.

    Attributes:
        expires_us: until when its order may still be on its way.
    """

    jid: Jid
    expires_us: int


@dataclass(frozen=True, slots=True)
class StdinChunk:
    """Bytes of the stdin of one job, from ``offset`` on; sent only when asked for. Since version 2.

    Attributes:
        data: at most ``CHUNK_LIMIT_BYTES``; none when nothing of that stdin is to be had (any more).
    """

    jid: Jid
    offset: int
    data: bytes
