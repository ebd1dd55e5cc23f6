"""The stream of jobs: several users of the control socket who submit, watch and cancel while the fleet is struck."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from faults.history import Asked, Submission
from faults.orders import Mix, orders
from faults.site import Site
from fleet.client.calls import JobTerms, call_request
from fleet.core.errors import FleetError, NoMatchError, StoreFullError

#: How long a request is repeated that got no answer: longer than any fault lasts.
_REPEAT_SECONDS = 60.0
_REPEAT_PAUSE_SECONDS = 0.2
_COMMAND_SECONDS = 90.0
#: How long a watcher stays with a job whose end does not come.
_WATCH_SECONDS = 40.0
_WATCHERS_LIMIT = 20
_JOIN_SECONDS = 120.0
_NO_MATCH_CODE = 3


@dataclass(slots=True)
class Stream:
    """Submits jobs until it is told to stop.

    Args:
        seed: of the run.
        jobs_per_second: of all submitters together; a tenth of them go through the ``fleet`` command.
        submitters: how many at once.
        restores: how often the master has been restored from a copy by now.
        mix: what jobs there are.

    Attributes:
        submissions: all that was asked for.
        problems: what a submitter met that it did not expect.
    """

    site: Site
    seed: int
    jobs_per_second: float
    submitters: int
    restores: Callable[[], int]
    mix: Mix
    submissions: list[Submission] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _watchers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_WATCHERS_LIMIT))

    def start(self) -> None:
        """Begin."""
        each = 0.9 * self.jobs_per_second / self.submitters
        for number in range(self.submitters):
            self._run(f"submitter {number}", partial(self._submit_on, number, each, is_typed=False))
        self._run("typist", lambda: self._submit_on(self.submitters, 0.1 * self.jobs_per_second, is_typed=True))

    def stop(self) -> None:
        """Submit nothing more, and wait for what is under way."""
        self._stop.set()
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        hanging = [thread.name for thread in self._threads if thread.is_alive()]
        assert not hanging, f"waited {_JOIN_SECONDS:g} s for {hanging} to end"

    def _run(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as problem:  # noqa: BLE001 - a submitter that ends in silence would make the run a lie
                self.problems.append(f"{name}: {type(problem).__name__}: {problem}")

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _submit_on(self, number: int, jobs_per_second: float, *, is_typed: bool) -> None:
        due = time.monotonic()
        for order in orders(self.seed, number, self.site.minions, self.mix, is_typed=is_typed):
            due = max(due + 1 / jobs_per_second, time.monotonic() - 2.0)
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            submission = Submission(order, time.time())
            self.submissions.append(submission)
            (self._type if is_typed else self._ask)(submission)
            self._follow_up(submission)

    def _ask(self, submission: Submission) -> None:
        """Submit by the library. Without an answer the same request is sent again, which must not make a second job of it.

        Not when the master was restored meanwhile: a copy that does not know the first one would take it for new.
        """
        order = submission.order
        function, arguments = order.call(str(self.site.script))
        terms = JobTerms(
            order.target, "glob", order.ttl_seconds, job_timeout_seconds=order.timeout_seconds, is_watched=False
        )
        request = call_request(terms, function, arguments, {})
        restores, deadline = self.restores(), time.monotonic() + _REPEAT_SECONDS
        while submission.asked is Asked.UNKNOWN and time.monotonic() < deadline and restores == self.restores():
            try:
                submission.jid = self.site.fleet.client().create(request).jid
                submission.asked = Asked.ACCEPTED
            except (NoMatchError, StoreFullError) as problem:
                submission.asked, submission.answer = Asked.DECLINED, problem.message
            except FleetError as problem:
                submission.answer = problem.message
                time.sleep(_REPEAT_PAUSE_SECONDS)
        submission.ended = time.time()

    def _type(self, submission: Submission) -> None:
        """Submit by the ``fleet`` command, once."""
        order = submission.order
        function, arguments = order.call(str(self.site.script))
        words = ["--async", order.target, function, *(str(argument) for argument in arguments)]
        if order.ttl_seconds:
            words += ["--ttl", f"{order.ttl_seconds:g}"]
        if order.timeout_seconds:
            words += ["--job-timeout", f"{order.timeout_seconds:g}"]
        done = self.site.fleet.run("fleet", *words, seconds=_COMMAND_SECONDS)
        submission.ended, submission.answer = time.time(), done.stderr.strip()
        if done.code == 0:
            submission.jid, submission.asked = done.stdout.strip(), Asked.ACCEPTED
        elif done.code == _NO_MATCH_CODE:
            submission.asked = Asked.DECLINED

    def _follow_up(self, submission: Submission) -> None:
        """Watch or cancel what was accepted, side by side with what is submitted next."""
        order = submission.order
        if submission.asked is not Asked.ACCEPTED:
            return
        if order.cancel_after_seconds == 0.0:
            self._cancel(submission)
        elif order.cancel_after_seconds is not None:
            self._run("canceller", lambda: self._cancel_later(submission))
        if order.is_watched and not order.is_typed and self._watchers.acquire(blocking=False):
            self._run("watcher", lambda: self._watch(submission))

    def _cancel_later(self, submission: Submission) -> None:
        time.sleep(submission.order.cancel_after_seconds or 0.0)
        self._cancel(submission)

    def _cancel(self, submission: Submission) -> None:
        submission.is_cancelled = True
        if submission.order.is_typed:
            self.site.fleet.run("fleet", "jobs", "cancel", submission.jid, seconds=_COMMAND_SECONDS)
            return
        with suppress(FleetError):  # The master is away, or restored from a copy that does not know it.
            self.site.fleet.client().cancel(submission.jid)

    def _watch(self, submission: Submission) -> None:
        """Follow a job, and keep which ends were told of it. The master may go away meanwhile."""
        try:
            with suppress(FleetError), self.site.fleet.client() as client:
                for result in client.follow(submission.jid, _WATCH_SECONDS):
                    if result.has_ended:
                        submission.told[result.minion] = result.state
        finally:
            self._watchers.release()
