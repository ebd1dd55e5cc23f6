"""The folder of one job: what to run, and everything that its supervisor leaves behind.

::

    jobs/<jid>/            0700; the files 0600
        job                what to run; written by the daemon before it asks for a start
        lock               flocked by the living supervisor, and by nobody else for long; holds who that is
        void               nothing may be started here any more
        cancel             the job is to be stopped; holds the reason
        stdout, stderr     what was written, byte by byte, up to the limit
        value              what the function returned, encoded as values are on the wire
        status             how far the job is; at last, how it ended

Whether a supervisor lives is told by the lock alone: the kernel lets go of it with the process, and no pid is believed. A
status is there before anything is run, so a supervisor that finds one runs nothing: that, with the lock, is why no job runs
twice, however often its start is asked for.
"""

import errno
import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.errors import StateError
from ..core.functions import RunningJob
from ..core.names import FunctionName, Jid, MinionId, check_function_name, check_jid, check_minion_id
from ..core.outcome import Outcome
from ..core.values import Value
from .json_form import Fields, outcome_from_json, outcome_to_json, value_to_json, write_json
from .process import ProcessIdentity

OUTPUT_LIMIT_BYTES = 16 * 1024 * 1024
KILL_AFTER_SECONDS = 5.0
STREAMS = ("stdout", "stderr", "value")
#: Room for the last status, taken before the job starts: twice the longest traceback, and the other fields.
_STATUS_ROOM_BYTES = 40 * 1024


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One call, ready to be run: the arguments fit the function.

    Attributes:
        arguments: by position.
        options: by keyword.
        user: who asked for it.
        account: the account that the minion runs as, by name.
        minion_id: for functions that ask.
        grains: for functions that ask.
        running: for functions that ask.
        timeout_seconds: after how long it is stopped; 0 for never.
        kill_after_seconds: from TERM to KILL.
        output_limit_bytes: how much of stdout, of stderr and of the value is kept.
    """

    jid: Jid
    function: FunctionName
    arguments: tuple[Value, ...] = ()
    options: Mapping[str, Value] = field(default_factory=dict)
    user: str = ""
    account: str = ""
    minion_id: MinionId = MinionId("minion")
    grains: Mapping[str, Value] = field(default_factory=dict)
    running: tuple[RunningJob, ...] = ()
    timeout_seconds: float = 0.0
    kill_after_seconds: float = KILL_AFTER_SECONDS
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far a job is, by the word of its supervisor.

    Attributes:
        supervisor: the process that wrote this.
        process: the program, or the process that runs the function; None before there is one.
        account: which account that runs as.
        started_us: microseconds since 1970 by this machine's clock; None when nothing was started.
        ended_us: likewise; None while it runs.
        duration_us: by the monotonic clock.
        outcome: how it ended, without its value; None while it runs.
        stdout_bytes: how much there was in all: more than the file holds when the limit cut it.
        stderr_bytes: likewise.
        force_stopped: it was sent TERM, by the operator's wish or the limit of its time.
    """

    supervisor: ProcessIdentity
    process: ProcessIdentity | None = None
    account: str = ""
    started_us: int | None = None
    ended_us: int | None = None
    duration_us: int = 0
    outcome: Outcome | None = None
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    force_stopped: bool = False


