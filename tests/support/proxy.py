"""A TCP relay between a minion and its master, in the test's own process: it records the bytes, and can cut, hold or alter them."""

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

PROXY_ADDRESS = "127.0.0.2"
Altered = Callable[[bytes], bytes]


class TcpProxy:
    """Listens on 127.0.0.2 and relays each connection to the same port of 127.0.0.1, byte for byte unless told otherwise.

    The same port, because a master tells its minions the numbers of its ports: a minion whose master is 127.0.0.2 finds
    all three of them there.

    Attributes:
        to_upstream: everything that came from the dialling side.
        from_upstream: everything that came back.
        connections: how many were accepted.
    """

    def __init__(self, port: int, alter: Altered = bytes) -> None:
        """Start to relay; ``alter`` maps what comes from upstream to what is passed on."""
        self._port = port
        self._alter = alter
        self._listener = socket.create_server((PROXY_ADDRESS, port))
        self.to_upstream = bytearray()
        self.from_upstream = bytearray()
        self.connections = 0
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._down: set[socket.socket] = set()
        self._ends = False
        self._passes = threading.Event()
        self._passes.set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._relay, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Close every connection that stands; new ones are relayed."""
        with self._lock:
            for one in list(self._pairs):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def hold(self) -> None:
        """Pass nothing on, and close nothing: as when a cable is pulled."""
        self._passes.clear()

    def release(self) -> None:
        """Pass on again, also what was held."""
        self._passes.set()

    def close(self) -> None:
        """End the relay and its thread."""
        self._ends = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def __enter__(self) -> Self:
        """Relay for the time of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End with the block."""
        self.close()

    def _relay(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ends:
                if not self._passes.wait(0.05):
                    continue
                for key, _ in selector.select(0.05):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if one is self._listener:
                        self._accept(selector)
                    elif one in self._pairs:
                        self._pass_on(one, selector)
            for one in list(self._pairs):
                one.close()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        dialled, _ = self._listener.accept()
        try:
            upstream = socket.create_connection(("127.0.0.1", self._port), 5)
        except OSError:
            dialled.close()
            return
        with self._lock:
            self.connections += 1
            self._pairs |= {dialled: upstream, upstream: dialled}
            self._down.add(upstream)
        selector.register(dialled, selectors.EVENT_READ)
        selector.register(upstream, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket, selector: selectors.BaseSelector) -> None:
        other = self._pairs[one]
        try:
            data = one.recv(65_536)
            if one in self._down:
                self.from_upstream += data
                data = self._alter(data)
            else:
                self.to_upstream += data
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            with self._lock:
                for end in (one, other):
                    selector.unregister(end)
                    self._down.discard(end)
                    del self._pairs[end]
                    end.close()
