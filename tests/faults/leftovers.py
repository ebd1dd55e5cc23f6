"""What the daemons hold: descriptors, memory, folders of jobs, and processes that have no daemon any more."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faults.history import Finding
from faults.jobs_alive import fork_servers
from faults.site import Site
from support.fleet import open_descriptors, resident_kibibytes
from support.processes import marked_processes
from support.wait import wait_until

#: What a daemon may hold more at the end than at the beginning: connections that are being replaced, a fork server.
DESCRIPTORS_SLACK = 6
#: What Python and malloc keep of the largest outputs at once, and what SQLite keeps of its file.
MEMORY_SLACK_KIBIBYTES = 40 * 1024
#: How long what is being given back may take.
QUIET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Holdings:
    """What one daemon holds."""

    descriptors: int
    kibibytes: int


def holdings(site: Site) -> Mapping[str, Holdings]:
    """Look at every daemon that runs."""
    found = {}
    for lane in site.lanes:
        daemon = site.daemon(lane)
        # One that was killed at this moment has no memory any more.
        with suppress(FileNotFoundError, ProcessLookupError, IndexError):
            found[lane] = Holdings(open_descriptors(daemon.pid), resident_kibibytes(daemon.pid))
    return found


def check_holdings(before: Mapping[str, Holdings], site: Site, seconds: float = QUIET_SECONDS) -> Iterator[Finding]:
    """Compare with what was held before the faults; descriptors get a moment to be given back."""

    def too_many() -> dict[str, str]:
        return {
            lane: f"{now.descriptors} descriptors, and {before[lane].descriptors} at the beginning"
            for lane, now in holdings(site).items()
            if now.descriptors > before[lane].descriptors + DESCRIPTORS_SLACK
        }

    try:
        wait_until(lambda: not too_many(), seconds, "descriptors to be given back")
    except AssertionError:
        for lane, text in too_many().items():
            targets = sorted(_targets(site.daemon(lane).pid))
            yield Finding("descriptors left", f"{text}: {targets}", minion=lane)
    for lane, now in holdings(site).items():
        if now.kibibytes > before[lane].kibibytes + MEMORY_SLACK_KIBIBYTES:
            text = f"{now.kibibytes} KiB, and {before[lane].kibibytes} at the beginning"
            yield Finding("memory grows", text, minion=lane)


def check_folders(site: Site, minions: list[str], seconds: float = QUIET_SECONDS) -> Iterator[Finding]:
    """No folder of a job stays when its return is stored."""
    for minion in minions:
        jobs = site.state_folder(minion) / "jobs"

        def is_tidy(jobs: Path = jobs) -> bool:
            return not _names(jobs)

        try:
            wait_until(is_tidy, seconds, "the folders of jobs to be removed")
        except AssertionError:
            yield Finding("folders left", f"{_names(jobs)[:10]}", minion=minion)


def check_processes(site: Site, seconds: float = QUIET_SECONDS) -> Iterator[Finding]:
    """Nothing runs but the daemons and their fork servers."""
    lanes = [site.daemon(lane) for lane in site.lanes if site.daemon(lane).is_running]

    def left() -> dict[int, str]:
        known = {daemon.pid for daemon in lanes}
        known |= {pid for daemon in lanes for pid in fork_servers(daemon.pid)}
        return {pid: what for pid, what in marked_processes(site.folder).items() if pid not in known}

    try:
        wait_until(lambda: not left(), seconds, "the processes of jobs to end")
    except AssertionError:
        for pid, what in left().items():
            yield Finding("process left", f"{pid}: {what}")


def _names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def _targets(pid: int) -> Iterator[str]:
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