class JobFolder:
    """The folder of one job, for its daemon and for its supervisor.

    Every method that reads raises StateError when a file is damaged, and OSError when the disk fails.

    Attributes:
        path: of the folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def of(cls, jobs_folder: str, jid: Jid) -> "JobFolder":
        """Name the folder of a job; nothing is created.

        Raises:
            ArgumentError: the jid is none, so it must not become a path.
        """
        return cls(os.path.join(jobs_folder, check_jid(jid)))

    def create(self, request: JobRequest) -> None:
        """Make the folder and write down what is to be run.

        Raises:
            StateError: there is one already: its job may have been started.
            OSError: the disk fails or is full; nothing is left behind.
        """
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            raise StateError(
                f"{self.path} exists already, so its job may have been started before",
                "a jid is given once: this is a fault in fleet, please report it",
            ) from None
        try:
            self._replace("job", write_json(_request_to_json(request)))
        except OSError:
            self.remove()
            raise

    def exists(self) -> bool:
        """Tell whether there is a folder."""
        return os.path.isdir(self.path)

    def read_request(self) -> JobRequest:
        """Read what is to be run."""
        data = self._read("job")
        if data is None:
            raise StateError(f"{self._name('job')} is missing")
        return _request_from_json(Fields(data, self._name("job")))

    def take_lock(self) -> int | None:
        """Take the lock; None when another process has it. Whoever closes the descriptor, or dies, lets go.

        Raises:
            FileNotFoundError: there is no folder.
        """
        descriptor = os.open(self._name("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write_owner(self, owner: ProcessIdentity) -> None:
        """Write down who has the lock; done by the supervisor, right after it took it."""
        with open(self._name("lock"), "r+b", buffering=0) as file:
            file.write(write_json(_identity_to_json(owner)))

    def read_owner(self) -> ProcessIdentity | None:
        """Read who took the lock; None when that was not written down (yet)."""
        data = self._read("lock")
        return _identity_from_json(Fields(data, self._name("lock"))) if data else None

    def write_void(self) -> None:
        """Forbid any start here. The caller has the lock, so no supervisor is just looking."""
        os.close(os.open(self._name("void"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def is_void(self) -> bool:
        """Tell whether nothing may be started here."""
        return os.path.exists(self._name("void"))

    def write_cancel(self, reason: str) -> None:
        """Ask that the job be stopped, or not be started."""
        self._replace("cancel", reason.encode(errors="replace"))

    def read_cancel(self) -> str | None:
        """Return the reason why the job is to be stopped; None when it is not."""
        data = self._read("cancel")
        return None if data is None else data.decode(errors="replace")

    def reserve_status(self) -> None:
        """Take room on the disk for the last status, so that a job can end on a disk that it has filled.

        Raises:
            OSError: there is no room: the job must not be started.
        """
        descriptor = self._create("status.room")
        try:
            os.posix_fallocate(descriptor, 0, _STATUS_ROOM_BYTES)
        except OSError as problem:
            if problem.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
        finally:
            os.close(descriptor)

    def write_status(self, status: JobStatus) -> None:
        """Say how far the job is. Not fsynced: a power cut ends the job as well, and nothing else loses it."""
        self._replace("status", write_json(_status_to_json(status)))

    def write_last_status(self, status: JobStatus) -> None:
        """Say how the job ended. Once this returns, the status and all output outlive a power cut.

        Raises:
            OSError: the disk fails or is full; it may be tried again.
        """
        for name in STREAMS:
            self._sync(name)
        data = write_json(_status_to_json(status))
        descriptor = os.open(self._name("status.room"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(self._name("status.room"), self._name("status"))
        _sync_folder(self.path)

    def read_status(self) -> JobStatus | None:
        """Read how far the job is; None when no supervisor has come so far as to say."""
        data = self._read("status")
        return None if data is None else _status_from_json(Fields(data, self._name("status")))

    def open_stream(self, stream: str) -> int:
        """Create the file of an output stream and return its descriptor."""
        return self._create(stream)

    def write_value(self, encoded: bytes) -> None:
        """Keep what the function returned."""
        self._replace("value", encoded)

    def read_stream(self, stream: str, offset: int, limit_bytes: int) -> bytes:
        """Read at most so many bytes of ``stdout``, ``stderr`` or ``value``; none beyond its end or without a file."""
        try:
            descriptor = os.open(self._name(_checked(stream)), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            return os.pread(descriptor, limit_bytes, offset)
        finally:
            os.close(descriptor)

    def stream_size(self, stream: str) -> int:
        """Return how many bytes of a stream are kept by now."""
        try:
            return os.stat(self._name(_checked(stream))).st_size
        except FileNotFoundError:
            return 0

    def remove(self) -> None:
        """Delete the folder and all that is in it; nothing happens when there is none."""
        try:
            names = os.listdir(self.path)
        except FileNotFoundError:
            return
        for name in names:
            try:
                os.unlink(self._name(name))
            except FileNotFoundError:
                continue
        os.rmdir(self.path)

    def _name(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _create(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._name(name), flags & ~os.O_APPEND if name == "status.room" else flags, 0o600)

    def _replace(self, name: str, data: bytes) -> None:
        """Write a file so that a reader finds the old content or the new one, and never a part."""
        temporary = self._name(f"{name}.next")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
        finally:
            os.close(descriptor)
        os.replace(temporary, self._name(name))

    def _read(self, name: str) -> bytes | None:
        try:
            with open(self._name(name), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _sync(self, name: str) -> None:
        if not self.stream_size(name):
            return  # Empty or missing: the folder's own fsync covers it, and most jobs write nothing to stderr.
        descriptor = os.open(self._name(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
