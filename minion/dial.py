"""Opening one TCP connection without blocking: the first of several addresses that answers."""

import errno
import os
import socket

from .name_lookup import Address

#: How long one address may take to answer.
CONNECT_LIMIT_US = 5_000_000


class Dial:
    """One attempt; poll ``descriptor`` for writing and call ``step`` when it is ready or ``until_us`` has passed.

    Attributes:
        address: the one that is tried, or was reached.
        connection: the socket when it is connected; the caller closes it from then on.
        failure: why no address answered; empty otherwise.
        until_us: when the present address has had its time.
    """

    def __init__(self, addresses: tuple[Address, ...], now_us: int) -> None:
        """Begin with the first of the addresses, of which there is at least one."""
        self.address = addresses[0]
        self.connection: socket.socket | None = None
        self.failure = ""
        self.until_us = now_us
        self._left = addresses
        self._trying: socket.socket | None = None
        self._next(now_us)

    @property
    def descriptor(self) -> int | None:
        """The connection that is being made."""
        return self._trying.fileno() if self._trying is not None else None

    def step(self, now_us: int) -> None:
        """See how far it is: connected, refused (then the next address is tried), or neither yet."""
        if self._trying is None:
            return
        code = _connect(self._trying, self.address)
        if code in {errno.EINPROGRESS, errno.EALREADY}:
            if now_us < self.until_us:
                return
            code = errno.ETIMEDOUT
        if code in {0, errno.EISCONN}:
            self.connection, self._trying = self._trying, None
            return
        self._give_up(code)
        self._next(now_us)

    def close(self) -> None:
        """Stop trying; what is connected already is the caller's."""
        if self._trying is not None:
            self._trying.close()
            self._trying = None

    def _next(self, now_us: int) -> None:
        while self._left:
            self.address, *rest = self._left
            self._left = tuple(rest)
            try:
                self._trying = socket.socket(self.address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            except OSError as problem:
                self.failure = f"{self.address.text}: {problem.strerror}"
                continue
            self.until_us = now_us + CONNECT_LIMIT_US
            code = _connect(self._trying, self.address)
            if code in {0, errno.EINPROGRESS}:
                # The poll loop wakes at once when it is connected already.
                self.failure = ""
                return
            self._give_up(code)

    def _give_up(self, code: int) -> None:
        self.failure = f"{self.address.text}: {os.strerror(code)}"
        self.close()


def _connect(connection: socket.socket, address: Address) -> int:
    """Begin to connect, or ask how far it is: an error number, 0 for done."""
    try:
        return connection.connect_ex(address.place)
    except OSError as problem:
        return problem.errno or errno.EINVAL
