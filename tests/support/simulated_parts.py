"""What both sides of a simulated fleet share: a job cache in memory, and how a broken promise is told."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

from fleet.core.crypto import digest
from fleet.core.job_document import JobDocument
from fleet.core.job_states import TERMINAL, JobState, may_follow
from fleet.core.names import FunctionName, Jid, MinionId, jid_from_microseconds
from fleet.master.store import (
    Cancelled,
    Change,
    DeleteJob,
    Forgot,
    NewJob,
    Note,
    Owed,
    StateChange,
    StoredJob,
    StoredReturn,
)

START_US = 1_795_000_000_000_000
SECOND_US = 1_000_000
HEARTBEAT_US = 10 * SECOND_US
PROGRAM, INSTANT, UNKNOWN = FunctionName("cmd.run"), FunctionName("test.ping"), FunctionName("no.such")


class CrashError(Exception):
    """The daemon that was just acting is dead."""


class BrokenPromiseError(AssertionError):
    """Something happened that must never happen."""


#: Thousands of lives say the same few things: what those digest to is found out once.
known_digest = functools.cache(digest)
#: Not a multiple of anything: two windows and a bit.
STDIN = bytes(range(251)) * 2_200


def job_document(
    jid: Jid, function: FunctionName = PROGRAM, expires_us: int = START_US + 30 * SECOND_US, stdin: bytes = b""
) -> JobDocument:
    """Return the document of a job without arguments."""
    known = (len(stdin), known_digest(stdin)) if stdin else (0, b"")
    return JobDocument(jid, function, (), (), (), {}, "root", START_US, expires_us, 0.0, 16 * 1024 * 1024, *known)


class StdinInMemory:
    """What a machine keeps of the stdin of jobs that wait for it, as ``StdinFiles`` does."""

    def __init__(self) -> None:
        self._files: dict[Jid, bytes] = {}

    def size(self, jid: Jid) -> int:
        """How much of it is here."""
        return len(self._files.get(jid, b""))

    def append(self, jid: Jid, offset: int, data: bytes) -> None:
        """Keep what comes where the file ends."""
        before = self._files.get(jid, b"")
        if offset != len(before):
            raise BrokenPromiseError(f"a stdin with {len(before)} bytes goes on at {offset}")
        self._files[jid] = before + data

    def is_whole(self, jid: Jid, wanted: bytes) -> bool:
        """Tell whether what is here has this digest."""
        return known_digest(self._files.get(jid, b"")) == wanted

    def remove(self, jid: Jid) -> None:
        """Delete it."""
        self._files.pop(jid, None)

    def jids(self) -> list[Jid]:
        """The jobs of which something is here."""
        return list(self._files)


@dataclass(frozen=True, slots=True)
class JournalKnown:
    """What is kept of ``MinionFacts``."""

    minion: MinionId
    journal_id: bytes


class Store:
    """A job cache in memory that keeps the contract of ``JobStore``."""

    def __init__(self) -> None:
        self.jobs: dict[Jid, StoredJob] = {}
        self.states: dict[tuple[Jid, MinionId], JobState] = {}
        self.returns: dict[tuple[Jid, MinionId], StoredReturn] = {}
        self.notes: list[tuple[Jid, MinionId, str]] = []
        self.cancelled: set[Jid] = set()
        self.journal_ids: dict[MinionId, bytes] = {}
        self.deleted: set[Jid] = set()
        self.owed: dict[tuple[Jid, MinionId], Owed] = {}
        self._last_us = 0

    def submit(self, job: NewJob, now_us: int) -> StoredJob:
        """Store a job."""
        self._last_us = max(now_us, self._last_us + 1)
        jid = jid_from_microseconds(self._last_us)
        states = {target.minion: target.state for target in job.targets}
        expires_us = now_us + int(job.ttl_seconds * SECOND_US)
        stored = StoredJob(jid, job, now_us, expires_us, is_new=True, targets=states)
        self.jobs[jid] = stored
        self.states.update({(jid, minion): state for minion, state in states.items()})
        return stored

    def apply(self, changes: "Iterable[Change | JournalKnown]") -> None:
        """Make changes; what the table of transitions does not allow becomes a note."""
        for change in changes:
            match change:
                case StateChange():
                    by_both = (True, False)
                    self._move((change.jid, change.minion), change.state, by_both, change.reason)
                case StoredReturn():
                    key = (change.answer.jid, change.minion)
                    if self._move(key, change.state, (True,), change.answer.message):
                        self.returns[key] = change
                case Note():
                    self.notes.append((change.jid, change.minion, change.text))
                case JournalKnown():
                    self.journal_ids[change.minion] = change.journal_id
                case Cancelled():
                    self.cancelled.add(change.jid)
                case DeleteJob():
                    self._delete(change)
                case Forgot():
                    self.owed.pop((change.jid, change.minion), None)
                case _:
                    raise AssertionError(change)

    def open_jobs(self) -> list[StoredJob]:
        """Every job with a target that has not ended."""
        found = []
        for jid, stored in self.jobs.items():
            states = {minion: self.states[jid, minion] for minion in stored.targets}
            if any(state not in TERMINAL for state in states.values()):
                found.append(replace(stored, targets=states, is_new=False, cancelled=jid in self.cancelled))
        return found

    def stdin(self, jid: Jid, offset: int, limit_bytes: int) -> bytes:
        """A part of the stdin of a job that has not ended everywhere."""
        stored = self.jobs.get(jid)
        is_open = stored is not None and any(self.states[jid, minion] not in TERMINAL for minion in stored.targets)
        return STDIN[offset : offset + limit_bytes] if is_open else b""

    def is_ended(self, jid: Jid, minion: MinionId) -> JobState | None:
        """The terminal state, or None."""
        state = self.states.get((jid, minion))
        return state if state in TERMINAL else None

    def _delete(self, change: DeleteJob) -> None:
        stored = self.jobs.pop(change.jid, None)
        if stored is None:
            return
        self.deleted.add(change.jid)
        for minion in stored.targets:
            del self.states[change.jid, minion]
        self.owed |= {(change.jid, name): Owed(change.jid, name, stored.expires_us) for name in change.owing}

    def _move(self, key: tuple[Jid, MinionId], after: JobState, words: tuple[bool, ...], reason: str) -> bool:
        before = self.states.get(key)
        if before is None or before is after:
            return False
        if not any(may_follow(before, after, by_minion=word) for word in words):
            self.notes.append((*key, f"{after} came after {before}; {reason}"))
            return False
        self.states[key] = after
        return True
