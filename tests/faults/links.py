"""The wires between minions and master: a TCP relay with an address for each minion, which can fail as wires do.

One thread relays everything and never waits for a peer: what one does not read is held back from the one that writes it.
"""

import errno
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

_READ_BYTES = 65_536
_HELD_LIMIT_BYTES = 1024 * 1024
_ANSWER_SECONDS = 10.0
#: Closes with a reset instead of an end.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(slots=True, eq=False)
class _Flow:
    """One direction of a connection.

    Attributes:
        held: what is to be passed on, each with the moment when it may leave.
        is_over: the source has ended; what is held still leaves.
    """

    source: socket.socket
    sink: socket.socket
    held: deque[tuple[float, bytes]] = field(default_factory=deque)
    held_bytes: int = 0
    is_over: bool = False


@dataclass(slots=True, eq=False)
class _Pair:
    """One connection: what a minion dialled, and what was dialled for it.

    Attributes:
        open_end: of a half-open one the end that was told nothing.
    """

    minion: str
    port: int
    up: _Flow
    down: _Flow
    open_end: socket.socket | None = None

    def flow_from(self, source: socket.socket) -> _Flow:
        return self.up if source is self.up.source else self.down


@dataclass(slots=True)
class _Wire:
    """How the connections of one minion are: delays by port, and whether bytes are swallowed."""

    delays_seconds: dict[int, float] = field(default_factory=dict)
    swallows: bool = False


