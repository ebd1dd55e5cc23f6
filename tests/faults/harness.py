"""One run: start a fleet, let jobs stream through it while faults strike it, let it come to rest, and audit what it says."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults import faults_links, faults_processes, faults_state
from faults.audit import judge
from faults.endings import adopt_unanswered, cases, endings, jids_of_tokens, summaries
from faults.history import Fault, Finding, read_outside
from faults.leftovers import QUIET_SECONDS, Holdings, check_folders, check_holdings, check_processes, holdings
from faults.namespaces import Cable
from faults.orders import USUAL, Mix
from faults.plan import EVERYWHERE, MASTER, OF_DISKS, FaultKind, deal
from faults.report import Report
from faults.site import READY_SECONDS, Site, Terms
from faults.stream import Stream
from faults.strike import Injector, aim
from fleet.core.errors import FleetError
from support.wait import wait_until

INJECTORS: Mapping[FaultKind, Injector] = faults_processes.INJECTORS | faults_links.INJECTORS | faults_state.INJECTORS
_LOOK_SECONDS = 1.0
#: There is one master and many minions: it is struck after shorter pauses, or its faults would be few.
_MASTER_PAUSE_PART = 0.3
#: A fault lasts a few seconds; beside others, and where a key is to be accepted by a master that is away, more.
_LANE_SECONDS = 150.0
#: What may leave folders behind until the minion is started again: the journal that says whose they are is gone, or could not be written.
_LEAVES_FOLDERS = (FaultKind.WIPE_JOURNAL, FaultKind.WIPE_STATE, FaultKind.FULL_SPOOL, FaultKind.RESTORE_MASTER)


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a run is like.

    Attributes:
        seconds: how long faults are injected.
        settle_seconds: how long everything may take afterwards until each job has ended.
        quiet_seconds: and then until what was held for them is given back.
        kinds: the faults to inject.
        kinds_of: the faults to inject into some lanes, instead of those.
        bugs: of ``patched_daemon.PLANTED``, by lane; ``*`` is every lane that is not named.
        why_no_disks: why there are no disks to fill; empty when there are.
        pause_seconds: least and most between two faults of one daemon.
        stretch: by which faults of a kind last longer than they would.
        mix: what jobs there are.
    """

    seed: int
    seconds: float
    minions: int = 4
    jobs_per_second: float = 4.0
    submitters: int = 2
    settle_seconds: float = 150.0
    quiet_seconds: float = QUIET_SECONDS
    kinds: tuple[FaultKind, ...] = EVERYWHERE
    kinds_of: Mapping[str, tuple[FaultKind, ...]] = field(default_factory=dict)
    bugs: Mapping[str, str] = field(default_factory=dict)
    why_no_disks: str = ""
    pause_seconds: tuple[float, float] = (0.2, 2.0)
    stretch: Mapping[FaultKind, float] = field(default_factory=dict)
    mix: Mix = USUAL


