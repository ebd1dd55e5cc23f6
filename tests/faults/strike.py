"""What every injector needs: to wait for a job that runs where it strikes, and to say afterwards what it did."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from faults.history import Fault
from faults.jobs_alive import AliveJob, alive_jobs
from faults.plan import MASTER, PlannedFault
from faults.site import Site

#: How long a fault waits for a job to strike.
_PATIENCE_SECONDS = 4.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that is being injected.

    Attributes:
        began: seconds since 1970.
        alive: the jobs that run where it strikes.
    """

    site: Site
    planned: PlannedFault
    began: float
    alive: tuple[AliveJob, ...]

    @property
    def target(self) -> AliveJob | None:
        """One of the jobs that run there; None when none does."""
        return self.alive[int(self.planned.dice * len(self.alive))] if self.alive else None

    def last(self) -> None:
        """Let the fault last as long as it is to."""
        time.sleep(self.planned.seconds)

    def done(self, struck: frozenset[str] = frozenset()) -> Fault:
        """Say what was done."""
        planned = self.planned
        return Fault(planned.kind, planned.lane, self.began, time.time(), bool(self.alive), struck)


#: Injects one fault, and returns when it is over; None when there was nothing to strike.
Injector = Callable[[Strike], Fault | None]


def aim(site: Site, planned: PlannedFault) -> Strike:
    """Wait a moment for a job that runs there, if the fault is to strike inside of one."""
    deadline = time.monotonic() + (_PATIENCE_SECONDS if planned.is_inside else 0.0)
    while True:
        alive = tuple(job for job in alive_jobs(site.folder) if planned.lane in {MASTER, job.minion})
        if alive or time.monotonic() > deadline:
            return Strike(site, planned, time.time(), alive)
        time.sleep(_LOOK_SECONDS)


def signal_one(pid: int, *numbers: signal.Signals, pause_seconds: float = 0.0) -> bool:
    """Send signals to one process, with a pause between them, and to no other that gets its number meanwhile."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        for number in numbers:
            if number is not numbers[0]:
                time.sleep(pause_seconds)
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return len(numbers) > 1
    finally:
        os.close(descriptor)
    return True
