"""The daemon's end of its fork server: starts the process, sends requests, takes what comes back. It never waits."""

import os
import signal
import socket
import sys

from .. import __file__ as _package_file
from ..core.errors import StateError
from .fork_messages import DATAGRAM_LIMIT_BYTES, ForkMessage, read_message, write_message
from .fork_server import LINK_DESCRIPTOR
from .process import has_ended, wait_for_end

#: How long the daemon waits, at its own end, for the fork server to leave.
_LEAVE_SECONDS = 2.0
#: Room for the titles in the list of processes, beside the path of a job's folder.
_TITLE_ROOM = 64

#: The package is made from its own folder and never looked for, and all else is found where the daemon finds it: ``-I`` keeps the
#: environment and the current folder from choosing what is imported, and a checkout and an installation work the same.
_BOOT = """\
import sys
from importlib.util import module_from_spec, spec_from_file_location
folder, sys.path[:] = sys.argv[1], sys.argv[2].split(":")
spec = spec_from_file_location("fleet", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["fleet"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
from fleet.minion.fork_server import main
main()
"""


class ForkLink:
    """A fork server that was started, and the socket to it.

    Args:
        jobs_folder: where the folders of the jobs are; it stands in titles.
        idle_seconds: after how long without work the server leaves.

    Raises:
        OSError: no process or descriptor is to be had.
    """

    def __init__(self, jobs_folder: str, idle_seconds: float) -> None:
        words = [sys.executable, "-I", *(["-B"] if sys.dont_write_bytecode else []), "-c", _BOOT]
        padding = " " * (len(os.fsencode(jobs_folder)) + _TITLE_ROOM)
        # The daemon's own path, so that its jobs find the modules of other packages that its catalogue lists.
        path = ":".join(entry for entry in sys.path if os.path.isabs(entry) and ":" not in entry)
        words += [os.path.dirname(os.path.abspath(_package_file)), path, str(idle_seconds), padding]
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._link.setblocking(False)
        try:
            with theirs:
                self._pid = os.posix_spawn(
                    words[0],
                    words,
                    os.environ,
                    file_actions=[
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), LINK_DESCRIPTOR),
                        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                    ],
                    # A Ctrl-C or TERM to the daemon's group is not for the jobs.
                    setsid=True,
                    setsigmask=[],
                    setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD],
                )
            self._pidfd = os.pidfd_open(self._pid)
        except OSError:
            self._link.close()
            raise

    @property
    def pid(self) -> int:
        """The pid of the fork server."""
        return self._pid

    def descriptors(self) -> tuple[int, int]:
        """The descriptors that become readable when there is something to take, or the server has ended."""
        return self._link.fileno(), self._pidfd

    def send(self, message: ForkMessage) -> bool:
        """Send a request; False when there is no room for it now. A server that is gone takes everything silently."""
        try:
            self._link.send(write_message(message))
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionError):
            return True
        return True

    def receive(self) -> list[tuple[ForkMessage, int | None]]:
        """Take all that came: messages, each with the pidfd that travelled beside it, which the caller closes."""
        taken: list[tuple[ForkMessage, int | None]] = []
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._link, DATAGRAM_LIMIT_BYTES, 1)
            except (BlockingIOError, ConnectionError):
                return taken
            if not data:
                return taken
            descriptor = descriptors[0] if descriptors else None
            if descriptor is not None:
                # `recv_fds` of Python 3.11 drops its flags, so the next fork server would inherit every pidfd.
                os.set_inheritable(descriptor, False)
            try:
                taken.append((read_message(data), descriptor))
            except StateError:
                if descriptor is not None:
                    os.close(descriptor)

    def has_ended(self) -> bool:
        """Tell whether the server has ended; what it sent before may still be there to take."""
        return has_ended(self._pidfd)

    def close(self) -> None:
        """Close the socket, by which the server ends, and reap it. Its supervisors live on."""
        self._link.close()
        if not wait_for_end(self._pidfd, _LEAVE_SECONDS):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._pidfd)