@dataclass(slots=True)
class Run:
    """A run under way.

    Attributes:
        say: told what is being done.
    """

    site: Site
    terms: RunTerms
    say: Callable[[str], None]
    faults: list[Fault] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    memory_kibibytes: Counter[str] = field(default_factory=Counter)
    _restores_begun: int = 0
    _end: threading.Event = field(default_factory=threading.Event)

    def kinds(self, lane: str) -> tuple[FaultKind, ...]:
        """The faults that can be injected into a lane."""
        kinds = self.terms.kinds_of.get(lane, self.terms.kinds)
        return tuple(kind for kind in kinds if kind not in OF_DISKS or not self.terms.why_no_disks)

    def restores(self) -> int:
        """How often the master was restored, one that is under way included."""
        return self._restores_begun

    def go(self) -> Report:
        """Do all of it."""
        began = time.monotonic()
        self.say(f"starting a master and {self.terms.minions} minions in {self.site.folder}")
        self.site.start()
        before = self._baseline()
        terms = self.terms
        stream = Stream(self.site, terms.seed, terms.jobs_per_second, terms.submitters, self.restores, terms.mix)
        stream.start()
        self.say(f"injecting faults for {self.terms.seconds:g} s")
        self._inject()
        stream.stop()
        self.findings += [Finding("the harness failed", problem) for problem in stream.problems]
        self.say(f"{len(self.faults)} faults, {len(stream.submissions)} jobs; waiting for all to end")
        self._heal()
        self._settle()
        states = self._audit(stream)
        self.say("looking for what is left")
        self.findings += self._leftovers(before)
        self.say("done")
        return Report(
            seed=self.terms.seed,
            seconds=time.monotonic() - began,
            minions=self.terms.minions,
            jobs=len(stream.submissions),
            states=states,
            asked=Counter(submission.asked.value for submission in stream.submissions),
            faults=self.faults,
            findings=self.findings,
            skipped={
                kind: self.terms.why_no_disks
                for kind in self.terms.kinds
                if kind in OF_DISKS and self.terms.why_no_disks
            },
            memory_kibibytes=self.memory_kibibytes,
        )

    # The faults.

    def _baseline(self) -> Mapping[str, Holdings]:
        """What the daemons hold when each has run a job: what is imported late is there."""
        self.site.fleet.client().run("*", "cmd.run", "head -c 300000 /dev/zero", timeout_seconds=READY_SECONDS)
        return dict(holdings(self.site))

    def _inject(self) -> None:
        lanes = [
            threading.Thread(target=self._guarded, args=(lane,), name=f"lane {lane}", daemon=True)
            for lane in self.site.lanes
        ]
        for thread in lanes:
            thread.start()
        deadline = time.monotonic() + self.terms.seconds
        while time.monotonic() < deadline and not self._end.wait(_LOOK_SECONDS):
            self._look()
        self._end.set()
        deadline = time.monotonic() + _LANE_SECONDS
        for thread in lanes:
            thread.join(max(0.0, deadline - time.monotonic()))
        hanging = [thread.name for thread in lanes if thread.is_alive()]
        assert not hanging, f"waited {_LANE_SECONDS:g} s for {hanging} to end"

    def _guarded(self, lane: str) -> None:
        try:
            self._strike_on(lane)
        except Exception as problem:  # noqa: BLE001 - it is told as a finding, and the run comes to its end
            self.findings.append(Finding("the harness failed", f"{lane}: {type(problem).__name__}: {problem}"))
            self._end.set()

    def _strike_on(self, lane: str) -> None:
        least, most = self.terms.pause_seconds
        part = _MASTER_PAUSE_PART if lane == MASTER else 1.0
        pause_seconds = (part * least, part * most)
        for planned in deal(self.terms.seed, lane, self.kinds(lane), pause_seconds, self.terms.stretch):
            if self._end.wait(planned.pause_seconds):
                return
            with self.site.lanes[lane]:
                if self._has_crashed(lane):
                    return
                strike = aim(self.site, planned)
                if self._end.is_set():
                    return
                if planned.kind is FaultKind.RESTORE_MASTER:
                    self._restores_begun += 1
                fault = INJECTORS[planned.kind](strike)
            if fault is not None:
                self.faults.append(fault)

    def _has_crashed(self, lane: str) -> bool:
        daemon = self.site.daemon(lane)
        if not daemon.has_crashed():
            return False
        self.findings.append(Finding("a daemon ended", f"{daemon.name} by itself:\n{daemon.log()[-3000:]}"))
        self._end.set()
        return True

    def _look(self) -> None:
        for lane, held in holdings(self.site).items():
            self.memory_kibibytes[lane] = max(self.memory_kibibytes[lane], held.kibibytes)

    # Afterwards.

    def _heal(self) -> None:
        for lane in self.site.lanes:
            self.site.daemon(lane).resume()
            self.site.set_clock(lane, 0.0)
            if lane != MASTER and self.site.cable is None:
                self.site.links.heal(lane)
        for disk in self.site.disks.values():
            disk.free()

    def _settle(self) -> None:
        """Wait until every job has ended. What does not is found by the audit."""

        def is_quiet() -> bool:
            try:
                return self.site.fleet.client().jobs(1, state="running").total == 0
            except FleetError:
                return False

        try:
            wait_until(is_quiet, self.terms.settle_seconds, "every job to end")
        except AssertionError:
            self.say("not all jobs have ended")

    def _audit(self, stream: Stream) -> Mapping[str, int]:
        client = self.site.fleet.client()
        jobs = list(summaries(client))
        ended = endings(client, jobs)
        self.findings += adopt_unanswered(stream.submissions, jids_of_tokens(jobs), self.faults)
        outside = {minion: read_outside(self.site.fleet.minion_root(minion)) for minion in self.site.minions}
        states: Counter[str] = Counter()
        for case in cases(stream.submissions, ended, outside, self.faults, self.site.clock_steps):
            self.findings += judge(case)
            states[case.ending.state if case.ending else "unknown to the master"] += 1
        return states

    def _leftovers(self, before: Mapping[str, Holdings]) -> Iterator[Finding]:
        """Look for what is left; first as it is, then after everything was started once more."""
        excused = {fault.lane for fault in self.faults if fault.kind in _LEAVES_FOLDERS}
        is_tidy = [minion for minion in self.site.minions if not {MASTER, minion} & excused]
        seconds = self.terms.quiet_seconds
        yield from check_processes(self.site, seconds)
        yield from check_folders(self.site, is_tidy, seconds)
        yield from check_holdings(before, self.site, seconds)
        rest = [minion for minion in self.site.minions if minion not in is_tidy]
        for minion in rest:
            self.site.daemon(minion).stop()
            self.site.daemon(minion).start()
        yield from check_folders(self.site, rest, seconds)
        try:
            self.site.fleet.close()
        except AssertionError as problem:
            yield Finding("the end of the daemons", str(problem)[:6000])


def run(
    folder: Path,
    terms: RunTerms,
    say: Callable[[str], None] = lambda _: None,
    *,
    keeps_state: bool = False,
    cable: Cable | None = None,
) -> Report:
    """Make a run in a folder that exists; end all that it started, whatever happens. With a cable it may be pulled."""
    has_disks = not terms.why_no_disks and bool(OF_DISKS & set(terms.kinds))
    site = Site(folder, Terms(terms.minions, has_disks, terms.bugs), cable)
    try:
        return Run(site, terms, say).go()
    finally:
        site.close(keeps_state=keeps_state)


def sorts(findings: Sequence[Finding]) -> set[str]:
    """The sorts of findings that there are."""
    return {finding.what for finding in findings}