class Links:
    """Relays each connection to an address of a minion to the same port of 127.0.0.1.

    The same port, because a master tells its minions the numbers of its ports.

    Args:
        ports: of the master.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = tuple(ports)
        self._wires: dict[str, _Wire] = {}
        self._listeners: dict[socket.socket, tuple[str, int]] = {}
        self._pairs: dict[socket.socket, _Pair] = {}
        self._commands: deque[tuple[Callable[[], None], threading.Event]] = deque()
        self._waking, self._wake = os.pipe()
        self._ends = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._waking, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._relay, name="links", daemon=True)
        self._thread.start()

    def add(self, minion: str) -> str:
        """Give a minion a wire, and return the address at which it finds the master."""
        address = f"127.0.1.{len(self._wires) + 1}"
        self._wires[minion] = _Wire()
        sockets = [(socket.create_server((address, port)), port) for port in self._ports]

        def listen() -> None:
            for one, port in sockets:
                one.setblocking(False)
                self._listeners[one] = (minion, port)
                self._selector.register(one, selectors.EVENT_READ)

        self._do(listen)
        return address

    def cut(self, minion: str) -> None:
        """End every connection of a minion properly; new ones are relayed."""
        self._do(lambda: self._end_all(minion, is_reset=False))

    def reset(self, minion: str) -> None:
        """End every connection of a minion with a reset on both sides."""
        self._do(lambda: self._end_all(minion, is_reset=True))

    def delay(self, minion: str, seconds: float, ports: Iterable[int]) -> None:
        """Hold up every byte of connections to these ports of the master, in both directions."""
        delays = dict.fromkeys(ports, seconds)
        self._do(lambda: self._wires[minion].delays_seconds.update(delays))

    def swallow(self, minion: str) -> None:
        """Lose every byte from now on; ``heal`` resets what lost any."""

        def begin() -> None:
            self._wires[minion].swallows = True

        self._do(begin)

    def half_open(self, minion: str, *, is_minion_told: bool) -> None:
        """Reset one side of every connection of a minion, and never tell the other: what it sends goes nowhere."""

        def leave() -> None:
            for pair in self._of(minion):
                dialled, upstream = pair.up.source, pair.up.sink
                pair.open_end = upstream if is_minion_told else dialled
                self._close(dialled if is_minion_told else upstream, is_reset=True)

        self._do(leave)

    def heal(self, minion: str) -> None:
        """Be a good wire again. Connections that lost bytes, or have one end, are reset."""

        def mend() -> None:
            wire = self._wires[minion]
            for pair in self._of(minion):
                if wire.swallows or pair.open_end is not None:
                    self._end(pair, is_reset=True)
            wire.swallows = False
            wire.delays_seconds.clear()

        self._do(mend)

    def connections(self, minion: str) -> int:
        """How many connections of a minion there are now."""
        found: list[int] = []
        self._do(lambda: found.append(len(self._of(minion))))
        return found[0]

    def close(self) -> None:
        """End the relay and its thread."""
        self._ends = True
        os.write(self._wake, b".")
        self._thread.join(_ANSWER_SECONDS)
        assert not self._thread.is_alive(), "the relay hangs"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the thread of the relay.

    def _do(self, command: Callable[[], object]) -> None:
        done = threading.Event()
        problems: list[Exception] = []

        def guarded() -> None:
            try:
                command()
            except Exception as problem:  # noqa: BLE001 - it belongs to whoever asked, and the relay goes on
                problems.append(problem)

        self._commands.append((guarded, done))
        os.write(self._wake, b".")
        assert done.wait(_ANSWER_SECONDS), "the relay hangs"
        if problems:
            raise problems[0]

    def _of(self, minion: str) -> list[_Pair]:
        return [pair for pair in set(self._pairs.values()) if pair.minion == minion]

    def _relay(self) -> None:
        while not self._ends:
            for key, events in self._selector.select(self._next_seconds()):
                one = key.fileobj
                if not isinstance(one, socket.socket):
                    os.read(self._waking, 4096)
                elif one in self._listeners:
                    self._accept(one)
                elif one in self._pairs and events & selectors.EVENT_READ:
                    self._read(self._pairs[one], one)
            while self._commands:
                command, done = self._commands.popleft()
                command()
                done.set()
            for pair in set(self._pairs.values()):
                self._pass_on(pair)
        for one in [*self._pairs, *self._listeners]:
            one.close()
        self._selector.close()
        os.close(self._waking)
        os.close(self._wake)

    def _next_seconds(self) -> float | None:
        now = time.monotonic()
        due = [
            flow.held[0][0]
            for pair in set(self._pairs.values())
            for flow in (pair.up, pair.down)
            # What is due and did not leave waits for room, of which the selector tells.
            if flow.held and flow.held[0][0] > now
        ]
        return max(0.001, min(due) - now) if due else None

    def _accept(self, listener: socket.socket) -> None:
        minion, port = self._listeners[listener]
        try:
            dialled, _ = listener.accept()
        except OSError:
            return
        upstream = socket.socket()
        for one in (dialled, upstream):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if upstream.connect_ex(("127.0.0.1", port)) not in {0, errno.EINPROGRESS}:
            dialled.close()
            upstream.close()
            return
        pair = _Pair(minion, port, _Flow(dialled, upstream), _Flow(upstream, dialled))
        for one in (dialled, upstream):
            self._pairs[one] = pair
            self._selector.register(one, selectors.EVENT_READ)

    def _read(self, pair: _Pair, source: socket.socket) -> None:
        flow, wire = pair.flow_from(source), self._wires[pair.minion]
        try:
            data = source.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end(pair, is_reset=True)
            return
        if not data:
            flow.is_over = True
        elif pair.open_end is None and not wire.swallows:
            flow.held.append((time.monotonic() + wire.delays_seconds.get(pair.port, 0.0), data))
            flow.held_bytes += len(data)
        if flow.is_over and pair.open_end is not None:
            self._end(pair)

    def _pass_on(self, pair: _Pair) -> None:
        now = time.monotonic()
        for flow in (pair.up, pair.down):
            if flow.source not in self._pairs and pair.open_end is None:
                return
            while flow.held and flow.held[0][0] <= now and flow.sink in self._pairs:
                due, data = flow.held.popleft()
                try:
                    sent = flow.sink.send(data)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError as problem:
                    sent = 0
                    if problem.errno != errno.ENOTCONN:  # It is still being dialled.
                        self._end(pair, is_reset=True)
                        return
                flow.held_bytes -= sent
                if sent < len(data):
                    flow.held.appendleft((due, data[sent:]))
                    break
        if any(flow.is_over and not flow.held for flow in (pair.up, pair.down)):
            self._end(pair)
            return
        self._watch(pair, now)

    def _watch(self, pair: _Pair, now: float) -> None:
        """Wait for what can go on: to read where there is room to hold it, to write where something is due."""
        for flow, back in ((pair.up, pair.down), (pair.down, pair.up)):
            if flow.source not in self._pairs:
                continue
            events = 0 if flow.held_bytes > _HELD_LIMIT_BYTES or flow.is_over else selectors.EVENT_READ
            if back.held and back.held[0][0] <= now:
                events |= selectors.EVENT_WRITE
            self._wait_for(flow.source, events)

    def _wait_for(self, one: socket.socket, events: int) -> None:
        is_registered = one in self._selector.get_map()
        if not events and is_registered:
            self._selector.unregister(one)
        elif events and is_registered:
            self._selector.modify(one, events)
        elif events:
            self._selector.register(one, events)

    def _end_all(self, minion: str, *, is_reset: bool) -> None:
        for pair in self._of(minion):
            self._end(pair, is_reset=is_reset)

    def _end(self, pair: _Pair, *, is_reset: bool = False) -> None:
        for one in (pair.up.source, pair.up.sink):
            self._close(one, is_reset=is_reset)

    def _close(self, one: socket.socket, *, is_reset: bool) -> None:
        if self._pairs.pop(one, None) is None:
            return
        self._wait_for(one, 0)
        if is_reset:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        one.close()
