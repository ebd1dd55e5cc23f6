"""The commands of ``fleet`` as data: their words, options and examples. Scanning, dispatch and ``--help`` are made from it."""

from ..core.dataclass import dataclass
from ..core.options import Option
from .verb_options import (
    AFTER,
    ALL,
    ALL_AGAIN,
    ALL_JOBS,
    BEFORE,
    COLUMNS,
    COMMON,
    COMPOUND,
    CONFIRM_TIMEOUT,
    COUNT,
    COUNT_BY,
    COUNT_PINGS,
    FAILED_AGAIN,
    FORCE,
    FUNCTION,
    GRAIN,
    INTERVAL,
    JOB_OPTIONS,
    JOB_STATE,
    KEEP,
    KEEP_BYTES,
    LIMIT,
    LIST,
    LOST_AGAIN,
    MINION,
    NODES,
    OF_MINION,
    OLDER_THAN,
    OUT,
    OUT_EVENTS,
    OUT_LIST,
    OUT_MINIONS,
    OUT_SHOW,
    PING_TIMEOUT,
    PREVIEW,
    PREVIEW_LIMIT,
    REFUSED_AGAIN,
    REGEX,
    REMOVE,
    SHOW_JID,
    SHOW_LIMIT,
    SHOW_OPTIONS,
    SILENT_AGAIN,
    SINCE,
    SKIP,
    STATES,
    SUMMARY,
    TARGET,
    TIMEOUT,
    UNTIL,
    USER,
    YES,
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One command of ``fleet``.

    Attributes:
        words: what selects it: ``("jobs", "show")``; empty for running a function.
        usage: what follows ``fleet``.
        summary: one line.
        options: its own; ``COMMON`` is added.
        examples: command lines with what they do.
        most_words: how many words may follow; -1 for any number.
    """

    words: tuple[str, ...]
    usage: str
    summary: str
    examples: tuple[tuple[str, str], ...]
    options: tuple[Option, ...] = ()
    most_words: int = 0

    @property
    def all_options(self) -> tuple[Option, ...]:
        """Its own options and those of every command."""
        return self.options + COMMON


RUN = Verb(
    (),
    "TARGET FUNCTION [ARGUMENT…] [-- WORD…]",
    "run a function on many machines and know what became of each",
    (
        ("fleet '*' cmd.run uptime", "a shell command on every minion"),
        ("fleet 'web-*' test.ping", "on those whose id fits a glob"),
        ("fleet -G 'os:Debian' cmd.run 'apt-get -s upgrade' --job-timeout 5m", "by a grain; killed after 5 minutes"),
        ("fleet --nodes racks.txt test.ping", "on those that a file names, one a line"),
        ("fleet '*' cmd.exec -- ls --color", "after -- every word is a word"),
        ("fleet -f web-1 cmd.run 'apt-get -y upgrade'", "see what it writes as it writes it"),
        ("tar c site | fleet 'web-*' cmd.run 'tar x -C /srv' --stdin -", "the command reads what this one is given"),
        ("fleet '*' grains.item os --out json | jq .", "one document for programs"),
    ),
    (
        GRAIN,
        REGEX,
        LIST,
        COMPOUND,
        NODES,
        *JOB_OPTIONS,
        PREVIEW,
        PREVIEW_LIMIT,
        OUT,
        *SHOW_OPTIONS,
        SUMMARY,
        SHOW_JID,
        REMOVE,
    ),
    -1,
)
JOBS_LIST = Verb(
    ("jobs", "list"),
    "jobs list [--state STATE] [--user USER] [--since TIME] …",
    "the newest jobs",
    (
        ("fleet jobs list --limit 5", "the last five"),
        ("fleet jobs list --state failed --since 1d", "which failed somewhere since yesterday"),
        ("fleet jobs list --state failed,lost", "which failed or were lost somewhere"),
        ("fleet jobs list --function 'cmd.*' --minion web-1", "which commands ran there"),
        ("fleet jobs list --out json", "for programs"),
    ),
    (LIMIT, BEFORE, USER, FUNCTION, TARGET, OF_MINION, JOB_STATE, SINCE, UNTIL, OUT_LIST),
)
JOBS_SHOW = Verb(
    ("jobs", "show"),
    "jobs show JID|last [--minion ID]",
    "one job, with what became of it on each minion",
    (
        ("fleet jobs show last", "the newest job"),
        ("fleet jobs show 000042", "the end of a jid is enough"),
        ("fleet jobs show last --minion web-1", "everything about one minion"),
        ("fleet jobs show last --only failed --diff", "how those that failed differ from each other"),
        ("fleet jobs show last --out raw", "what the programs wrote, byte for byte"),
    ),
    (MINION, SHOW_LIMIT, OUT_SHOW, *SHOW_OPTIONS),
    1,
)
JOBS_CANCEL = Verb(
    ("jobs", "cancel"),
    "jobs cancel JID|last [--minion ID]…",
    "stop a job: TERM to its process groups, then KILL",
    (
        ("fleet jobs cancel last", "on all of its minions"),
        ("fleet jobs cancel last --minion web-1", "on one of them"),
    ),
    (MINION, CONFIRM_TIMEOUT),
    1,
)
JOBS_FOLLOW = Verb(
    ("jobs", "follow"),
    "jobs follow JID|last [MINION…]",
    "show what a job of before writes, as it writes it, until it has ended",
    (
        ("fleet jobs follow last", "what is there already comes first"),
        ("fleet jobs follow last web-1 --skip 4096", "one minion, from that byte of its stdout on"),
        ("fleet jobs follow last --out json", "all of it at the end instead, as if this command had started it"),
    ),
    (TIMEOUT, SKIP, OUT, *SHOW_OPTIONS, SUMMARY, SHOW_JID),
    -1,
)
JOBS_WAIT = Verb(
    ("jobs", "wait"),
    "jobs wait JID|last",
    "wait until a job has ended on every minion, also on those that are silent",
    (
        ("fleet jobs wait last", "its counts, and the exit code of a run"),
        ("fleet jobs wait last -t 5m", "no longer than that"),
    ),
    (TIMEOUT, OUT_LIST),
    1,
)
JOBS_DELETE = Verb(
    ("jobs", "delete"),
    "jobs delete JID…|last|--all [--force]",
    "remove jobs and their results, here and on the minions",
    (
        ("fleet jobs delete 000042", "a job that has ended"),
        ("fleet jobs delete last --force", "stop it first, where it runs"),
        ("fleet jobs delete --all", "every job that has ended; asks"),
    ),
    (ALL_JOBS, FORCE, YES, CONFIRM_TIMEOUT),
    -1,
)
JOBS_PURGE = Verb(
    ("jobs", "purge"),
    "jobs purge [--older-than TIME] [--keep N] [--keep-bytes SIZE]",
    "remove the oldest jobs that have ended",
    (
        ("fleet jobs purge --older-than 30d", "by age"),
        ("fleet jobs purge --keep 10000", "by number"),
        ("fleet jobs purge --keep-bytes 2G", "by size"),
    ),
    (OLDER_THAN, KEEP, KEEP_BYTES, YES, OUT_LIST),
)
RETRY = Verb(
    ("retry",),
    "retry JID|last --failed|--silent|--refused|--lost|--all",
    "run a job again on some of its minions, as it was asked for",
    (
        ("fleet retry last --failed", "where it failed; nothing is run again by itself"),
        ("fleet retry 000042 --silent --refused", "where it was never started"),
        ("fleet retry last --lost --minion web-1", "on one of them, where it may have run"),
    ),
    (
        FAILED_AGAIN,
        SILENT_AGAIN,
        REFUSED_AGAIN,
        LOST_AGAIN,
        ALL_AGAIN,
        MINION,
        *JOB_OPTIONS,
        OUT,
        *(option for option in SHOW_OPTIONS if option is not ALL),
        SUMMARY,
        SHOW_JID,
        REMOVE,
    ),
    1,
)
MINIONS = Verb(
    ("minions",),
    "minions [TARGET]",
    "minions with an accepted key: how they are, and what they say of themselves",
    (
        ("fleet minions", "all of them"),
        ("fleet minions 'web-*' --state silent,down", "which of these do not answer"),
        ("fleet minions -G 'os:Debian' --columns minion,version,osrelease", "with a grain"),
        ("fleet minions --count-by os", "how many there are of each"),
        ("fleet minions --out json", "for programs; jsonl: a line each, a file for --nodes"),
    ),
    (GRAIN, REGEX, LIST, COMPOUND, STATES, COLUMNS, COUNT_BY, SHOW_LIMIT, OUT_MINIONS),
    1,
)
MINIONS_SHOW = Verb(
    ("minions", "show"),
    "minions show ID",
    "everything about one minion: key, link, open jobs, grains",
    (("fleet minions show web-1", "for people"), ("fleet minions show web-1 --out json", "for programs")),
    (OUT_LIST,),
    1,
)
PING = Verb(
    ("ping",),
    "ping MINION",
    "measure the way from the master to a minion's loop and back",
    (
        ("fleet ping web-1", "four times"),
        ("fleet ping web-1 -n 0 --interval 0.2", "five times a second, until Ctrl-C"),
    ),
    (COUNT_PINGS, INTERVAL, PING_TIMEOUT, OUT_LIST),
    1,
)
EVENTS = Verb(
    ("events",),
    "events [PATTERN]",
    "what happens, as it happens",
    (
        ("fleet events 'fleet/job/*'", "of jobs"),
        ("fleet events --count 1 --out jsonl", "the next one, for programs"),
        ("fleet events --after 0", "everything since the master was started, and what follows"),
    ),
    (COUNT, AFTER, OUT_EVENTS),
    1,
)
STATUS = Verb(
    ("status",),
    "status",
    "how the master is",
    (("fleet status", "versions, ports, queues, memory, counters"),),
    (OUT_LIST,),
)
DOC = Verb(
    ("doc",),
    "doc [FUNCTION|MODULE…]",
    "what minions can do",
    (
        ("fleet doc", "all functions, a line each"),
        ("fleet doc cmd", "those of a module"),
        ("fleet doc cmd.run", "one with its arguments"),
    ),
    (SHOW_LIMIT, OUT_LIST),
    -1,
)
VERSIONS = Verb(
    ("version",),
    "version",
    "the versions of this command and of the master",
    (("fleet version", "warns when they differ"),),
    (OUT_LIST,),
)
TOPICS = Verb(
    ("help",),
    "help [TOPIC|COMMAND|FUNCTION]",
    "more help",
    (("fleet help exit-codes", "what scripts can rely on"), ("fleet help targets", "how to choose minions")),
    (),
    2,
)

VERBS = (
    JOBS_LIST,
    JOBS_SHOW,
    JOBS_FOLLOW,
    JOBS_WAIT,
    JOBS_CANCEL,
    JOBS_DELETE,
    JOBS_PURGE,
    RETRY,
    MINIONS,
    MINIONS_SHOW,
    PING,
    EVENTS,
    STATUS,
    DOC,
    VERSIONS,
    TOPICS,
)

#: What the scanner must know before the verb is known: an option takes a value, or none, in every verb alike.
ALL_OPTIONS = tuple({option.name: option for verb in (RUN, *VERBS) for option in verb.all_options}.values())
