"""A job that is being waited for: results as they settle, and what there is when the wait ends."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from ..core.control_answers import Done, JobCreated, OutputPart, TargetResult
from ..core.control_requests import Submit, Watch
from ..core.errors import FleetError, ProtocolError, UnreachableError
from ..core.job_states import JobState
from ..core.names import FunctionName, Jid, MinionId
from .connection import ANSWER_TIMEOUT_SECONDS, Connection
from .long_output import with_long_output
from .results import MinionResult, RunResult
from .waiting import Waiting

#: Asks where a job stands: its results by minion.
Lookup = Callable[[Jid], Mapping[MinionId, MinionResult]]


class JobStream(Iterator[MinionResult]):
    """The results of one job as they settle; made by ``Client.stream`` and ``Client.follow``.

    Iteration ends when every target has ended or was named silent, or when the time is up; ``finish`` then gives all of it.
    A silent target yields a result with ``is_silent``; another one may follow when it answers while others are waited for.

    Attributes:
        is_closed: nothing is listened to any more.
        more_unknown: how many ids were named beside the target, because no accepted key has them.

    Args:
        connection: belongs to the stream from now on.
        request: what makes the master stream.
        timeout_seconds: how long to wait in all; None for as long as it takes.
        look_up: asks where the job stands, for targets that are still open when the time is up.
        on_output: given what the jobs write, as they write it, when the request asks for that.
        leaves_long: outputs that are too long for one answer stay with the master, ``MinionResult.long`` names them.
    """

    def __init__(
        self,
        connection: Connection,
        request: Submit | Watch,
        timeout_seconds: float | None,
        look_up: Lookup,
        on_output: Callable[[OutputPart], None] = lambda _part: None,
        *,
        leaves_long: bool = False,
    ) -> None:
        self._leaves_long = leaves_long
        self._connection = connection
        self._look_up = look_up
        self._on_output = on_output
        self._began = time.monotonic()
        self._deadline = None if timeout_seconds is None else self._began + timeout_seconds
        self._ended_by_master = False
        self.is_closed = False
        self.more_unknown = 0
        connection.send(request)
        created = connection.receive(ANSWER_TIMEOUT_SECONDS)
        if created is None:
            raise UnreachableError(
                f"the master did not confirm the job in {ANSWER_TIMEOUT_SECONDS:.0f} s", "it may exist: fleet jobs list"
            )
        if not isinstance(created, JobCreated):
            raise ProtocolError(f"the master answered a job with {type(created).__name__}")
        self._waiting = Waiting(created)

    @property
    def jid(self) -> Jid:
        """The job."""
        return self._waiting.jid

    @property
    def function(self) -> FunctionName:
        """What it calls."""
        return self._waiting.function

    @property
    def minions(self) -> tuple[MinionId, ...]:
        """Its targets, sorted."""
        return self._waiting.minions

    @property
    def unknown(self) -> tuple[str, ...]:
        """Ids that the target names and no accepted key has."""
        return self._waiting.unknown

    @property
    def open_minions(self) -> tuple[MinionId, ...]:
        """The targets that are still waited for."""
        return self._waiting.open_minions

    @property
    def results(self) -> Mapping[MinionId, MinionResult]:
        """What is known so far, by minion id."""
        return self._waiting.results

    @property
    def elapsed_seconds(self) -> float:
        """How long the wait has lasted."""
        return time.monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to wait for: all settled, the master said so, the time is up, or it is closed."""
        return (
            self.is_closed
            or self._waiting.is_over
            or self._ended_by_master
            or (self._deadline is not None and time.monotonic() >= self._deadline)
        )

    @property
    def is_time_up(self) -> bool:
        """Whether the wait ends because the time is up, although somebody is still waited for."""
        is_late = self._deadline is not None and time.monotonic() >= self._deadline
        return is_late and not self._waiting.is_over and not self._ended_by_master

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MinionResult:
        while not self.is_over:
            result = self.next_result(3600.0)
            if result is not None:
                return result
        self.close()
        raise StopIteration

    def next_result(self, wait_seconds: float) -> MinionResult | None:
        """Wait for one more result, ``wait_seconds`` at the most; None when there was none (see ``is_over``).

        Raises:
            UnreachableError: the master went away; the job lives on.
        """
        if self.is_over:
            return None
        if self._deadline is not None:
            wait_seconds = min(wait_seconds, self._deadline - time.monotonic())
        try:
            answer = self._connection.receive(wait_seconds)
        except UnreachableError as problem:
            raise UnreachableError(
                f"{problem.message}, while job {self.jid} was waited for", f"it lives on: fleet jobs follow {self.jid}"
            ) from problem
        if isinstance(answer, OutputPart):
            self._on_output(answer)
            return None
        self._ended_by_master = isinstance(answer, Done)
        if isinstance(answer, TargetResult) and not self._leaves_long:
            answer = with_long_output(self._connection.path, self.jid, answer)
        return self._waiting.take(answer)

    def finish(self) -> RunResult:
        """End the wait and give what is known of every target; those still open with where their job stands.

        Called before everything has settled, it asks the master once more.
        """
        self.close()
        duration = self.elapsed_seconds
        if self.open_minions:
            self._waiting.give_up(self._standing())
        return self._waiting.outcome(duration, self.more_unknown)

    def close(self) -> None:
        """Stop listening; the job lives on."""
        self.is_closed = True
        self._connection.close()

    def _standing(self) -> Mapping[MinionId, MinionResult]:
        """Ask where the job stands; when nobody answers, "sent" is all that can be said."""
        try:
            found = dict(self._look_up(self.jid))
        except FleetError as problem:
            reason = f"its state is not known: {problem.message}"
            return {minion: MinionResult(self.jid, minion, JobState.SENT, reason) for minion in self.minions}
        for minion in self.minions:
            found.setdefault(minion, MinionResult(self.jid, minion, JobState.SENT, "its state is not known"))
        return found
