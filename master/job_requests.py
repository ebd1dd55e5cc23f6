"""What commands and the console ask about jobs."""

import logging
from collections.abc import Iterable, Mapping
from functools import partial

from ..core.arguments import Call, bind
from ..core.control_answers import (
    JobCancelled,
    JobCreated,
    JobList,
    JobSummary,
    OutputPart,
    TargetPreview,
    TargetResult,
)
from ..core.control_requests import (
    CancelJob,
    ListJobs,
    PreviewTarget,
    ReadOutput,
    ShowJob,
    Submit,
    UploadStdin,
    Watch,
)
from ..core.dataclass import dataclass, replace
from ..core.errors import ArgumentError, NoMatchError, NotFoundError
from ..core.job_states import TERMINAL, JobState
from ..core.messages import ARGUMENTS_LIMIT_BYTES, OUTPUT_PART_BYTES
from ..core.names import Jid, MinionId, check_jid
from ..core.outcome import OUTPUT_LIMIT_MOST_BYTES, OUTPUT_STREAMS
from ..core.packing import encode_value
from ..core.stdin_fit import check_stdin_fits
from ..core.values import Value
from ..keys.fingerprint import fingerprint
from ..keys.minion_key import KeyState
from ..keys.store import KeyStore
from .conductor import Conductor
from .config import MasterSettings
from .control_port import Caller
from .minion_choice import choose_minions, nobody_matches
from .replies import Replies
from .result_streams import ResultStreams, those_of
from .stdin_uploads import StdinUploads
from .store import JobPage, JobStore, NewJob, NewTarget, StoredJob

log = logging.getLogger(__name__)

#: A TTL longer than a year is a mistake of units.
TTL_LIMIT_SECONDS = 366 * 86_400.0
REQUEST_ID_BYTES = 16


