"""What waits to be committed: bounded in number and bytes, taken in batches, kept when the disk is full. One thread at a time."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from ..core.dataclass import dataclass
from ..core.job_document import Catalogue
from ..core.packing import encode, encode_value
from .store import (
    Change,
    DeleteJob,
    JobStore,
    KeepCatalogue,
    KeepGrains,
    KeepPart,
    KeptOutput,
    LastSeen,
    NewJob,
    StoredReturn,
)

#: Ten thousand minions that return at once, and as much again for what the master itself has to say, more than twice over.
QUEUE_LIMIT_CHANGES = 50_000
#: As much as may be under way from minions (``incoming.py``); while there is less, one more return is taken, however long.
QUEUE_LIMIT_BYTES = 64 * 1024 * 1024
#: One transaction: large enough to share its fsync, small enough to be answered soon.
BATCH_LIMIT_CHANGES = 1_000
BATCH_LIMIT_BYTES = 8 * 1024 * 1024

#: A change without output: the object, its texts and what waits for it.
_CHANGE_BYTES = 1_000


class EntryKind(Enum):
    """What an entry is, as far as it matters to whom it may be refused.

    ``JOB``: the operator waits for the answer and may try again; a deletion too. ``RETURN``: the minion keeps it and sends it again.
    ``SMALL``: nobody else has it. ``READ``: a question; it waits in a queue of its own.
    """

    JOB = "job"
    RETURN = "return"
    SMALL = "small"
    READ = "read"


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Something to be stored.

    Attributes:
        run: stores it within a transaction; returns what to call when that is durable.
        fail: tells why it could not be stored.
        changes: how many changes it makes.
        size_bytes: about how much memory it holds.
    """

    kind: EntryKind
    run: Callable[[JobStore], Callable[[], None]]
    fail: Callable[[Exception], None]
    changes: int
    size_bytes: int


class WriteQueue:
    """Entries in order; each counts from ``add`` until ``settle``, also while it is being committed."""

    def __init__(self, limit_changes: int = QUEUE_LIMIT_CHANGES, limit_bytes: int = QUEUE_LIMIT_BYTES) -> None:
        self._limit_changes = limit_changes
        self._limit_bytes = limit_bytes
        self._entries: deque[Entry] = deque()
        self.changes = 0
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def has_room(self, entry: Entry) -> bool:
        """Tell whether this may be added: half of the room for changes is kept for the small ones, which nobody else has."""
        if entry.kind is EntryKind.SMALL:
            return self.changes < self._limit_changes
        return self.changes < self._limit_changes // 2 and self.size_bytes < self._limit_bytes

    def add(self, entry: Entry) -> None:
        """Add at the end."""
        self._entries.append(entry)
        self.changes += entry.changes
        self.size_bytes += entry.size_bytes

    def settle(self, entry: Entry) -> None:
        """Whoever waited for this entry has been told: its room is free."""
        self.changes -= entry.changes
        self.size_bytes -= entry.size_bytes

    def take_batch(self) -> deque[Entry]:
        """Take what one transaction should hold; at least one entry if there is any."""
        batch: deque[Entry] = deque()
        changes = size_bytes = 0
        while self._entries:
            entry = self._entries[0]
            changes += entry.changes
            size_bytes += entry.size_bytes
            if batch and (changes > BATCH_LIMIT_CHANGES or size_bytes > BATCH_LIMIT_BYTES):
                break
            batch.append(self._entries.popleft())
        return batch

    def put_back(self, entries: Iterable[Entry]) -> list[Entry]:
        """Put entries that could not be stored back to the front; give out the jobs, for which somebody is waiting."""
        every = [*entries, *self._entries]
        self._entries = deque(entry for entry in every if entry.kind is not EntryKind.JOB)
        return [entry for entry in every if entry.kind is EntryKind.JOB]

    def empty(self) -> list[Entry]:
        """Give out everything."""
        every = list(self._entries)
        self._entries.clear()
        return every


def kind_of(changes: Sequence[Change]) -> EntryKind:
    """Tell what an entry of these changes is; one that holds a return, a part of one, or a deletion may be refused whole."""
    if any(isinstance(change, DeleteJob) for change in changes):
        return EntryKind.JOB
    return (
        EntryKind.RETURN if any(isinstance(change, StoredReturn | KeepPart) for change in changes) else EntryKind.SMALL
    )


def size_of_job(job: NewJob) -> int:
    """About how much memory a new job holds, in bytes."""
    arguments = encode_value([job.words, job.literals, job.values, job.options, job.target])
    return len(arguments) + _CHANGE_BYTES * (1 + len(job.targets))


def size_of_change(change: Change) -> int:
    """About how much memory a change holds, in bytes."""
    match change:
        case StoredReturn():
            outputs = (change.stdout, change.stderr, change.value)
            streams = sum(len(output) for output in outputs if not isinstance(output, KeptOutput))
            return _CHANGE_BYTES + streams + len(change.answer.message) + len(change.answer.traceback)
        case KeepPart():
            return _CHANGE_BYTES + len(change.data)
        case LastSeen():
            return _CHANGE_BYTES * len(change.moments)
        case KeepGrains():
            return _CHANGE_BYTES + len(encode_value(change.grains))
        case KeepCatalogue():
            return _CHANGE_BYTES + len(encode(Catalogue(change.functions)))
        case _:
            return _CHANGE_BYTES
