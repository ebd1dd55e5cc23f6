"""What the job machine of the master asks of its daemon."""

from collections.abc import Mapping

from ..core.control_answers import TargetResult, TargetSilent
from ..core.dataclass import dataclass
from ..core.job_states import JobState
from ..core.messages import FromMaster
from ..core.names import FunctionName, Jid, MinionId
from ..core.values import Value
from .store import Change, KeepPart, StoredReturn


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Hand a job to these minions, by broadcast where that reaches nobody else."""

    jid: Jid
    document: bytes
    expires_us: int
    minions: frozenset[MinionId]


@dataclass(frozen=True, slots=True)
class SendTo:
    """Send this to one minion over its own connection, if it has one."""

    minion: MinionId
    message: FromMaster


@dataclass(frozen=True, slots=True)
class Commit:
    """Store these changes; when they are durable, do ``then``. When they cannot be stored, tell ``changes_failed``."""

    changes: tuple[Change, ...]
    then: "tuple[MasterJobAction, ...]" = ()


@dataclass(frozen=True, slots=True)
class Settle:
    """The change of this target is durable: tell ``settled``."""

    jid: Jid
    minion: MinionId
    state: JobState


@dataclass(frozen=True, slots=True)
class PartKept:
    """This part of a long output is durable: tell ``part_kept``."""

    part: KeepPart


@dataclass(frozen=True, slots=True)
class CommitReturn:
    """Store this return durably, then tell ``committed``."""

    stored: StoredReturn


@dataclass(frozen=True, slots=True)
class LookUpEnded:
    """A return came for a target that is not open: tell from the store whether it is known, and answer the minion.

    Attributes:
        state: how the minion says that it ended.
        text: what to note when it had ended otherwise before.
    """

    minion: MinionId
    jid: Jid
    state: JobState
    text: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Publish an event."""

    tag: str
    payload: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell whoever watches this job."""

    jid: Jid
    note: TargetResult | TargetSilent


@dataclass(frozen=True, slots=True)
class AnswerReturn:
    """A return is durable: tell its minion, publish it, and tell whoever watches its job.

    Attributes:
        function: of the job.
        address: of the minion when it was given the job.
        host: its host name then.
    """

    stored: StoredReturn
    function: FunctionName
    address: str
    host: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The last target of this job has ended: watchers are done."""

    jid: Jid


MasterJobAction = (
    Dispatch | SendTo | Commit | Settle | PartKept | CommitReturn | LookUpEnded | Emit | Tell | AnswerReturn | JobEnded
)
