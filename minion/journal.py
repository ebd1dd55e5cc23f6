r"""The minion's journal: what it accepted and how far each job came, on disk before anything happens by it.

An append-only file::

    0    16   b"fleet-journal-1\n"
    16   16   the journal's id: random; another id tells the master that this minion's memory is gone
    32    4   CRC-32 of the 32 bytes before
    36        frames, each one append:
              4   b"\xf1jrn"
              4   length of the payload, big-endian
              4   CRC-32 of journal id, offset of the frame (8 bytes, big-endian) and payload
              n   payload: the encoded entries, which became durable together or not at all

An append is one write and one fsync, and the next follows only after it; so what a crash or a power cut can spoil is the last
frame alone, which nobody had been told of: it is cut off. A damaged frame with a good one behind it is a damaged disk, and
guessing would run a command twice or lose it: that is an error for a person. The offset in the checksum keeps bytes inside
a payload, or left over from another journal, from being taken for a frame.
"""

import errno
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self
from zlib import crc32

from ..core.dataclass import dataclass, replace
from ..core.errors import ProtocolError, StateError
from ..core.names import Jid
from ..core.packing import decode, encode
from ..keys.state_folder import StateFolder, explained
from .job_steps import JournalEntry, Step

ID_BYTES = 16
#: Below this size a journal is not worth rewriting.
COMPACTION_LEAST_BYTES = 256 * 1024
#: It is rewritten when what lives would take less than this part of it.
_COMPACTION_LIVE_PART = 0.25

_MAGIC = b"fleet-journal-1\n"
_HEADER_BYTES = len(_MAGIC) + ID_BYTES + 4
_MARK = b"\xf1jrn"
_FRAME = struct.Struct(">4sII")
_OFFSET = struct.Struct(">Q")
#: Entries of one frame of a rewritten journal: a frame is read as a whole, and a document may take 1 MiB.
_COMPACTION_BATCH = 16
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: The order of the steps. None leads back: a job that was about to start must never look as if it were not.
_ORDER = {step: position for position, step in enumerate(Step)}


class JournalFullError(StateError):
    """The disk has no room for what was to be written down; the journal is as it was before."""


@dataclass(frozen=True, slots=True)
class _Batch:
    entries: tuple[JournalEntry, ...]


class Journal:
    """The journal of a minion, open for appending by one process: the daemon that has the state folder's lock.

    Attributes:
        journal_id: made with the file.
        cut_off_bytes: how much of a torn append was cut off when it was opened; for the log.
    """

    def __init__(self, path: Path, descriptor: int, journal_id: bytes) -> None:
        self.journal_id = journal_id
        self.cut_off_bytes = 0
        self._path = path
        self._descriptor = descriptor
        self._size = _HEADER_BYTES
        self._live: dict[Jid, JournalEntry] = {}
        self._problem = ""

    @classmethod
    def open(cls, path: Path, random16: bytes) -> Self:
        """Open the journal and replay it; make one when there is none.

        Args:
            path: of the file.
            random16: the id of a new journal.

        Raises:
            StateError: it is damaged, is a link, open to others or of another account, was written by a newer release, or
                cannot be read or made.
        """
        data = _read_file(path)
        try:
            if data is None:
                data = _header(random16)
                _replace_file(path, data)
            journal_id = _read_header(path, data)
            journal = cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC), journal_id)
            try:
                journal._replay(data)
            except BaseException:
                journal.close()
                raise
        except OSError as problem:
            raise StateError(f"cannot open the journal {path}: {_reason(problem)}") from problem
        return journal

    def entries(self) -> Mapping[Jid, JournalEntry]:
        """The last entry of every jid, oldest first; with the document of its ``accepted`` until it has ended."""
        return dict(self._live)

    def append(self, *entries: JournalEntry) -> None:
        """Make entries durable, together, with one fsync. When this returns they outlive a power cut.

        Raises:
            JournalFullError: the disk is full; nothing was written, and it may be tried again.
            StateError: the disk fails, now or before: no entry is taken any more until the journal is opened again. Or
                an entry leads a job back to an earlier step, by which it might run twice: nothing was written.
        """
        if self._problem:
            raise StateError(self._problem, "look into the kernel's log, then restart the minion")
        changes: dict[Jid, JournalEntry] = {}
        for entry in entries:
            changes[entry.jid] = _follow(changes.get(entry.jid) or self._live.get(entry.jid), entry)
        frame = _frame(self.journal_id, self._size, entries)
        try:
            _write_at(self._descriptor, frame, self._size)
            os.fsync(self._descriptor)
        except OSError as problem:
            self._take_back(problem)
        self._size += len(frame)
        self._live.update(changes)

    def forget(self, jids: Iterable[Jid]) -> None:
        """Drop answered jobs and tombstones. They leave the file when it is rewritten, so a restart may bring some back.

        Raises:
            ValueError: a job among them is not answered.
        """
        for jid in jids:
            entry = self._live.get(jid)
            if entry is not None and entry.step not in {Step.ANSWERED, Step.TOMBSTONE}:
                raise ValueError(f"job {jid} is {entry.step}: only what is answered may be forgotten")
            self._live.pop(jid, None)
        self._compact_if_worth_it()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _replay(self, data: bytes) -> None:
        # What an earlier process wrote and did not come to fsync must be durable before anything is built on it.
        os.fsync(self._descriptor)
        offset = _HEADER_BYTES
        while offset < len(data):
            frame = _read_frame(self.journal_id, data, offset)
            if frame is None:
                self._cut_off(data, offset)
                break
            batch, offset = frame
            for entry in batch.entries:
                self._live[entry.jid] = _follow(self._live.get(entry.jid), entry)
        self._size = offset

    def _cut_off(self, data: bytes, offset: int) -> None:
        """Cut off a torn append; refuse when a good one stands behind it."""
        candidate = data.find(_MARK, offset + 1)
        while candidate >= 0:
            if _read_frame(self.journal_id, data, candidate) is not None:
                raise self._damaged(offset)
            candidate = data.find(_MARK, candidate + 1)
        self.cut_off_bytes = len(data) - offset
        os.ftruncate(self._descriptor, offset)
        os.fsync(self._descriptor)

    def _damaged(self, offset: int) -> StateError:
        return StateError(
            f"the journal {self._path} is damaged at byte {offset}, and good entries follow: the disk or another program "
            "has changed it",
            "move it away and keep it: the minion then starts with a new one, and the master records the open jobs as lost",
        )

    def _take_back(self, problem: OSError) -> None:
        """Undo a failed append, and raise what it means."""
        try:
            os.ftruncate(self._descriptor, self._size)
            os.fsync(self._descriptor)
        except OSError as second:
            problem = second
        else:
            if problem.errno in _FULL:
                raise JournalFullError(
                    f"the disk has no room for the journal {self._path}: {_reason(problem)}", "free some space there"
                ) from problem
        # After a failed fsync the kernel may have dropped what was written: nothing of this file can be built on.
        self._problem = f"the journal {self._path} cannot be written: {_reason(problem)}"
        raise StateError(self._problem, "look into the kernel's log, then restart the minion") from problem

    def _compact_if_worth_it(self) -> None:
        if self._size < COMPACTION_LEAST_BYTES or self._problem:
            return
        data = bytearray(_header(self.journal_id))
        live = list(self._live.values())
        for start in range(0, len(live), _COMPACTION_BATCH):
            data += _frame(self.journal_id, len(data), live[start : start + _COMPACTION_BATCH])
        if len(data) > self._size * _COMPACTION_LIVE_PART:
            return
        try:
            _replace_file(self._path, bytes(data))
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            # Not replaced: the old file stays in use. Replaced but not opened: what is appended would go nowhere.
            if not _is_same_file(self._path, self._descriptor):
                self._problem = f"the journal {self._path} was rewritten and cannot be opened"
            return
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, len(data)


