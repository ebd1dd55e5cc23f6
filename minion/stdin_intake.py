"""Has the stdin of accepted jobs fetched, kept and checked, and tells when a job has all of it."""

import logging
import os
from collections.abc import Callable, Iterable

from ..core.dataclass import dataclass
from ..core.from_master import StdinChunk
from ..core.from_minion import NeedStdin
from ..core.job_document import JobDocument
from ..core.messages import FromMinion
from ..core.names import Jid
from .stdin_fetches import StdinFetches
from .stdin_files import StdinFiles

log = logging.getLogger(__name__)

#: How often a stdin may come that is not what its digest says; the job document is signed, so it is the bytes that are wrong.
_WRONG_LIMIT = 3


@dataclass(frozen=True, slots=True)
class StdinArrived:
    """The stdin of a job is here, and is what the master signed."""

    jid: Jid


@dataclass(frozen=True, slots=True)
class StdinGone:
    """The stdin of a job is not to be had: the job cannot be started."""

    jid: Jid
    reason: str


StdinNews = StdinArrived | StdinGone


class StdinIntake:
    """Fetches what is missing, one window at a time.

    Args:
        files: where it is kept.
        send: hands a message to the session, when there is one.
    """

    def __init__(self, files: StdinFiles, send: Callable[[FromMinion], None] = lambda _message: None) -> None:
        self.files = files
        self.send = send
        self._fetches = StdinFetches()
        self._documents: dict[Jid, JobDocument] = {}
        self._wrong: dict[Jid, int] = {}

    def joined(self) -> None:
        """A session is open."""
        self._fetches.open()

    def left(self) -> None:
        """The session is gone."""
        self._fetches.close()

    def tick(self, lacking: Iterable[JobDocument], now_us: int) -> list[StdinNews]:
        """Begin with jobs that are new, let go of those that need theirs no more, and ask for what is due.

        Args:
            lacking: the jobs that wait for their stdin now, in their order.
            now_us: by CLOCK_BOOTTIME.
        """
        wanted = {document.jid: document for document in lacking}
        for jid in self._fetches.keep_only(wanted):
            del self._documents[jid]
            self._wrong.pop(jid, None)
        news = [each for jid in wanted if jid not in self._fetches for each in self._begin(wanted[jid], now_us)]
        self._ask(now_us)
        return news

    def take(self, chunk: StdinChunk, now_us: int) -> list[StdinNews]:
        """A chunk came; one that does not follow what is here is left out, and what is missing asked for again in time."""
        if not self._fetches.fits(chunk):
            return []
        jid = chunk.jid
        if not chunk.data:
            reason = "the master has nothing of its stdin any more: the job was deleted, or its job cache restored from a copy"
            return [self._gone(jid, reason)]
        try:
            self.files.append(jid, chunk.offset, chunk.data)
        except OSError as problem:
            log.error("the stdin of job %s cannot be kept: %s", jid, os.strerror(problem.errno or 0))  # noqa: TRY400
            self._fetches.failed(jid, chunk.offset, now_us)
            return []
        news = self._complete(jid, now_us) if self._fetches.arrived(jid, len(chunk.data), now_us) else []
        self._ask(now_us)
        return news

    def deadline_us(self) -> int | None:
        """When ``tick`` has something to do, by CLOCK_BOOTTIME."""
        return self._fetches.deadline_us()

    def _begin(self, document: JobDocument, now_us: int) -> list[StdinNews]:
        """Go on from what an earlier daemon has fetched; what that was worth is told by the digest of the whole."""
        jid, length_bytes = document.jid, document.stdin_bytes
        have_bytes = self.files.size(jid)
        if have_bytes > length_bytes:
            self.files.remove(jid)
            have_bytes = 0
        self._documents[jid] = document
        self._fetches.begin(jid, length_bytes, have_bytes)
        return self._complete(jid, now_us) if have_bytes == length_bytes else []

    def _complete(self, jid: Jid, now_us: int) -> list[StdinNews]:
        """All bytes are here: see that they are the right ones."""
        document = self._documents[jid]
        if self.files.is_whole(jid, document.stdin_digest):
            self._end(jid)
            self.send(NeedStdin(jid, document.stdin_bytes))
            return [StdinArrived(jid)]
        self.files.remove(jid)
        self._wrong[jid] = self._wrong.get(jid, 0) + 1
        if self._wrong[jid] >= _WRONG_LIMIT:
            return [self._gone(jid, "what came as its stdin is not what its digest says")]
        log.warning("the stdin of job %s is not what its digest says; it is fetched again", jid)
        self._fetches.failed(jid, 0, now_us)
        return []

    def _gone(self, jid: Jid, reason: str) -> StdinGone:
        self.files.remove(jid)
        self._end(jid)
        return StdinGone(jid, reason)

    def _end(self, jid: Jid) -> None:
        self._fetches.end(jid)
        self._wrong.pop(jid, None)
        self._documents.pop(jid, None)

    def _ask(self, now_us: int) -> None:
        message = self._fetches.take_due(now_us)
        if message is not None:
            self.send(message)
