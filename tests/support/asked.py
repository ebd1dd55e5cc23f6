"""What a test asks of a fleet in its own process: the requests and documents of the commands, without starting one.

A command costs more processor time than what the master and its minions do for it. What a test is about it runs as a command; what
it only needs, or looks at, is asked here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleet.client import Client
from fleet.client.calls import JobTerms, words_request
from fleet.client.documents import keys_document, minion_document, record_document, values_document
from fleet.client.verb_options import JOB_TIMEOUT, KIND_OPTIONS, TTL
from fleet.core.options import scan

KEY_STATES = ("accepted", "denied", "pending", "rejected")


class Asked:
    """The part of a fleet that is asked through the client.

    Attributes:
        master_root: the root folder of its master.
    """

    master_root: Path

    def client(self) -> Client:
        """Return a client in this process: what a test waits for is looked at without starting a command each time."""
        return Client(self.master_root)

    def submit(self, *words: str, stdin: bytes = b"") -> str:
        """Submit a job, written as for ``fleet``, without waiting for it, and return its jid."""
        scanned = scan(words, (*(option for option, _ in KIND_OPTIONS), TTL, JOB_TIMEOUT))
        (kind,) = [kind for option, kind in KIND_OPTIONS if scanned.flag(option.name)] or ["glob"]
        target, function, *arguments = scanned.words
        terms = JobTerms(
            target,
            kind,
            ttl_seconds=scanned.seconds(TTL.name) or 0.0,
            job_timeout_seconds=scanned.seconds(JOB_TIMEOUT.name) or 0.0,
            is_watched=False,
            stdin=stdin,
        )
        return self.client().create(words_request(terms, function, arguments, scanned.literals), stdin).jid

    def answers(
        self, target: str, function: str, *arguments: str, kind: str = "glob", seconds: float = 30
    ) -> dict[str, Any]:
        """Run a function and return ``{minion: value}`` of what has come in time, as ``fleet --out json`` prints it."""
        with self.client() as client:
            outcome = client.run(target, function, *arguments, kind=kind, timeout_seconds=seconds)
        return dict(values_document({str(minion): result for minion, result in outcome.items()}))

    def exit_code(self, target: str, function: str, *arguments: str, seconds: float = 30) -> int:
        """Run a function and return what ``fleet`` would exit with."""
        with self.client() as client:
            return client.run(target, function, *arguments, timeout_seconds=seconds).exit_code

    def record(self, jid: str = "last") -> dict[str, Any]:
        """Return a job as ``fleet jobs show --out json`` prints it."""
        return dict(record_document(self.client().job(jid)))

    def rows(self) -> dict[str, dict[str, Any]]:
        """Return the minions as ``fleet minions --out json`` prints them."""
        return {row.minion: dict(minion_document(row)) for row in self.client().minions()}

    def known_keys(self) -> Mapping[str, Any]:
        """Return the keys as ``fleet-key -L --out json`` prints them: by state, by id."""
        return keys_document(self.client().keys().keys, KEY_STATES)

    def counters(self) -> Mapping[str, int]:
        """Return the counters of the master."""
        return self.client().status().counters
