"""The master's poll loop: which descriptor is ready, what the clock makes due. It decides nothing.

The order matters in one place: what the monitors saw is read before a hello is taken, because a descriptor's number may have been
another connection's a moment ago (``minion_messages.py`` asks for it).
"""

import logging
import os
import signal
import time

import zmq

from ..core.control_answers import QueueFigure
from ..core.dataclass import dataclass, field, fields
from ..core.errors import KeyStoreError
from ..core.log_limit import LineLimiter
from ..keys.minion_key import KeyState
from .admission import Admission
from .bounds import BOUNDS, BoundWatch
from .conductor import Conductor
from .config import MasterSettings
from .control_port import ControlPort
from .descriptor_reserve import DescriptorReserve
from .enrolment_port import EnrolmentPort
from .key_changes import KeyChanges
from .minion_messages import BARRED_US, MinionMessages
from .pace import rest_us
from .process_limits import count_descriptors
from .purge import Purge
from .requests import Requests
from .stdin_service import StdinService
from .store_queue import QUEUE_LIMIT_BYTES, QUEUE_LIMIT_CHANGES
from .transport import Accepted, FleetPorts, peer_address, shut_down
from .unproven import UnprovenConnections

log = logging.getLogger(__name__)

#: Frames read from one socket before the loop looks at everything else.
BATCH = 500
#: How long it reads them at the most: a frame may take milliseconds to decode, and keys, commands and handshakes wait meanwhile.
TURN_US = 50_000
#: After how many frames that is looked at: reading the clock takes a tenth as long as to take a return.
LOOK_EVERY = 8
#: How often deadlines are looked at.
TICK_US = 100_000
#: How often heartbeats are looked at.
LISTEN_US = 1_000_000
SWEEP_US = 5_000_000
#: How often it is stored when minions were last heard: what a master that was killed can be wrong by, twice.
LAST_SEEN_US = 60_000_000


