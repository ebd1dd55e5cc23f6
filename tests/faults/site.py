"""The fleet that the faults strike: its daemons behind wires, on disks and under clocks of their own; started, and started again."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from faults import patched_daemon
from faults.disks import SmallDisk, unmount_below
from faults.history import OUTSIDE
from faults.links import Links
from faults.namespaces import Cable
from faults.orders import SCRIPT
from faults.patched_daemon import BUG, CLOCK
from faults.plan import MASTER
from fleet.core.control_requests import KeyChoice
from fleet.core.errors import FleetError
from support.fleet import MASTER_READY, Fleet
from support.processes import Daemon, end_marked_processes
from support.wait import wait_until

#: How long any daemon may take to be ready, also on a machine that is busy with everything else.
READY_SECONDS = 60.0
#: Where the content of the disks stays, if it is to be looked at afterwards.
KEPT = "kept"
MASTER_DISK_BYTES = 768 * 1024 * 1024
MINION_DISK_BYTES = 48 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Terms:
    """How a site is made.

    Attributes:
        minions: how many.
        has_disks: each daemon has a disk of its own.
        bugs: of ``patched_daemon.PLANTED``, by lane; ``*`` is every lane that is not named.
    """

    minions: int
    has_disks: bool
    bugs: Mapping[str, str] = field(default_factory=dict)


class Site:
    """One master and its minions.

    Attributes:
        cable: between the master and all minions; without one each minion has a wire of its own in ``links``.
        lanes: a lock for each daemon: whoever strikes it, or changes its keys, holds it.
        clock_steps: when a master was started whose clock was set otherwise than that of the one before.
    """

    def __init__(self, folder: Path, terms: Terms, cable: Cable | None = None) -> None:
        """Describe a site below ``folder``; nothing is started."""
        self.folder = folder
        self.terms = terms
        self.cable = cable
        self.fleet = Fleet(folder)
        self.minions = tuple(f"m{number}" for number in range(1, terms.minions + 1))
        self.script = folder / "job.sh"
        self.script.write_text(SCRIPT)
        self.lanes = {name: threading.Lock() for name in (MASTER, *self.minions)}
        self.clock_steps: list[float] = []
        self.disks: dict[str, SmallDisk] = {}
        self.links = Links(self.ports)
        self._clock_at_start = 0.0
        patched = (sys.executable, "-P", patched_daemon.__file__)
        master, minion = (*patched, "master"), (*patched, "minion")
        self.fleet.minion_command = cable.of_minions(*minion) if cable else minion
        words = cable.of_master(*master) if cable else master
        environment = self.fleet.environment() | self._variables(MASTER)
        self.fleet.master = Daemon("fleet-master", words, environment, folder / "master.log")

    @property
    def ports(self) -> tuple[int, int, int]:
        """Of the master: publish, request, enrolment."""
        return self.fleet.publish_port, self.fleet.request_port, self.fleet.enrol_port

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        if self.terms.has_disks:
            state = self.fleet.master_root / "var/lib/fleet/master"
            self.disks[MASTER] = SmallDisk(self.folder / "disks" / MASTER, state, MASTER_DISK_BYTES)
        self.fleet.configure_master(
            interface=self.cable.address if self.cable else "127.0.0.1",
            heartbeat_seconds=1.0,
            ttl_seconds=20.0,
            minion_messages_per_second=20_000.0,
            enrol_rate_per_second=1000.0,
        )
        self.start_again(MASTER)
        for minion in self.minions:
            root = self.fleet.minion_root(minion)
            (root / OUTSIDE).mkdir(parents=True)
            if self.terms.has_disks:
                state = root / "var/lib/fleet/minion"
                self.disks[minion] = SmallDisk(self.folder / "disks" / minion, state, MINION_DISK_BYTES)
            address = self.cable.address if self.cable else self.links.add(minion)
            master = f"{address}:{self.fleet.enrol_port}"
            self.fleet.start_minion(minion, self._variables(minion), master=master, kill_after_seconds=1.0)
        self.fleet.wait_until_pending(self.minions, READY_SECONDS)
        self.fleet.change_keys("accept", *self.minions)
        self.fleet.wait_until_ready(seconds=READY_SECONDS)

    # Daemons.

    def daemon(self, lane: str) -> Daemon:
        """The daemon of a lane."""
        return self.fleet.master if lane == MASTER else self.fleet.minions[lane]

    def state_folder(self, lane: str) -> Path:
        """Where the daemon of a lane keeps what it must not lose."""
        if lane == MASTER:
            return self.fleet.master_root / "var/lib/fleet/master"
        return self.fleet.minion_root(lane) / "var/lib/fleet/minion"

    def launch(self, lane: str) -> None:
        """Start the daemon of a lane, which does not run, and do not wait for it."""
        if lane == MASTER and (ahead := self.clock(MASTER)) != self._clock_at_start:
            self.clock_steps.append(time.time())
            self._clock_at_start = ahead
        self.daemon(lane).start()

    def start_again(self, lane: str) -> None:
        """Start the daemon of a lane, and wait until the master is ready; what comes next may strike a minion while it starts."""
        self.launch(lane)
        if lane == MASTER:
            self.fleet.master.wait_for_log(MASTER_READY, READY_SECONDS)

    @contextmanager
    def all_lanes(self, *, but: str) -> Iterator[None]:
        """Hold all lanes but one, whose fault this is."""
        with ExitStack() as stack:
            for lane in sorted(self.lanes):
                if lane != but:
                    stack.enter_context(self.lanes[lane])
            yield

    # Clocks.

    def clock(self, lane: str) -> float:
        """By how many seconds the wall clock of a daemon is ahead."""
        file = self._clock_file(lane)
        return float(file.read_text()) if file.exists() else 0.0

    def set_clock(self, lane: str, ahead_seconds: float) -> None:
        """Set the wall clock of a daemon; no part of the file is ever seen."""
        file = self._clock_file(lane)
        following = file.with_suffix(".next")
        following.write_text(f"{ahead_seconds}")
        following.replace(file)

    # Keys.

    def delete_key(self, minion: str, *, is_typed: bool = False) -> None:
        """Remove all keys of a minion, as ``fleet-key -d`` does, or by that command."""
        if is_typed:
            self.fleet.run("fleet-key", "-d", minion, "-y", seconds=READY_SECONDS)
        self._patiently(f"the key of {minion} to be deleted", lambda: self._change("delete", minion))

    def accept_key(self, minion: str) -> None:
        """Wait for a key of a minion, and accept it. One that another key keeps out is removed with that, and comes again."""
        self._patiently(f"the key of {minion} to be accepted", lambda: self._accept(minion))

    def _accept(self, minion: str) -> bool:
        states = [key.state for key in self.fleet.client().keys().keys if key.minion == minion]
        if "pending" in states:
            self._change("accept", minion)
        return "accepted" in states

    def _change(self, action: str, minion: str) -> bool:
        client = self.fleet.client()
        keys = [
            key for key in client.keys().keys if key.minion == minion and (action == "delete" or key.state == "pending")
        ]
        if keys:
            client.change_keys(action, [KeyChoice(key.minion, key.fingerprint) for key in keys])
        return not keys

    def _patiently(self, what: str, step: Callable[[], bool]) -> None:
        """Try again while the master is away or cannot store it: other faults go on."""

        def attempt() -> bool:
            try:
                return step()
            except FleetError:
                return False

        wait_until(attempt, READY_SECONDS, what)

    def logs(self, lanes: Sequence[str] = (), characters: int = 4000) -> str:
        """The ends of the logs of these daemons, or of all."""
        daemons = [self.daemon(lane) for lane in lanes or self.lanes if lane == MASTER or lane in self.fleet.minions]
        return "\n".join(
            f"--- {daemon.name}\n{daemon.whole_log().decode(errors='replace')[-characters:]}" for daemon in daemons
        )

    def close(self, *, keeps_state: bool = False) -> None:
        """End all that was started, whatever state it is in, and unmount the disks; with ``keeps_state`` copy first what lay there."""
        try:
            end_marked_processes(self.folder)
            for lane in (MASTER, *self.fleet.minions):
                process = self.daemon(lane).process
                if process is not None:
                    process.wait(10)
            for lane, disk in self.disks.items() if keeps_state else ():
                disk.free()
                shutil.copytree(disk.folder, self.folder / KEPT / lane)
        finally:
            self.links.close()
            unmount_below(self.folder)

    def _clock_file(self, lane: str) -> Path:
        return self.folder / f"{lane}.clock"

    def _variables(self, lane: str) -> dict[str, str]:
        bug = self.terms.bugs.get(lane) or self.terms.bugs.get("*")
        return {CLOCK: str(self._clock_file(lane))} | ({BUG: bug} if bug else {})
