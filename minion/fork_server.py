"""The fork server: a small process beside the daemon that forks a supervisor for each job.

The daemon holds sockets, keys and tens of megabytes of libraries: a fork of it would carry all that for as long as the job
runs. This process imports none of it. It is started when a job is, and leaves when it has had nothing to do for a while,
so a minion at rest is one process. Its supervisors have sessions of their own and outlive it, and the daemon.
"""

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from ..core.dataclass import make_ready
from ..core.errors import FleetError
from ..core.names import FunctionName
from .fork_messages import DATAGRAM_LIMIT_BYTES, Forked, ForkMessage, NotStarted, Start, read_message, write_message
from .function_call import Loader
from .process import set_title
from .supervisor import MADE_BY_EACH, supervise

#: Where the daemon leaves its end of the socket.
LINK_DESCRIPTOR = 3


def main() -> None:
    """Serve the daemon that started this process; ``fork_link.py`` says how."""
    idle_seconds = sys.argv[3]
    os.chdir("/")  # So that no file system is kept from being unmounted.
    set_title("fleet-minion: fork server")
    make_ready(*MADE_BY_EACH)
    # A collection in a child would otherwise touch, and so copy, every page that it shares with this process.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=LINK_DESCRIPTOR) as link:
        ForkServer(link, float(idle_seconds), _load).serve()


def _load(name: FunctionName) -> Callable[..., object]:
    from ..modules.catalogue import load_function

    return load_function(name)


class ForkServer:
    """Forks supervisors on request.

    Args:
        link: datagrams from and to the daemon; when the daemon closes its end, or dies, the server ends.
        idle_seconds: it ends as well after so long without a request and without a living supervisor.
        load: finds a function, in the process that will run it.
    """

    def __init__(self, link: socket.socket, idle_seconds: float, load: Loader) -> None:
        self._link = link
        self._idle_seconds = idle_seconds
        self._load = load
        self._supervisors: set[int] = set()
        self._poller = select.poll()
        self._poller.register(link, select.POLLIN)

    def serve(self) -> None:
        """Take requests until the daemon is gone or there is nothing to do."""
        while True:
            ready = self._poller.poll(None if self._supervisors else self._idle_seconds * 1000)
            if not ready:
                return
            for descriptor, _ in ready:
                if descriptor in self._supervisors:
                    self._reap(descriptor)
                elif not self._take_request():
                    return

    def _take_request(self) -> bool:
        """Take one request; False when the daemon is gone."""
        try:
            data = self._link.recv(DATAGRAM_LIMIT_BYTES)
        except ConnectionResetError:
            return False
        if not data:
            return False
        message = read_message(data)
        if isinstance(message, Start):
            self._fork(message.path)
        return True

    def _fork(self, path: str) -> None:
        # A TERM that comes at once must meet the supervisor's own handler, which it sets first of all.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            pid = os.fork()
            if pid == 0:
                self._be_supervisor(path)
        except OSError as problem:
            self._tell(NotStarted(path, f"no process could be started: {os.strerror(problem.errno or 0)}"))
            return
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            self._tell(Forked(path))  # Out of descriptors: the daemon finds the supervisor by the lock it takes.
            return
        self._supervisors.add(pidfd)
        self._poller.register(pidfd, select.POLLIN)
        self._tell(Forked(path), pidfd)

    def _reap(self, pidfd: int) -> None:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        self._poller.unregister(pidfd)
        self._supervisors.discard(pidfd)
        os.close(pidfd)

    def _tell(self, message: ForkMessage, *descriptors: int) -> None:
        try:
            socket.send_fds(self._link, [write_message(message)], descriptors)
        except OSError:
            return  # The daemon is gone, which the next read tells.

    def _be_supervisor(self, path: str) -> NoReturn:
        """Be a supervisor, from the fork to the end of the process."""
        try:
            for pidfd in self._supervisors:
                os.close(pidfd)
            # The daemon's own stderr may be a pipe or a terminal, which must not be held open by what outlives it.
            os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
            try:
                supervise(path, self._announce, self._load)
            except FleetError as problem:
                self._announce(NotStarted(path, problem.message))
            except OSError as problem:
                self._announce(NotStarted(path, f"it cannot be supervised: {os.strerror(problem.errno or 0)}"))
            except Exception as problem:  # noqa: BLE001 - a fault of ours, told by the only way out there is
                self._announce(NotStarted(path, f"a fault in its supervisor: {problem!r}"))
        finally:
            os._exit(0)

    def _announce(self, message: ForkMessage) -> None:
        """Tell the daemon from a supervisor: never wait for it, it may be stopped or gone."""
        try:
            self._link.send(write_message(message), socket.MSG_DONTWAIT)
        except OSError:
            return  # The daemon reads it in the folder.
