"""The folder of one job: what to run, and everything that its supervisor leaves behind.

::

    jobs/<jid>/            0700; the files 0600
        job                what to run; written by the daemon before it asks for a start
        lock               flocked by the living supervisor, and by nobody else for long; holds who that is
        void               nothing may be started here any more
        cancel             the job is to be stopped; holds the reason
        program            which program the process has become; missing before that, and when it never does
        stdin              what it reads; missing when that is nothing
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

from ..core.errors import StateError
from ..core.names import Jid, check_jid
from .job_records import (
    JobRequest,
    JobStatus,
    StartedProgram,
    read_identity,
    read_program,
    read_request,
    read_status,
    write_identity,
    write_program,
    write_request,
    write_status,
)
from .process import ProcessIdentity

STREAMS = ("stdout", "stderr", "value")
#: Room for the last status, taken before the job starts: twice the longest traceback, and the other fields.
_STATUS_ROOM_BYTES = 40 * 1024


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

    def create(self, request: JobRequest, stdin: str = "") -> None:
        """Make the folder and write down what is to be run.

        Args:
            request: what is to be run.
            stdin: the file that it reads, on the same disk; it moves into the folder.

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
            if stdin:
                os.rename(stdin, self._name("stdin"))
            self._replace("job", write_request(request))
        except OSError:
            self.remove()
            raise

    def open_stdin(self) -> int | None:
        """Open what the job reads, and return the descriptor; None when that is nothing."""
        try:
            return os.open(self._name("stdin"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None

    def exists(self) -> bool:
        """Tell whether there is a folder."""
        return os.path.isdir(self.path)

    def read_request(self) -> JobRequest:
        """Read what is to be run."""
        data = self._read("job")
        if data is None:
            raise StateError(f"{self._name('job')} is missing")
        return read_request(data, self._name("job"))

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
            file.write(write_identity(owner))
            file.truncate()

    def read_owner(self) -> ProcessIdentity | None:
        """Read who took the lock; None when that was not written down (yet)."""
        data = self._read("lock")
        return read_identity(data, self._name("lock")) if data else None

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
        self._replace("status", write_status(status))

    def write_last_status(self, status: JobStatus) -> None:
        """Say how the job ended. Once this returns, the status and all output outlive a power cut.

        Raises:
            OSError: the disk fails or is full; it may be tried again.
        """
        for name in STREAMS:
            self._sync(name)
        data = write_status(status)
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
        return None if data is None else read_status(data, self._name("status"))

    def write_program(self, program: StartedProgram) -> None:
        """Say which program the process has become."""
        self._replace("program", write_program(program))

    def read_program(self) -> StartedProgram | None:
        """Read which program the process has become; None while it runs a function, or when nobody wrote that down."""
        data = self._read("program")
        return None if data is None else read_program(data, self._name("program"))

    def open_stream(self, stream: str) -> int:
        """Create the file of an output stream and return its descriptor."""
        return self._create(_checked(stream))

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
        return os.open(self._name(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

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


def _checked(stream: str) -> str:
    """Let nothing but the name of a stream become a path."""
    if stream not in STREAMS:
        raise ValueError(f"{stream!r} is no stream")
    return stream


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