def _follow(before: JournalEntry | None, entry: JournalEntry) -> JournalEntry:
    """Return what is remembered after an entry: the document of the ``accepted`` stays until its job has ended."""
    if before is None:
        return entry
    if _ORDER[entry.step] < _ORDER[before.step] or (entry.step is Step.TOMBSTONE and before.step is not Step.TOMBSTONE):
        raise StateError(
            f"job {entry.jid} is {before.step} in the journal and cannot become {entry.step}",
            "this is a fault in fleet, please report it",
        )
    if entry.step in {Step.ENDED, Step.ANSWERED, Step.TOMBSTONE}:
        return entry
    return replace(entry, document=before.document, signature=before.signature)


def _header(journal_id: bytes) -> bytes:
    if len(journal_id) != ID_BYTES:
        raise ValueError(f"a journal's id has {ID_BYTES} bytes")
    start = _MAGIC + journal_id
    return start + crc32(start).to_bytes(4)


def _read_header(path: Path, data: bytes) -> bytes:
    journal_id = data[len(_MAGIC) : len(_MAGIC) + ID_BYTES]
    if len(data) >= _HEADER_BYTES and data[:_HEADER_BYTES] == _header(journal_id):
        return journal_id
    if data.startswith(b"fleet-journal-") and not data.startswith(_MAGIC):
        raise StateError(
            f"the journal {path} was written by a newer release of fleet", "install that release, or a newer one, again"
        )
    raise StateError(
        f"{path} is no journal, or its first bytes are damaged or missing",
        "move it away and keep it: the minion then starts with a new one, and the master records the open jobs as lost",
    )


def _frame(journal_id: bytes, offset: int, entries: Iterable[JournalEntry]) -> bytes:
    payload = encode(_Batch(tuple(entries)))
    return _FRAME.pack(_MARK, len(payload), _checksum(journal_id, offset, payload)) + payload


def _read_frame(journal_id: bytes, data: bytes, offset: int) -> tuple[_Batch, int] | None:
    """Read the frame at an offset, and where it ends; None when there is no whole and sound one."""
    start = offset + _FRAME.size
    if start > len(data):
        return None
    mark, length, checksum = _FRAME.unpack_from(data, offset)
    payload = data[start : start + length]
    if mark != _MARK or len(payload) != length or checksum != _checksum(journal_id, offset, payload):
        return None
    try:
        return decode(_Batch, payload), start + length
    except ProtocolError:
        return None


def _checksum(journal_id: bytes, offset: int, payload: bytes) -> int:
    return crc32(payload, crc32(journal_id + _OFFSET.pack(offset)))


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _read_file(path: Path) -> bytes | None:
    """Read the whole file, checked as every file of the state folder is; None when there is none."""
    with StateFolder.open(path.parent) as state:
        try:
            descriptor = state.open_file(path.name)
        except FileNotFoundError:
            return None
    with explained(f"read the journal {path}"), open(descriptor, "rb") as file:
        return file.read()


def _replace_file(path: Path, data: bytes) -> None:
    """Put a file in place so that a crash leaves the old one or the new one."""
    temporary = path.with_name(f"{path.name}.next")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _write_at(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False


def _reason(problem: OSError) -> str:
    return os.strerror(problem.errno or 0).lower()
