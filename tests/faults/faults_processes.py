"""Faults of processes: killed (SIGKILL) and stopped for a while (SIGSTOP, SIGCONT), of every kind that fleet consists of."""

import os
import signal
from contextlib import suppress

from faults.history import EVERY_JOB, Fault
from faults.jobs_alive import fork_servers, processes_of_minions
from faults.plan import MASTER, FaultKind
from faults.strike import Injector, Strike, signal_one
from support.wait import wait_until


def kill_daemon(strike: Strike) -> Fault:
    """Kill the daemon of the lane and start it again."""
    daemon = strike.site.daemon(strike.planned.lane)
    daemon.kill()
    strike.last()
    strike.site.start_again(strike.planned.lane)
    return strike.done()


def _stop_daemon(strike: Strike) -> Fault:
    daemon = strike.site.daemon(strike.planned.lane)
    daemon.pause()
    strike.last()
    daemon.resume()
    return strike.done()


def _kill_supervisor(strike: Strike) -> Fault | None:
    target = strike.target
    return strike.done(frozenset({target.jid})) if target and signal_one(target.supervisor, signal.SIGKILL) else None


def _kill_command(strike: Strike) -> Fault | None:
    target = strike.target
    return strike.done(frozenset({target.jid})) if target and signal_one(target.command, signal.SIGKILL) else None


def _stop_supervisor(strike: Strike) -> Fault | None:
    return _stop(strike, strike.target.supervisor) if strike.target else None


def _stop_command(strike: Strike) -> Fault | None:
    return _stop(strike, strike.target.command) if strike.target else None


def _stop(strike: Strike, pid: int) -> Fault | None:
    assert strike.target is not None
    is_done = signal_one(pid, signal.SIGSTOP, signal.SIGCONT, pause_seconds=strike.planned.seconds)
    return strike.done(frozenset({strike.target.jid})) if is_done else None


def _kill_fork_server(strike: Strike) -> Fault | None:
    daemon = strike.site.daemon(strike.planned.lane)
    killed = [pid for pid in fork_servers(daemon.pid) if signal_one(pid, signal.SIGKILL)]
    return strike.done() if killed else None


def _restart_all(strike: Strike) -> Fault:
    """Kill every daemon at once; half of the times with all that runs on the machines of the minions, as a power cut does."""
    site = strike.site
    is_power_cut = strike.planned.dice < 0.5
    with site.all_lanes(but=strike.planned.lane):
        daemons = [site.daemon(lane) for lane in site.lanes]
        for daemon in daemons:
            daemon.signal(signal.SIGKILL)
        for daemon in daemons:
            daemon.wait(10)
        if is_power_cut:
            wait_until(
                lambda: not _kill(processes_of_minions(site.folder)), 20, "all processes of the minions to be gone"
            )
        strike.last()
        for lane in (*site.minions, MASTER):
            site.start_again(lane)
    return strike.done(frozenset({EVERY_JOB}) if is_power_cut else frozenset())


def _kill(pids: list[int]) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


INJECTORS: dict[FaultKind, Injector] = {
    FaultKind.KILL_MASTER: kill_daemon,
    FaultKind.KILL_MINION: kill_daemon,
    FaultKind.STOP_MASTER: _stop_daemon,
    FaultKind.STOP_MINION: _stop_daemon,
    FaultKind.KILL_SUPERVISOR: _kill_supervisor,
    FaultKind.STOP_SUPERVISOR: _stop_supervisor,
    FaultKind.KILL_COMMAND: _kill_command,
    FaultKind.STOP_COMMAND: _stop_command,
    FaultKind.KILL_FORK_SERVER: _kill_fork_server,
    FaultKind.RESTART_ALL: _restart_all,
}
