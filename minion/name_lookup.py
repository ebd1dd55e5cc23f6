"""Asking a name server without holding up the poll loop.

The C library has no look-up that does not block, so a name is asked for in a thread of its own, which does nothing else and
ends with the answer: the one thread of this daemon. Its end closes a pipe that the poll loop watches. A look-up that takes too
long is abandoned, not stopped; so few of them may be under way at once. An address needs no thread.
"""

import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from ..core.dataclass import dataclass
from ..core.endpoint import HostPort, is_address

#: How long a name may take: resolv.conf's default is 5 s for each server.
LOOKUP_LIMIT_US = 6_000_000
#: Look-ups under way at once, abandoned ones included.
LOOKUPS_LIMIT = 4

SocketAddress: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as a socket takes it.

    Attributes:
        family: ``AF_INET`` or ``AF_INET6``.
        place: what ``connect`` takes.
        text: the address in digits, a link-local one with its interface.
    """

    family: int
    place: SocketAddress
    text: str


Resolve: TypeAlias = Callable[[HostPort], tuple[Address, ...]]


def resolve(endpoint: HostPort) -> tuple[Address, ...]:
    """Ask for the addresses of a host, in the order in which the system prefers them; blocks.

    Raises:
        OSError: there are none.
    """
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return tuple(Address(family, place, str(place[0])) for family, _, _, _, place in found)


class Lookup:
    """One look-up.

    Attributes:
        addresses: what was found; None while it is under way.
        failure: why nothing was found; empty otherwise.
    """

    def __init__(self, endpoint: HostPort, ask: Resolve) -> None:
        """Begin; what is an address already is known at once."""
        self.addresses: tuple[Address, ...] | None = None
        self.failure = ""
        self._ended: int | None = None
        self._thread: threading.Thread | None = None
        if is_address(endpoint.host):
            self._ask(endpoint, ask)
            return
        self._ended, end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._thread = threading.Thread(target=self._run, args=(endpoint, ask, end), name="lookup", daemon=True)
            self._thread.start()
        except RuntimeError:
            # The system has no thread left.
            os.close(end)
            self._thread = None
            self.addresses, self.failure = (), "no thread could be started to look up its name"

    @property
    def descriptor(self) -> int | None:
        """Readable when the look-up has ended; None when there is nothing to wait for."""
        return self._ended

    @property
    def is_running(self) -> bool:
        """Whether the thread still waits for the name server."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Want the answer no more; the thread ends by itself."""
        if self._ended is not None:
            os.close(self._ended)
            self._ended = None

    def _run(self, endpoint: HostPort, ask: Resolve, end: int) -> None:
        # The thread closes its own end of the pipe and touches nothing else: the other end may be closed long since.
        try:
            self._ask(endpoint, ask)
        finally:
            os.close(end)

    def _ask(self, endpoint: HostPort, ask: Resolve) -> None:
        try:
            self.addresses = ask(endpoint)
        except (OSError, UnicodeError) as problem:
            self.failure = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
            self.addresses = ()


class NameLookups:
    """Begins look-ups and remembers those that were abandoned."""

    def __init__(self, ask: Resolve = resolve) -> None:
        """Use the system's resolver, or another in tests."""
        self._ask = ask
        self._begun: list[Lookup] = []

    def begin(self, endpoint: HostPort) -> Lookup | None:
        """Look up a host; None while too many earlier look-ups still wait for the name server."""
        self._begun = [lookup for lookup in self._begun if lookup.is_running]
        if len(self._begun) >= LOOKUPS_LIMIT and not is_address(endpoint.host):
            return None
        lookup = Lookup(endpoint, self._ask)
        self._begun.append(lookup)
        return lookup
