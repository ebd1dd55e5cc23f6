"""What a run found, as text for people and as one line of JSON for programs."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from faults.history import Fault, Finding
from faults.plan import FaultKind

#: More of one sort are only counted.
_SHOWN_OF_A_SORT = 5


@dataclass(frozen=True, slots=True)
class Report:
    """The figures and findings of one run.

    Attributes:
        skipped: the kinds of faults that could not be injected here, and why.
        states: how many (job, minion) ended in each state.
        asked: how many submissions came out in which way.
        memory_kibibytes: the most that each daemon held, by lane.
    """

    seed: int
    seconds: float
    minions: int
    jobs: int
    states: Mapping[str, int]
    asked: Mapping[str, int]
    faults: Sequence[Fault]
    findings: Sequence[Finding]
    skipped: Mapping[str, str] = field(default_factory=dict)
    memory_kibibytes: Mapping[str, int] = field(default_factory=dict)

    def counts(self) -> Mapping[FaultKind, tuple[int, int]]:
        """How many faults of each kind there were, and how many of them inside of a running job."""
        every = Counter(fault.kind for fault in self.faults)
        inside = Counter(fault.kind for fault in self.faults if fault.is_inside)
        return {kind: (every[kind], inside[kind]) for kind in FaultKind if every[kind]}

    def text(self) -> str:
        """Lines for people, the findings last."""
        lines = [
            f"seed {self.seed}, {self.seconds:.0f} s, {self.minions} minions, {self.jobs} jobs",
            "states: " + ", ".join(f"{count} {state}" for state, count in sorted(self.states.items())),
            "submissions: " + ", ".join(f"{count} {what}" for what, count in sorted(self.asked.items())),
            f"{'fault':<18}{'number':>8}{'inside a job':>14}",
            *(f"{kind:<18}{every:>8}{inside:>14}" for kind, (every, inside) in self.counts().items()),
            *(f"{kind:<18} skipped: {why}" for kind, why in self.skipped.items()),
            f"findings: {len(self.findings)}",
        ]
        shown: Counter[str] = Counter()
        for finding in self.findings:
            shown[finding.what] += 1
            if shown[finding.what] <= _SHOWN_OF_A_SORT:
                lines.append(f"  {finding}")
        lines += [
            f"  {count - _SHOWN_OF_A_SORT} more: {what}" for what, count in shown.items() if count > _SHOWN_OF_A_SORT
        ]
        return "\n".join(lines)

    def line(self) -> str:
        """One line of JSON."""
        document = {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "minions": self.minions,
            "jobs": self.jobs,
            "states": dict(self.states),
            "submissions": dict(self.asked),
            "faults": {kind: {"number": every, "inside": inside} for kind, (every, inside) in self.counts().items()},
            "skipped": dict(self.skipped),
            "memory_kibibytes": dict(self.memory_kibibytes),
            "findings": dict(Counter(finding.what for finding in self.findings)),
        }
        return json.dumps(document, sort_keys=True)
