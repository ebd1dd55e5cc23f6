"""What commands and the console ask to have removed: jobs by name, all that have ended, or what is too old and too much."""

import logging
from collections.abc import Mapping, Sequence

from ..core.control_answers import JobForgotten, JobsDeleted, JobsPurged, TargetSilent
from ..core.control_requests import DeleteJobs, PurgeJobs
from ..core.dataclass import dataclass, field
from ..core.errors import ArgumentError, StateError
from ..core.job_states import JobState
from ..core.names import Jid, MinionId
from .conductor import Conductor
from .control_port import Caller
from .purge import Purge, Purged
from .replies import Replies
from .store import DeleteJob, JobStore, Keep, Owed

log = logging.getLogger(__name__)

#: Jobs that one request may name.
NAMED_LIMIT = 1_000
AGE_LIMIT_SECONDS = 100 * 366 * 86_400.0
#: Running jobs that an error names.
_SHOWN_LIMIT = 5
#: How often jobs are looked up that the store knows and the loop does not yet.
_TRIES = 5


@dataclass(slots=True)
class DeleteRequests:
    """Answers requests to remove jobs.

    A minion that holds something of a job is told to forget it; whoever asked hears of each confirmation.
    """

    conductor: Conductor
    purges: Purge
    replies: Replies
    _awaited: dict[int, set[tuple[Jid, MinionId]]] = field(default_factory=dict)

    def closed(self, connection: int) -> None:
        """A control connection has gone."""
        self._awaited.pop(connection, None)

    def delete(self, connection: int, caller: Caller, request: DeleteJobs) -> None:
        """Remove jobs by name, or all; all or none.

        Raises:
            ArgumentError: too many are named.
        """
        if len(request.jids) > NAMED_LIMIT:
            raise ArgumentError(f"{len(request.jids)} jobs are too many to name", f"{NAMED_LIMIT} at a time, or all")

        if not request.jids:
            self._remove_all(connection, caller, self.conductor.jobs.open_jids() if request.is_forced else ())
            return

        self._look_up(connection, caller, request)

    def purge(self, connection: int, caller: Caller, request: PurgeJobs) -> None:
        """Remove the oldest jobs that have ended, until these limits are kept.

        Raises:
            ArgumentError: no limit is given, or one is negative.
        """
        limits = (request.age_seconds, request.count, request.size_bytes)
        if request.age_seconds > AGE_LIMIT_SECONDS:
            raise ArgumentError("nothing here is older than a hundred years", "an age in seconds, such as 2592000")
        if min(limits) < 0 or not any(limits):
            raise ArgumentError("a purge needs a limit above 0", "an age, a number of jobs, or a size")

        keep = Keep(*limits)

        def done(purged: Purged | Exception) -> None:
            if isinstance(purged, Exception):
                self.replies.fail(connection, purged)
                return
            log.info("user %s purged %d jobs", caller.user, purged.jobs)
            self.conductor.publish_event("fleet/jobs/purged", jobs=purged.jobs, user=caller.user)
            self._answer_purge(connection, keep, purged)

        self.purges.run(keep, done)

    def confirmed(self, minion: MinionId, jid: Jid) -> None:
        """A minion has forgotten a job: tell whoever waits for it."""
        for connection, awaited in list(self._awaited.items()):
            if (jid, minion) in awaited:
                awaited.discard((jid, minion))
                self.replies.stream(connection, JobForgotten(jid, minion))
                self._end_if_settled(connection)

    def left(self, minion: MinionId) -> None:
        """A minion is gone: it confirms nothing now, and is told when it comes back."""
        for connection, awaited in list(self._awaited.items()):
            if any(each == minion for _, each in awaited):
                self._awaited[connection] = {pair for pair in awaited if pair[1] != minion}
                reason = "it has gone before it confirmed"
                self.replies.stream(connection, TargetSilent(minion, JobState.ABANDONED, reason))
                self._end_if_settled(connection)

    # Inner steps.

    def _answer_purge(self, connection: int, keep: Keep, purged: Purged) -> None:
        """Say what went, and how many stay beyond the limits: a minion that never ends a job must not be overlooked."""

        def counted(kept_open: int | Exception) -> None:
            if isinstance(kept_open, Exception):
                self.replies.fail(connection, kept_open)
            else:
                self.replies.answer(connection, JobsPurged(purged.jobs, purged.freed_bytes, kept_open))

        now_us = self.conductor.clock.now_us()
        self.conductor.store.read(lambda store: store.kept_open(keep, now_us), counted)

    def _look_up(self, connection: int, caller: Caller, request: DeleteJobs, tries: int = _TRIES) -> None:
        """Find the jobs that are named, and delete them if they may be."""

        def find(store: JobStore) -> dict[Jid, _Standing]:
            jids = [store.resolve_jid(jid) for jid in request.jids]
            return {jid: _Standing(store.job(jid).finished_us is None, store.given_up(jid)) for jid in jids}

        def found(jids: dict[Jid, _Standing] | Exception) -> None:
            if isinstance(jids, Exception):
                self.replies.fail(connection, jids)
                return
            is_open = self.conductor.jobs.is_open
            running = [jid for jid, standing in jids.items() if standing.is_open or is_open(jid)]
            if running and not request.is_forced:
                self.replies.fail(connection, _still_open(running))
            elif tries > 1 and not all(is_open(jid) for jid, standing in jids.items() if standing.is_open):
                # One was stored this very moment, and is handed over next: deleted before that, it would run and nobody stop it.
                self._look_up(connection, caller, request, tries - 1)
            else:
                given_up = {jid: standing.given_up for jid, standing in jids.items()}
                self._remove(connection, caller, tuple(jids), given_up, before=0)

        self.conductor.store.read(find, found)

    def _remove_all(self, connection: int, caller: Caller, running: Sequence[Jid]) -> None:
        def done(purged: Purged | Exception) -> None:
            if isinstance(purged, Exception):
                self.replies.fail(connection, purged)
                return
            log.info("user %s deleted all %d jobs that had ended", caller.user, purged.jobs)
            self.conductor.publish_event("fleet/jobs/purged", jobs=purged.jobs, user=caller.user)
            self._remove(connection, caller, running, {}, before=purged.jobs)

        self.purges.run_all(done)

    def _remove(
        self,
        connection: int,
        caller: Caller,
        jids: Sequence[Jid],
        given_up: Mapping[Jid, tuple[MinionId, ...]],
        *,
        before: int,
    ) -> None:
        """Remove these jobs in one transaction; what may be left of them on minions is stopped and forgotten there."""
        jobs = self.conductor.jobs
        owing = {jid: tuple(dict.fromkeys((*jobs.begin_deletion(jid), *given_up.get(jid, ())))) for jid in jids}
        owed = [Owed(jid, minion, jobs.expires_us(jid)) for jid, minions in owing.items() for minion in minions]

        def done(problem: Exception | None) -> None:
            if problem is not None:
                for jid in jids:
                    jobs.deletion_failed(jid)
                self.replies.fail(connection, problem)
                return
            self._removed(connection, caller, jids, owed, before)

        self.conductor.store.apply([DeleteJob(jid, is_forced=True, owing=owing[jid]) for jid in jids], done)

    def _removed(self, connection: int, caller: Caller, jids: Sequence[Jid], owed: Sequence[Owed], before: int) -> None:
        conductor = self.conductor
        now_us = conductor.clock.now_us()
        for jid in jids:
            log.info("user %s deleted job %s", caller.user, jid)
            conductor.perform(conductor.jobs.deleted(jid, caller.user, now_us))
        connected = {each.minion for each in owed if conductor.sessions.presence(each.minion, now_us).is_connected}
        asked = tuple(sorted(connected))
        owing = tuple(sorted({each.minion for each in owed} - connected))
        name = jids[0] if len(jids) == 1 and not before else ""
        if self.replies.stream(connection, JobsDeleted(before + len(jids), name, asked, owing)):
            self._awaited[connection] = {(each.jid, each.minion) for each in owed if each.minion in connected}
        conductor.have_forgotten(owed)
        self._end_if_settled(connection)

    def _end_if_settled(self, connection: int) -> None:
        if not self._awaited.get(connection):
            self._awaited.pop(connection, None)
            self.replies.end(connection)


@dataclass(frozen=True, slots=True)
class _Standing:
    """Whether a job has an open target in the store, and on which minions it was given up."""

    is_open: bool
    given_up: tuple[MinionId, ...]


def _still_open(jids: Sequence[Jid]) -> StateError:
    shown = ", ".join(jids[:_SHOWN_LIMIT]) + (
        f" and {len(jids) - _SHOWN_LIMIT} more" if len(jids) > _SHOWN_LIMIT else ""
    )
    return StateError(
        f"not deleted, for not all of it has ended: {shown}",
        "stop it first (fleet jobs cancel JID), or add --force: what runs is stopped, and who is away forgets it when it is back",
    )