@dataclass(slots=True)
class Loop:
    """Runs one master until it is told to stop."""

    settings: MasterSettings
    zap: "zmq.Socket[bytes]"
    admission: Admission
    ports: FleetPorts
    unproven: UnprovenConnections
    enrolment: EnrolmentPort
    control: ControlPort
    conductor: Conductor
    keys: KeyChanges
    messages: MinionMessages
    requests: Requests
    purge: Purge
    stdin: StdinService
    is_stopping: bool = False
    turns: int = 0
    _registered: dict[int, int] = field(default_factory=dict)
    _ticked_us: int = 0
    _listened_us: int = 0
    _swept_us: int = 0
    _kept_us: int = 0
    _is_shedding: bool = False
    _reserve: DescriptorReserve = field(default_factory=DescriptorReserve)
    _lines: LineLimiter = field(default_factory=LineLimiter)
    _bounds: BoundWatch = field(init=False)
    _dropped_before: int = field(init=False)

    def __post_init__(self) -> None:
        """What is counted from the start of this process."""
        self._bounds = BoundWatch(
            {bound.setting: getattr(self.settings, bound.setting) for bound in BOUNDS if bound.setting}
        )
        self._dropped_before = self.keys.store.candidates_dropped

    def run(self) -> None:
        """Loop until SIGTERM or SIGINT."""
        poller = zmq.Poller()
        for socket in (self.zap, *self.ports.sockets):
            poller.register(socket, zmq.POLLIN)
        wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        poller.register(wake, zmq.POLLIN)
        poller.register(self.conductor.store.fileno(), zmq.POLLIN)
        poller.register(self.enrolment.descriptor, zmq.POLLIN)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self.is_stopping:
                self._sync(poller)
                ready = dict(poller.poll(self._wait_ms()))
                taken = self._turn(ready)
                conductor = self.conductor
                rest = rest_us(taken, BATCH, conductor.jobs.targets_open, conductor.sessions.count)
                if rest:
                    time.sleep(rest / 1e6)
            self.conductor.keep_last_seen(1)
        finally:
            signal.set_wakeup_fd(-1)
            self._reserve.release()
            os.close(wake)
            os.close(waker)

    def drain_monitors(self) -> None:
        """Take up which connections came and went."""
        now_us = self.conductor.clock.now_us()
        for event in self.ports.connection_events():
            if isinstance(event, Accepted) and self._is_shedding:
                self.unproven.excess += 1
                shut_down(event.descriptor, event.address)
                continue
            if isinstance(event, Accepted):
                for excess in self.unproven.accepted(event.descriptor, event.address, now_us):
                    shut_down(excess, peer_address(excess))
                continue
            self.unproven.closed(event.descriptor)
            self.conductor.disconnected(event.descriptor)
            self.messages.closed(event.descriptor, now_us)

    def counters(self) -> dict[str, int]:
        """Everything that is counted, by the names in ``docs/reference.md``."""
        return {**self._counted(), "descriptors": count_descriptors()}

    def _counted(self) -> dict[str, int]:
        counted = {
            "turns": self.turns,
            "handshakes_admitted": self.admission.counters.admitted,
            "handshakes_refused": self.admission.counters.refused,
            "handshakes_throttled": self.admission.counters.throttled,
            "connections_unproven": len(self.unproven),
            "connections_excess": self.unproven.excess,
            "epoch_renewals": self.conductor.epochs.renewals,
            "frames_multipart": self.ports.malformed,
            "frames_unsendable": self.ports.unsendable,
            "frames_unread": self.ports.unread,
            "events": self.conductor.events.published,
            "returns_put_off": self.conductor.jobs.returns_put_off,
            "events_missed": self.conductor.events.missed,
            "keys_dropped": self.keys.store.candidates_dropped - self._dropped_before,
            "pings_refused": self.conductor.pings.refused,
            "orders_put_off": self.conductor.credit.put_off,
            "jobs_purged": self.purge.removed,
        }
        for prefix, group in (
            ("messages", self.messages.counters),
            ("sent", self.conductor.counters),
            ("sent", self.conductor.commits.counters),
            ("enrolment", self.enrolment.counters),
            ("control", self.control.counters),
        ):
            counted.update({f"{prefix}_{each.name}": getattr(group, each.name) for each in fields(group)})
        counted.update(self.conductor.jobs.counts())
        counted.update(self.conductor.store.counters())
        return counted

    def queues(self) -> tuple[QueueFigure, ...]:
        """How full each bounded queue is, by the names in ``docs/reference.md``."""
        conductor, settings = self.conductor, self.settings
        store = conductor.store.counters()
        figures = {
            "store_changes": (store["store_waiting"], QUEUE_LIMIT_CHANGES),
            "store_memory_bytes": (store["store_waiting_bytes"], QUEUE_LIMIT_BYTES),
            **conductor.jobs.figures(),
            **self.stdin.windows.figures(),
            **self.requests.jobs.uploads.figures(),
            **conductor.events.figures(),
            **self.control.figures(),
            **conductor.credit.figures(),
            "pings": conductor.pings.figures(),
            "pending_keys": (len(self.keys.store.by_state(KeyState.PENDING)), settings.pending_limit),
            "unproven_connections": (len(self.unproven), settings.unproven_limit),
            "enrol_connections": (len(self.enrolment), settings.enrol_connections_limit),
        }
        return tuple(QueueFigure(name, now, limit) for name, (now, limit) in figures.items())

    def _stop(self, _number: int, _frame: object) -> None:
        self.is_stopping = True

    def _turn(self, ready: dict[object, int]) -> int:
        """Do what is ready and what is due; return how many frames of minions were taken."""
        self.turns += 1
        taken = 0
        request, publish, *monitors = self.ports.sockets
        if self.zap in ready:
            self.admission.handle(self.conductor.clock.now_us())
        if any(monitor in ready for monitor in monitors):
            self.drain_monitors()
        if request in ready:
            now_us = self.conductor.clock.now_us()
            for received in self.ports.receive(BATCH):
                self.messages.take(received, now_us)
                taken += 1
                if taken % LOOK_EVERY == 0 and self.conductor.clock.now_us() - now_us > TURN_US:
                    taken = BATCH
                    break  # What is left is read in the next turn: long messages of one must not keep all others waiting.
            self.conductor.commits.commit()
        if publish in ready:
            self._take_subscriptions()
        if self.conductor.store.fileno() in ready:
            with self.control.together():
                self.conductor.store.collect()
        for descriptor in list(self._registered):
            if descriptor in ready:
                self._take_control(descriptor, ready[descriptor])
        now_us = self.conductor.clock.now_us()
        if now_us - self._ticked_us >= TICK_US:
            self._ticked_us = now_us
            self._tick(now_us)
        if self.enrolment.descriptor in ready or self._is_due(self.enrolment.deadline_us(), now_us):
            self._take_offers(now_us)
        self.conductor.ask_for_output()
        self.requests.jobs.streams.pump()
        self.requests.fleet.send_events()
        for connection in self.control.closed():
            self.requests.closed(connection)
        self.conductor.commits.commit()
        return taken

    @staticmethod
    def _is_due(deadline_us: int | None, now_us: int) -> bool:
        return deadline_us is not None and now_us >= deadline_us

    def _wait_ms(self) -> int:
        """How long to sleep at the most: until the next tick."""
        return max(1, (self._ticked_us + TICK_US - self.conductor.clock.now_us()) // 1000)

    def _sync(self, poller: zmq.Poller) -> None:
        """Poll exactly the connections that the control socket has now."""
        wanted = self.control.descriptors()
        for descriptor in [known for known in self._registered if known not in wanted]:
            poller.unregister(descriptor)
            del self._registered[descriptor]
        for descriptor, wants_write in wanted.items():
            events = zmq.POLLIN | zmq.POLLOUT if wants_write else zmq.POLLIN
            if self._registered.get(descriptor) != events:
                poller.register(descriptor, events)
                self._registered[descriptor] = events

    def _take_control(self, descriptor: int, events: int) -> None:
        readable, writable = bool(events & ~zmq.POLLOUT), bool(events & zmq.POLLOUT)
        for connection, caller, request in self.control.handle(descriptor, readable=readable, writable=writable):
            self.requests.take(connection, caller, request)

    def _take_offers(self, now_us: int) -> None:
        for received in self.enrolment.handle(now_us):
            offer = received.offer
            try:
                standing = self.keys.offered(offer.minion_id, offer.public_key, received.address)
            except KeyStoreError as problem:
                log.warning("the key of %s from %s is not kept: %s", offer.minion_id, received.address, problem.message)
                continue
            self.enrolment.decided(offer.minion_id, offer.public_key, standing, now_us)

    def _take_subscriptions(self) -> None:
        self.drain_monitors()
        for subscribed in self.ports.subscriptions(BATCH):
            address = peer_address(subscribed.descriptor)
            self.unproven.proven(subscribed.descriptor)
            if subscribed.is_greedy:
                self.messages.counters.greedy += 1
                self.admission.bar(subscribed.minion, self.conductor.clock.now_us() + BARRED_US)
                shut_down(subscribed.descriptor, address)
                log.warning(
                    "ended a subscription of %s from %s: it asks for more than it may", subscribed.minion, address
                )
            else:
                self.conductor.subscribed(subscribed.minion, subscribed.descriptor, address)

    def _tick(self, now_us: int) -> None:
        self._watch_descriptors(now_us)
        conductor = self.conductor
        conductor.perform(conductor.jobs.ticked(now_us))
        self.requests.ticked(now_us)
        if now_us >= conductor.epochs.deadline_us():
            conductor.renew_epoch()
        conductor.probe(conductor.sessions.due_probes(now_us))
        conductor.repeat_forgetting(now_us)
        self.stdin.ticked(now_us)
        self.purge.tick(now_us)
        if now_us - self._listened_us >= LISTEN_US:
            self._listened_us = now_us
            self._listen(now_us)
            self._tell_bounds(now_us)
        if now_us - self._swept_us >= SWEEP_US:
            self._swept_us = now_us
            self._sweep(now_us)
        if now_us - self._kept_us >= LAST_SEEN_US:
            self._kept_us = now_us
            conductor.keep_last_seen(LAST_SEEN_US)

    def _watch_descriptors(self, now_us: int) -> None:
        """Without a descriptor left, end what has proved no key and whatever comes until there are some again."""
        self._is_shedding = not self._reserve.refill()
        if not self._is_shedding:
            return
        self._reserve.release()
        for descriptor in self.unproven.give_up():
            shut_down(descriptor, peer_address(descriptor))
        if self._lines.allow("descriptors", now_us) is not None:
            log.error(
                "this process has no descriptors left (%d are open): connections are turned away until there are some; raise "
                "LimitNOFILE of the unit, or ulimit -n",
                count_descriptors(),
            )

    def _tell_bounds(self, now_us: int) -> None:
        """Tell which bounds somebody ran into."""
        culprits = {**self.messages.culprits, "control_unread": (self.control.slow_reader, "")}
        for tag, payload in self._bounds.look(self._counted(), culprits, now_us):
            self.conductor.events.publish(tag, payload, now_us)

    def _listen(self, now_us: int) -> None:
        """Tell which minions have fallen silent, and which are heard again."""
        silent, heard = self.conductor.sessions.silence_changes(now_us)
        for minion in self.conductor.sessions.lost(now_us):
            self.conductor.end_connections(minion)
        for session in silent:
            self.conductor.publish_event(
                f"fleet/minion/{session.minion}/silent", minion=session.minion, address=session.connection.address
            )
            log.warning("minion %s is connected, but its heartbeats are missing", session.minion)
        for session in heard:
            self.conductor.publish_event(
                f"fleet/minion/{session.minion}/up",
                minion=session.minion,
                address=session.connection.address,
                version=session.hello.fleet_version,
            )
            log.info("minion %s is heard again", session.minion)

    def _sweep(self, now_us: int) -> None:
        """What is looked at now and then: connections that never spoke, replaced ones."""
        for descriptor in self.unproven.overdue(now_us):
            shut_down(descriptor, peer_address(descriptor))
        for connection in self.conductor.sessions.overdue_superseded(now_us):
            shut_down(connection.descriptor, connection.address)
