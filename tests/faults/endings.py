"""What the master says of every job when all is over, and which submission each belongs to."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from faults.history import Asked, Case, Ending, Fault, Finding, Ran, Submission, of_minion
from faults.plan import FaultKind
from fleet.client import Client
from fleet.core.control_answers import JobSummary

_PAGE = 200
_TOKEN = re.compile(r"\bs\d+-\d{5}\b")

Endings = Mapping[str, Mapping[str, Ending]]


def summaries(client: Client) -> Iterator[JobSummary]:
    """All jobs of the job cache, the newest first."""
    before = ""
    while page := client.jobs(_PAGE, before).jobs:
        yield from page
        before = page[-1].jid


def endings(client: Client, jobs: Sequence[JobSummary]) -> Endings:
    """Where each of these jobs stands, by jid and minion."""
    found: dict[str, dict[str, Ending]] = {}
    for summary in jobs:
        found[summary.jid] = {
            minion: Ending(
                state=result.state,
                reason=result.reason,
                kind=result.kind,
                retcode=result.retcode,
                value=result.value,
                stdout=result.stdout,
                stderr=result.stderr,
                stdout_total_bytes=max(result.stdout_total_bytes, len(result.stdout)),
                stderr_total_bytes=max(result.stderr_total_bytes, len(result.stderr)),
                created_us=summary.created_us,
                expires_us=summary.expires_us,
                finished_us=result.finished_us,
            )
            for minion, result in client.job(summary.jid).results.items()
        }
    return found


def jids_of_tokens(jobs: Sequence[JobSummary]) -> Mapping[str, list[str]]:
    """The jobs in whose arguments each token stands; one, if all is well."""
    found: dict[str, list[str]] = defaultdict(list)
    for summary in jobs:
        for token in set(_TOKEN.findall(f"{summary.words} {summary.literals} {summary.values}")):
            found[token].append(summary.jid)
    return found


def adopt_unanswered(
    submissions: Sequence[Submission], by_token: Mapping[str, list[str]], faults: Sequence[Fault]
) -> Iterator[Finding]:
    """Give each submission without an answer the job that was made of it, if one was; find requests of which two were made."""
    restores = [fault for fault in faults if fault.kind is FaultKind.RESTORE_MASTER]
    for submission in submissions:
        jids = by_token.get(submission.order.token, [])
        is_restored = any(fault.began <= submission.ended and submission.began <= fault.ended for fault in restores)
        if len(jids) > 1 and not is_restored:
            yield Finding("two jobs of one request", f"{jids}", submission.order.token)
        if not submission.jid and jids:
            submission.jid = jids[0]


def cases(
    submissions: Sequence[Submission],
    ended: Endings,
    outside: Mapping[str, Mapping[str, Ran]],
    faults: Sequence[Fault],
    clock_steps: Sequence[float],
) -> Iterator[Case]:
    """Bring together what is known of each job on each minion where it was to run, or did.

    Args:
        outside: what ran, by minion and token.
    """
    by_minion = {minion: of_minion(faults, minion) for minion in outside}
    for submission in submissions:
        told = ended.get(submission.jid, {})
        token = submission.order.token
        ran_on = {minion for minion, ran in outside.items() if token in ran}
        for minion in sorted(ran_on | set(told)) or ["?"]:
            if minion == "?" and submission.asked is not Asked.ACCEPTED:
                continue
            yield Case(
                submission=submission,
                minion=minion,
                ending=told.get(minion),
                ran=outside.get(minion, {}).get(token),
                faults=by_minion.get(minion, of_minion(faults, "?")),
                clock_steps=tuple(clock_steps),
            )
