"""What master and minion say to each other: one frozen dataclass a message, and the append-only table of kinds.

A message on the request port is one frame::

    byte 0      protocol version           in which this kind came, see ``SINCE``; checked before anything else
    byte 1      kind                       an index of ``FROM_MINION`` or ``FROM_MASTER``
    byte 2-17   session token              sixteen zero bytes in Hello, Welcome and Rejoin
    byte 18-    body                       msgpack array of the fields, in the order written here

Fields are only ever appended, with a default: a shorter array is filled up, what is too long is ignored. The same names stand
in code, logs and ``docs/protocol.md``.
"""

from collections.abc import Mapping
from types import MappingProxyType

from .from_master import (
    Cancel,
    Discard,
    Follow,
    Forget,
    HeartbeatAnswer,
    Inquiry,
    JobOrder,
    Need,
    Ping,
    Rejoin,
    Renewal,
    StdinChunk,
    Stored,
    Welcome,
)
from .from_minion import (
    CatalogueReport,
    Forgotten,
    GrainsReport,
    Heartbeat,
    Hello,
    JobProgress,
    LiveOutput,
    MinionEvent,
    NeedStdin,
    OutputChunk,
    Pong,
    Ready,
    Renewed,
    Return,
    UnknownJob,
)

#: The newest version that this release speaks.
PROTOCOL_VERSION = 2
#: The oldest version that this release still serves; a peer below it is told so and refused.
PROTOCOL_MINIMUM = 1
#: The first version. What it had is written under its number for ever, so that both neighbours of a release read it.
PROTOCOL_FIRST = 1

TOKEN_BYTES = 16
NO_TOKEN = bytes(TOKEN_BYTES)
HEADER_BYTES = 2 + TOKEN_BYTES

#: What a minion may send in one frame. Output chunks are 32 KiB, inline streams 16 KiB each: nothing needs more, and
#: a stolen minion key can fill no more than this times the high-water mark.
REQUEST_FRAME_LIMIT_BYTES = 128 * 1024
#: How many items a frame of a minion may hold: an inventory of 4,000 jobs has 12,000. An item of one byte becomes eighty in memory, so
#: that 128 KiB of them were 10 MiB; what is shorter than this need not be counted.
FRAME_LIMIT_ITEMS = 20_000
FEW_ITEMS_BYTES = 16 * 1024
#: A minion's own event, as a frame.
EVENT_FRAME_LIMIT_BYTES = 16 * 1024
#: What the master may send in one frame: a job with its arguments.
JOB_FRAME_LIMIT_BYTES = 4 * 1024 * 1024
CHUNK_LIMIT_BYTES = 32 * 1024
INLINE_LIMIT_BYTES = 16 * 1024
#: A longer stdout or stderr goes to the job cache, and from there to whoever reads it, in parts of so many bytes: a multiple of a window.
OUTPUT_PART_BYTES = 1024 * 1024
#: What is handed to the transport for one minion, or by one minion, without an answer (DESIGN D8).
WINDOW_BYTES = 256 * 1024
#: Jobs of one minion whose output is followed at one time, and how much of a stream may be under way: together a window.
FOLLOWED_JOBS_LIMIT = 4
FOLLOW_LIMIT_BYTES = WINDOW_BYTES // FOLLOWED_JOBS_LIMIT // 2
#: How long a minion goes on sending output that nobody has asked for anew.
FOLLOW_US = 30_000_000
ARGUMENTS_LIMIT_BYTES = 1024 * 1024
REASON_LIMIT_CHARACTERS = 2_000


FromMinion = (
    Hello
    | Ready
    | Heartbeat
    | GrainsReport
    | CatalogueReport
    | JobProgress
    | Return
    | OutputChunk
    | MinionEvent
    | Renewed
    | UnknownJob
    | Pong
    | Forgotten
    | NeedStdin
    | LiveOutput
)
FromMaster = (
    Welcome
    | HeartbeatAnswer
    | JobOrder
    | Stored
    | Discard
    | Need
    | Cancel
    | Renewal
    | Inquiry
    | Rejoin
    | Ping
    | Forget
    | StdinChunk
    | Follow
)

#: Append only: the position is the kind byte.
FROM_MINION: Mapping[int, type[FromMinion]] = MappingProxyType(
    {
        1: Hello,
        2: Ready,
        3: Heartbeat,
        4: GrainsReport,
        5: CatalogueReport,
        6: JobProgress,
        7: Return,
        8: OutputChunk,
        9: MinionEvent,
        10: Renewed,
        11: UnknownJob,
        12: Pong,
        13: Forgotten,
        14: NeedStdin,
        15: LiveOutput,
    }
)
FROM_MASTER: Mapping[int, type[FromMaster]] = MappingProxyType(
    {
        1: Welcome,
        2: HeartbeatAnswer,
        3: JobOrder,
        4: Stored,
        5: Discard,
        6: Need,
        7: Cancel,
        8: Renewal,
        9: Inquiry,
        10: Rejoin,
        11: Ping,
        12: Forget,
        13: StdinChunk,
        14: Follow,
    }
)
#: The version in which a kind came, where that was not the first. A peer that speaks an older one must not be sent it.
SINCE: Mapping[type[FromMinion | FromMaster], int] = MappingProxyType(
    {Pong: 2, Forgotten: 2, NeedStdin: 2, LiveOutput: 2, Ping: 2, Forget: 2, StdinChunk: 2, Follow: 2}
)
