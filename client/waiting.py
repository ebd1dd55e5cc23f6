"""Who is still waited for: pure, answers go in.

A target is no longer waited for when it has ended or when the master calls it silent; while others are waited for, a result
that comes after the silence takes its place.
"""

from collections.abc import Mapping

from ..core.control_answers import JobCreated, TargetResult, TargetSilent
from ..core.names import FunctionName, Jid, MinionId
from .results import MinionResult, RunResult, read_result, read_silence


class Waiting:
    """The targets of one job, and what is known of each."""

    def __init__(self, created: JobCreated) -> None:
        self.jid: Jid = created.jid
        self.function: FunctionName = created.function
        self.minions: tuple[MinionId, ...] = created.minions
        self.unknown: tuple[str, ...] = created.unknown
        self._open: set[MinionId] = set(created.minions)
        self._results: dict[MinionId, MinionResult] = {}

    @property
    def is_over(self) -> bool:
        """Whether nobody is waited for."""
        return not self._open

    @property
    def open_minions(self) -> tuple[MinionId, ...]:
        """Those that are waited for, in the order of the targets."""
        return tuple(minion for minion in self.minions if minion in self._open)

    @property
    def results(self) -> Mapping[MinionId, MinionResult]:
        """What is known, by minion id, in the order in which it came."""
        return self._results

    def take(self, answer: object) -> MinionResult | None:
        """Take one answer of a watch; gives back what is new about a target, None when there is nothing.

        Raises:
            ProtocolError: a value cannot be read.
        """
        match answer:
            case TargetResult():
                result = read_result(self.jid, answer)
            case TargetSilent():
                result = read_silence(self.jid, answer)
            case _:
                return None
        known = self._results.get(result.minion)
        if result.minion not in self.minions or (known is not None and known.has_ended):
            return None
        # A watch of an old job may tell where a target stands before it has ended.
        if result.is_silent or result.has_ended:
            self._open.discard(result.minion)
        self._results[result.minion] = result
        return result

    def give_up(self, standing: Mapping[MinionId, MinionResult]) -> None:
        """Stop waiting: take for everyone who has not ended where the job stands there now; the silent stay silent."""
        for minion, result in standing.items():
            known = self._results.get(minion)
            is_news = known is None or (not known.has_ended and (result.has_ended or not known.is_silent))
            if minion in self.minions and is_news:
                self._results[minion] = result
        self._open.clear()

    def outcome(self, duration_seconds: float, more_unknown: int = 0) -> RunResult:
        """Give what is known of each target, sorted by id; ``more_unknown`` ids were named that are not in the target."""
        results = {minion: self._results[minion] for minion in sorted(self._results)}
        return RunResult(self.jid, self.function, results, self.unknown, duration_seconds, more_unknown)