@dataclass(slots=True)
class JobRequests:
    """Answers requests about jobs."""

    settings: MasterSettings
    conductor: Conductor
    keys: KeyStore
    replies: Replies
    streams: ResultStreams
    uploads: StdinUploads

    def upload_stdin(self, connection: int, _caller: Caller, request: UploadStdin) -> None:
        """Take a part of the stdin of the job that this connection will submit."""
        self.uploads.take(connection, request)
        self.replies.end(connection)

    def submit(self, connection: int, caller: Caller, request: Submit) -> None:
        """Store a job, then hand it over."""
        stdin = self.uploads.finish(connection, request.stdin_bytes)
        accepted = self._accepted()
        chosen, unknown = self._choose(request, accepted)
        self._check_submit(request)
        spec = self.conductor.facts.spec_for(request.function, chosen)
        if spec is not None and len({self._catalogue_of(minion) for minion in chosen}) == 1:
            # Advice, before anything is stored, and only where every target has the same signature: the minion decides.
            bound = bind(spec, Call(request.words, request.literals, request.values, request.options))
            check_stdin_fits(spec, bound, len(stdin.data))
        now_us = self.conductor.clock.now_us()
        targets = tuple(self._new_target(minion, now_us, has_stdin=bool(stdin.data)) for minion in sorted(chosen))
        ttl_seconds = request.ttl_seconds if request.ttl_seconds > 0 else self.settings.ttl_seconds
        job = NewJob(
            request_id=request.request_id,
            function=request.function,
            words=request.words,
            literals=request.literals,
            values=request.values,
            options=request.options,
            target=request.target,
            target_kind=request.target_kind,
            user=caller.user,
            ttl_seconds=ttl_seconds,
            timeout_seconds=request.timeout_seconds,
            output_limit_bytes=self.settings.output_limit_bytes,
            signed_by=fingerprint(self.conductor.identity.signing.public.raw),
            targets=targets,
            stdin_bytes=len(stdin.data),
            stdin_digest=stdin.digest,
            retry_of=request.retry_of and check_jid(request.retry_of),
        )

        def done(stored: StoredJob | Exception) -> None:
            if isinstance(stored, Exception):
                self.replies.fail(connection, stored)
                return
            log.info(
                "user %s runs %s with jid %s on %d minions",
                caller.user,
                request.function,
                stored.jid,
                len(stored.targets),
            )
            self._created(connection, stored, unknown, request)

        self.conductor.store.submit(job, done, stdin.data)

    def _choose(
        self, request: Submit, accepted: Mapping[MinionId, Mapping[str, Value]]
    ) -> tuple[frozenset[MinionId], tuple[str, ...]]:
        """The minions of a new job, and the names among them that no accepted key has.

        Raises:
            NoMatchError: there is none.
        """
        if not request.minions:
            chosen, unknown = choose_minions(request.target, request.target_kind, accepted)
            if not chosen:
                raise nobody_matches(request.target, request.target_kind, accepted, self.keys.all())
            return chosen, unknown
        chosen = frozenset(request.minions).intersection(accepted)
        if not chosen:
            raise NoMatchError(
                f"none of the {len(request.minions)} minions has an accepted key", "fleet minions lists those that have"
            )
        return chosen, tuple(sorted(set(request.minions) - chosen))

    def _check_submit(self, request: Submit) -> None:
        if len(request.request_id) != REQUEST_ID_BYTES:
            raise ArgumentError("a request id has 16 bytes", "let the client make it")
        size = len(encode_value([request.words, request.literals, request.values, request.options]))
        if size > ARGUMENTS_LIMIT_BYTES:
            raise ArgumentError(
                f"the arguments take {size} bytes, at most {ARGUMENTS_LIMIT_BYTES} travel with a job",
                "put large content into a file on the minions",
            )
        if not 0 <= request.ttl_seconds <= TTL_LIMIT_SECONDS or not 0 <= request.timeout_seconds <= TTL_LIMIT_SECONDS:
            raise ArgumentError("a time to live or a time limit is between 0 seconds and one year")

    def _created(self, connection: int, stored: StoredJob, unknown: tuple[str, ...], request: Submit) -> None:
        conductor = self.conductor
        minions = tuple(sorted(stored.targets))
        self.replies.stream(connection, JobCreated(stored.jid, stored.job.function, minions, unknown))
        if request.watch and stored.is_new:
            conductor.watchers.add(connection, stored.jid)
            if request.is_live:
                conductor.live.follow(connection, stored.jid, minions)
        conductor.perform(conductor.jobs.created(stored, conductor.clock.now_us()))
        if not request.watch:
            conductor.control.finish(connection)
        elif not stored.is_new:
            self._watch(connection, stored.jid, minions, Watch(stored.jid, is_live=request.is_live))

    def watch(self, connection: int, _caller: Caller, request: Watch) -> None:
        """Stream what becomes of a job."""

        def find(store: JobStore) -> tuple[JobSummary, tuple[MinionId, ...]]:
            summary = store.job(store.resolve_jid(request.jid))
            targets = store.targets(summary.jid)
            check_targets(summary.jid, targets, request.minions)
            return summary, those_of(targets, request.minions)

        def done(found: tuple[JobSummary, tuple[MinionId, ...]] | Exception) -> None:
            if isinstance(found, Exception):
                self.replies.fail(connection, found)
                return
            summary, minions = found
            self.replies.stream(connection, JobCreated(summary.jid, summary.function, minions, ()))
            self._watch(connection, summary.jid, minions, request)

        self.conductor.store.read(find, done)

    def _watch(self, connection: int, jid: Jid, minions: Iterable[MinionId], request: Watch) -> None:
        """Tell what has ended, from the store, as fast as it is read; then what ends, as it is stored.

        Nothing falls between the two: what has ended during the first part is told when the second one has begun.
        """
        told: set[MinionId] = set()
        has_output = request.has_output

        def ended(result: TargetResult) -> TargetResult | None:
            if result.state not in TERMINAL:
                return None
            told.add(result.minion)
            return result

        def go_on() -> None:
            if self.conductor.jobs.is_open(jid):
                self.conductor.watchers.add(connection, jid, has_output=has_output)
            rest = [minion for minion in minions if minion not in told]
            if request.is_live and self.conductor.jobs.is_open(jid):
                self.conductor.live.follow(connection, jid, rest, request.positions)
            end = partial(self._say_who_is_silent, connection, jid)
            self.streams.begin(connection, jid, rest, ended, end, has_output=has_output)

        self.streams.begin(connection, jid, minions, ended, go_on, has_output=has_output)

    def _say_who_is_silent(self, connection: int, jid: Jid) -> None:
        for silent in self.conductor.jobs.silences(jid, self.conductor.clock.now_us()):
            self.replies.stream(connection, silent)
        if not self.conductor.jobs.is_open(jid):
            self.replies.end(connection)

    def preview(self, connection: int, _caller: Caller, request: PreviewTarget) -> None:
        """Which minions a target selects."""
        accepted = self._accepted()
        chosen, unknown = choose_minions(request.target, request.target_kind, accepted)
        if not chosen:
            raise nobody_matches(request.target, request.target_kind, accepted, self.keys.all())
        self.replies.answer(connection, TargetPreview(tuple(sorted(chosen)), unknown))

    def list_jobs(self, connection: int, _caller: Caller, request: ListJobs) -> None:
        """A page of jobs."""

        def read(store: JobStore) -> JobPage:
            return store.jobs(replace(request, limit=max(request.limit, 0)))

        def done(page: JobPage | Exception) -> None:
            if isinstance(page, Exception):
                self.replies.fail(connection, page)
            else:
                self.replies.answer(connection, JobList(page.jobs, page.total))

        self.conductor.store.read(read, done)

    def show_job(self, connection: int, _caller: Caller, request: ShowJob) -> None:
        """One job and its results, as fast as they are read."""

        def find(store: JobStore) -> tuple[JobSummary, tuple[MinionId, ...]]:
            jid = store.resolve_jid(request.jid)
            return store.job(jid), those_of(store.targets(jid), request.minions)

        def done(found: tuple[JobSummary, tuple[MinionId, ...]] | Exception) -> None:
            if isinstance(found, Exception):
                self.replies.fail(connection, found)
                return
            summary, minions = found
            self.replies.stream(connection, summary)

            def explain(result: TargetResult) -> TargetResult:
                return self.conductor.jobs.explained(summary.jid, result, self.conductor.clock.now_us())

            self.streams.begin(
                connection,
                summary.jid,
                minions,
                explain,
                lambda: self.replies.end(connection),
                has_output=request.has_output,
            )

        self.conductor.store.read(find, done)

    def read_output(self, connection: int, _caller: Caller, request: ReadOutput) -> None:
        """A part of an output that is kept."""
        if request.stream not in OUTPUT_STREAMS or not 0 <= request.offset <= OUTPUT_LIMIT_MOST_BYTES:
            raise ArgumentError("an output is stdout or stderr, and read from 0 on")

        def read(store: JobStore) -> bytes:
            return store.output(request.jid, request.minion, request.stream, request.offset, OUTPUT_PART_BYTES)

        def done(data: bytes | Exception) -> None:
            if isinstance(data, Exception):
                self.replies.fail(connection, data)
            else:
                self.replies.answer(connection, OutputPart(request.minion, request.stream, request.offset, data))

        self.conductor.store.read(read, done)

    def cancel(self, connection: int, _caller: Caller, request: CancelJob) -> None:
        """Ask minions to stop a job; all of them, or those that are named, if each is a target of it."""

        def read(store: JobStore) -> Jid:
            jid = store.resolve_jid(request.jid)
            check_targets(jid, store.targets(jid), request.minions, "; nothing was cancelled")
            return jid

        def done(jid: Jid | Exception) -> None:
            if isinstance(jid, Exception):
                self.replies.fail(connection, jid)
                return
            outcome = self.conductor.jobs.cancel_outcome(jid, request.minions)
            self.conductor.perform(self.conductor.jobs.cancelled(jid, request.minions, self.conductor.clock.now_us()))
            self.replies.answer(connection, JobCancelled(jid, *outcome))

        self.conductor.store.read(read, done)

    # Inner steps.

    def _accepted(self) -> Mapping[MinionId, Mapping[str, Value]]:
        return self.conductor.facts.of_all(key.minion_id for key in self.keys.by_state(KeyState.ACCEPTED))

    def _new_target(self, minion: MinionId, now_us: int, *, has_stdin: bool) -> NewTarget:
        presence = self.conductor.sessions.presence(minion, now_us)
        host = self.conductor.facts.host_of(minion)
        if presence.is_connected and (presence.takes_stdin or not has_stdin):
            return NewTarget(minion, JobState.SENT, presence.address, host=host)
        return NewTarget(minion, JobState.QUEUED, presence.address, host=host)

    def _catalogue_of(self, minion: MinionId) -> bytes:
        facts = self.conductor.facts.get(minion)
        return facts.catalogue_digest if facts else b""


def check_targets(jid: Jid, targets: Iterable[MinionId], named: Iterable[MinionId], but: str = "") -> None:
    """See that every minion that a request names is a target of its job.

    Raises:
        NotFoundError: one is not; ``but`` says what did not happen for that.
    """
    others = set(named).difference(targets)
    if others:
        raise NotFoundError(
            f"{', '.join(sorted(others))} is no target of job {jid}{but}", f"fleet jobs show {jid} lists them"
        )
