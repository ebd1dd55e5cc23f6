"""What the commands and the console ask of the master over its Unix socket; each says how it is answered."""

from collections.abc import Mapping

from .dataclass import dataclass
from .names import FunctionName, Jid, MinionId
from .values import Value


@dataclass(frozen=True, slots=True)
class Submit:
    """Run a function on a target. Answers: ``JobCreated``, then with ``watch`` the stream of ``Watch``.

    Attributes:
        request_id: 16 random bytes; the same id gets the same job, also after a restart of the master.
        words: command-line words; see ``core/arguments.py`` for these four.
        target_kind: a value of ``targets.TargetKind``.
        ttl_seconds: how long the job waits for a minion that is not there.
        timeout_seconds: the job's own limit; 0 for none.
        watch: stream what becomes of it.
        is_live: with ``watch``: also stream what it writes, as it is written.
        stdin_bytes: how long its stdin is, which was uploaded before over this connection; 0 for none.
        minions: on these alone, whatever the target selects now; by the target when empty.
        retry_of: the first job that this one repeats; empty for none.
    """

    request_id: bytes
    function: FunctionName
    words: tuple[str, ...]
    literals: tuple[str, ...]
    values: tuple[Value, ...]
    options: Mapping[str, Value]
    target: str
    target_kind: str
    ttl_seconds: float
    timeout_seconds: float
    watch: bool
    is_live: bool = False
    stdin_bytes: int = 0
    minions: tuple[MinionId, ...] = ()
    retry_of: str = ""


@dataclass(frozen=True, slots=True)
class UploadStdin:
    """A part of the stdin of the job that this connection is about to submit; it goes with the connection. Answer: ``Done``.

    Attributes:
        offset: where this part begins: where the one before ended; 0 begins anew.
        total_bytes: how long the whole is; the same in each part.
        data: at most ``STDIN_PART_BYTES``.
    """

    offset: int
    total_bytes: int
    data: bytes


@dataclass(frozen=True, slots=True)
class OutputPosition:
    """How much of what a minion's job has written is here already."""

    minion: MinionId
    stdout_offset: int = 0
    stderr_offset: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """Stream what becomes of a job: ``JobCreated``, then a ``TargetResult`` or ``TargetSilent`` a target, ``Done`` when all ended.

    With ``is_live`` also ``OutputPart`` as the jobs write; what they had written when they ended is in the ``TargetResult`` alone.

    Attributes:
        jid: a whole jid, an unambiguous end of one, or ``last``.
        has_output: with stdout, stderr, value and traceback; without, their lengths alone are told.
        is_live: also stream what is written, as it is written.
        minions: only these targets; all when empty.
        positions: from where on, of each minion that is not followed from the beginning.
    """

    jid: str
    has_output: bool = True
    is_live: bool = False
    minions: tuple[MinionId, ...] = ()
    positions: tuple[OutputPosition, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadOutput:
    """What is kept of an output of a job that has ended on a minion. Answer: ``OutputPart``; this connection may then ask for more.

    Attributes:
        jid: a whole jid.
        stream: ``stdout`` or ``stderr``.
        offset: from where on; a part has at most ``OUTPUT_PART_BYTES``, and none beyond the end.
    """

    jid: Jid
    minion: MinionId
    stream: str
    offset: int


@dataclass(frozen=True, slots=True)
class PreviewTarget:
    """Which minions a target selects. Answer: ``TargetPreview``."""

    target: str
    target_kind: str


@dataclass(frozen=True, slots=True)
class ListJobs:
    """The newest jobs that fit. Answer: ``JobList``.

    Attributes:
        limit: how many at the most; 0 for all.
        before: only jobs older than this jid; empty for the newest.
        user: only those of this user; this and the following: empty, or 0, for any.
        function: glob over the function.
        target: glob over the target as it was written.
        minion: only those that have this minion among their targets.
        state: ``running``, ``finished`` or ``cancelled``; or the state of a target that the job must have; of several with commas between, any.
        since_us: only those made at this moment or later.
        until_us: only those made before this moment.
    """

    limit: int
    before: str
    user: str = ""
    function: str = ""
    target: str = ""
    minion: str = ""
    state: str = ""
    since_us: int = 0
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class ShowJob:
    """One job with its results. Stream: ``JobSummary``, then a ``TargetResult`` a target.

    Attributes:
        jid: a whole jid, an unambiguous end of one, or ``last``.
        minions: only these targets; all when empty.
        has_output: with stdout, stderr, value and traceback; without, their lengths alone are told.
    """

    jid: str
    minions: tuple[MinionId, ...] = ()
    has_output: bool = True


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Stop a job on some or (empty) all of its minions. Answer: ``JobCancelled``."""

    jid: str
    minions: tuple[MinionId, ...]


@dataclass(frozen=True, slots=True)
class DeleteJobs:
    """Remove jobs and their results, here and on the minions. Stream: ``JobsDeleted``, then a ``JobForgotten`` for each confirmation.

    All or none: a job that has not ended on some minion is an error, unless ``is_forced``.

    Attributes:
        jids: whole jids, unambiguous ends, or ``last``; empty for every job that has ended (with ``is_forced``: every job).
        is_forced: also what runs: connected minions stop it and forget it, the others when they come back.
    """

    jids: tuple[str, ...]
    is_forced: bool


@dataclass(frozen=True, slots=True)
class PurgeJobs:
    """Remove the oldest jobs that have ended, until what is left keeps these limits; 0 is no limit. Answer: ``JobsPurged``.

    Attributes:
        age_seconds: how long ago a job may have ended.
        count: how many jobs may be kept.
        size_bytes: how much the job cache may hold.
    """

    age_seconds: float
    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PingMinion:
    """Measure the way to a minion's loop and back. Answer: ``MinionPinged``.

    Attributes:
        timeout_seconds: how long to wait for its answer; 0 for 1 s, or four times its last round trip where that is longer.
    """

    minion: MinionId
    timeout_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ListMinions:
    """Minions with an accepted key. Stream: a ``MinionRow`` each.

    Attributes:
        target: which of them; empty for all.
        target_kind: how that is written, a value of ``targets.TargetKind``.
        grains: names of grains, nested ones with ``:``, that each row is to hold.
    """

    target: str = ""
    target_kind: str = "glob"
    grains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShowGrains:
    """The grains of one minion as the master knows them. Answer: ``GrainsShown``."""

    minion: MinionId


@dataclass(frozen=True, slots=True)
class FollowEvents:
    """Events as they happen. Stream: ``EventNote``…, without end.

    Attributes:
        pattern: glob over tags.
        after: continue after this number; 0 for everything since the master's start; -1 for only what comes from now on.
    """

    pattern: str
    after: int


@dataclass(frozen=True, slots=True)
class AskStatus:
    """How the master is. Answer: ``MasterStatus``."""


@dataclass(frozen=True, slots=True)
class ShowFunctions:
    """The functions whose name fits one of the globs; all when empty. Answer: ``FunctionsShown``."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListKeys:
    """All minion keys. Answer: ``KeyList``."""


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """One key, by the two things that name it."""

    minion: MinionId
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ChangeKeys:
    """Accept, reject or delete exactly these keys; all or none. Answer: ``KeyList`` of what changed."""

    action: str
    keys: tuple[KeyChoice, ...]
