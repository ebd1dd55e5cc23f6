"""The job machine of the master for tests: jobs, links that come and go, and what it decides, taken apart."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from fleet.core.control_answers import TargetResult
from fleet.core.crypto import digest
from fleet.core.from_master import Stored
from fleet.core.from_minion import Return, StreamSummary
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.core.outcome import OutcomeKind
from fleet.master.job_actions import (
    AnswerReturn,
    Commit,
    CommitReturn,
    MasterJobAction,
    SendTo,
    Settle,
    Tell,
)
from fleet.master.jobs import MasterJobs
from fleet.master.presence import Presence, PresenceState
from fleet.master.results import result_of_return
from fleet.master.reunion import Reunion
from fleet.master.store import NewJob, NewTarget, StateChange, StoredJob

NOW = 1_795_000_000_000_000
SECOND = 1_000_000
M, N = MinionId("m"), MinionId("n")
JID = jid_from_microseconds(NOW)
EMPTY = StreamSummary(0, 0, digest(b""), b"")
Action = TypeVar("Action", bound=MasterJobAction)
S = JobState


class Master:
    """A job machine whose commits succeed when a test says so."""

    def __init__(self, reunion: Reunion | None = None) -> None:
        self.presences: dict[MinionId, Presence] = {}
        self.jobs = MasterJobs(self._presence, lambda stored: (b"document", b"signature"), reunion or Reunion())

    def _presence(self, minion: MinionId) -> Presence:
        up = Presence(PresenceState.UP, NOW, NOW, "10.0.0.7")
        return self.presences.get(minion, up)

    def go(self, minion: MinionId, *, conflict: str = "") -> None:
        """The link of a minion is gone, or in conflict."""
        state = PresenceState.UP if conflict else PresenceState.DOWN
        self.presences[minion] = Presence(state, NOW, NOW, "", conflict=conflict)

    def come(self, minion: MinionId) -> None:
        """It is back."""
        self.presences.pop(minion, None)

    def create(self, number: int = 0, ttl: int = 30, **targets: JobState) -> list[MasterJobAction]:
        """Store a job, and what follows."""
        return self.jobs.created(stored(number, ttl, targets or {"m": S.SENT}), NOW)

    def settle(self, actions: Iterable[MasterJobAction], now_us: int = NOW) -> list[MasterJobAction]:
        """Commit everything: all that happens then, in order."""
        found: list[MasterJobAction] = []
        for action in actions:
            if isinstance(action, Commit):
                found += self.settle(action.then, now_us)
            elif isinstance(action, CommitReturn):
                found += self.settle(self.jobs.committed(action.stored), now_us)
            elif isinstance(action, Settle):
                found += self.settle(self.jobs.settled(action, now_us), now_us)
            else:
                found.append(action)
        return found


def stored(number: int = 0, ttl: int = 30, targets: dict[str, JobState] | None = None, **changes: Any) -> StoredJob:
    """A job that is in the store."""
    states = {MinionId(name): state for name, state in (targets or {"m": S.SENT}).items()}
    new_targets = tuple(NewTarget(minion, state, "10.0.0.7") for minion, state in states.items())
    job = NewJob(
        b"r" * 16, FunctionName("cmd.run"), (), (), (), {}, "*", "glob", "root", float(ttl), 0.0, 2**20, "", new_targets
    )
    whole = StoredJob(jid_from_microseconds(NOW + number), job, NOW, NOW + ttl * SECOND, is_new=True, targets=states)
    return replace(whole, **changes)


def answer(jid: Jid = JID, kind: OutcomeKind = OutcomeKind.OK, **changes: Any) -> Return:
    """A return without output."""
    whole = Return(jid, kind, "", False, "", 0, "", EMPTY, EMPTY, EMPTY, 1, "root", 1, 2, 1, force_stopped=False)
    return replace(whole, **changes)


def only(actions: Iterable[MasterJobAction], kind: type[Action]) -> list[Action]:
    """The actions of one kind."""
    return [action for action in actions if isinstance(action, kind)]


def messages(actions: Iterable[MasterJobAction]) -> list[object]:
    """The messages that are sent to minions."""
    sent = [action for action in actions if isinstance(action, SendTo | AnswerReturn)]
    return [action.message if isinstance(action, SendTo) else Stored(action.stored.answer.jid) for action in sent]


def changes(actions: Iterable[MasterJobAction]) -> list[JobState]:
    """The states that are committed by the master's word."""
    found = (change for commit in only(actions, Commit) for change in commit.changes)
    return [change.state for change in found if isinstance(change, StateChange)]


def told(actions: Iterable[MasterJobAction]) -> list[tuple[type, JobState]]:
    """What watchers are told: of which kind, and which state."""
    notes = (result_of_told(action) if isinstance(action, AnswerReturn) else action.note for action in _tells(actions))
    return [(type(note), note.state) for note in notes]


def result_of_told(action: AnswerReturn) -> TargetResult:
    """The result that watchers of a return are told."""
    return result_of_return(action.stored, action.address, action.host)


def _tells(actions: Iterable[MasterJobAction]) -> list[Tell | AnswerReturn]:
    return [action for action in actions if isinstance(action, Tell | AnswerReturn)]
