"""The commands of ``fleet`` as data: their words, options and examples. Scanning, dispatch and ``--help`` are made from it."""

from ..core.dataclass import dataclass
from ..core.options import Option
from .report import LEVELS

RUN_FORMS = ("fold", "nested", "txt", "json", "jsonl", "yaml", "raw")
LIST_FORMS = ("text", "json", "yaml")
MINION_FORMS = ("text", "json", "jsonl", "yaml")

HELP = Option(("-h", "--help"), "show this help")
VERSION = Option(("--version",), "show the version of this command")
ROOT = Option(("--root",), "the folder that the master was started with (FLEET_ROOT)", "text", "DIR")
SOCKET = Option(("--socket",), "the master's control socket (FLEET_SOCKET)", "text", "PATH")
CONFIG = Option(("-c", "--config"), "another client.yaml: the defaults of 'out' and 'socket'", "text", "FILE")
LOG_LEVEL = Option(("-l", "--log-level"), "how much to say on stderr", "choice", "LEVEL", LEVELS)
VERBOSE = Option(("-v", "--verbose"), "say which master, as which user, the jid, and who is silent at once")
COLOR = Option(("--color",), "colours even where the terminal seems to have none (FORCE_COLOR)")
NO_COLOR = Option(("--no-color",), "no colours (NO_COLOR)")
COMMON = (ROOT, SOCKET, CONFIG, LOG_LEVEL, VERBOSE, COLOR, NO_COLOR, HELP, VERSION)

GRAIN = Option(("-G", "--grain"), "the target is a grain and a glob: os:Debian")
REGEX = Option(("-E", "--regex"), "the target is a regular expression for the whole id")
LIST = Option(("-L", "--list"), "the target is a list of ids: web-1,web-[03-09]")
COMPOUND = Option(("-C", "--compound"), "the target combines: G@os:Debian and not web-*")
NODES = Option(
    ("--nodes",),
    "instead of a target: the minions named in this file, or with - on this command's own stdin",
    "text",
    "FILE",
)
#: Each with the ``TargetKind`` that it means.
KIND_OPTIONS = ((GRAIN, "grain"), (REGEX, "regex"), (LIST, "list"), (COMPOUND, "compound"))

#: Its choices differ from verb to verb, so the verb checks them.
OUT = Option(("--out",), f"how to print results: {', '.join(RUN_FORMS)} (FLEET_OUT)", "text", "FORM")
OUT_LIST = Option(("--out",), f"how to print: {', '.join(LIST_FORMS)}", "text", "FORM")
OUT_MINIONS = Option(("--out",), f"how to print: {', '.join(MINION_FORMS)}", "text", "FORM")
OUT_EVENTS = Option(("--out",), "how to print: text, jsonl", "text", "FORM")
OUT_SHOW = Option(("--out",), f"text (the default), or as for a run: {', '.join(RUN_FORMS)}", "text", "FORM")
ONLY = Option(
    ("--only",),
    "show only these: failed, silent, refused, ok, non-empty; may be repeated",
    "text",
    "WHICH",
    repeats=True,
)
FOLD = Option(
    ("--fold",),
    "what form fold shows as one; numbers: what differs in numbers alone",
    "choice",
    "HOW",
    ("off", "exact", "numbers"),
)
DIFF = Option(("--diff",), "show how results differ from those of the largest group")
ALL = Option(("--all",), "show tables whole, also beyond 200 lines")
OUT_FILE = Option(("--out-file",), "write the results to this file instead, whole or not at all", "text", "FILE")
OUT_DIR = Option(("--out-dir",), "write a file per minion into this new or empty folder instead", "text", "DIR")
#: Which results of a job are shown, how, and where.
SHOW_OPTIONS = (ONLY, FOLD, DIFF, ALL, OUT_FILE, OUT_DIR)
TIMEOUT = Option(("-t", "--timeout"), "stop waiting after this time; the job goes on", "seconds", "SECONDS")
CONFIRM_TIMEOUT = Option(
    ("-t", "--timeout"), "stop waiting for the minions to confirm after this time (30)", "seconds", "SECONDS"
)
LIVE = Option(("-f", "--follow"), "show what is written as it is written, line by line where there are several")
SKIP = Option(("--skip",), "leave out so many bytes of stdout: go on where it was left", "count", "BYTES")
ASYNC = Option(("--async",), "print the jid and do not wait")
SUMMARY = Option(("--summary",), "end with a line that counts the results (always there in form fold)")
PREVIEW = Option(("--preview-target",), "only say which minions the target selects")
PREVIEW_LIMIT = Option(("--limit",), "with --preview-target: how many ids to show at the most", "count", "N")
SHOW_JID = Option(("--show-jid",), "say the jid on stderr")
TTL = Option(
    ("--ttl",),
    "how long the job waits for a minion that is not there (as the master is set: 30 s)",
    "seconds",
    "SECONDS",
)
JOB_TIMEOUT = Option(("--job-timeout",), "the job's own limit, after which it is killed", "seconds", "SECONDS")
STDIN = Option(
    ("--stdin",), "what the command reads: this file, or with - this command's own stdin to its end", "text", "FILE"
)
STDIN_TEXT = Option(("--stdin-text",), "what the command reads: this text as it is", "text", "TEXT")
NO_STDIN = Option(("--no-stdin",), "the command reads nothing: its stdin is empty and at its end (the default)")
REMOVE = Option(("--rm",), "delete the job and its results when it has ended everywhere")
USER = Option(("--user",), "only jobs of this user", "text", "USER")
FUNCTION = Option(("--function",), "only jobs of functions that fit this glob: 'cmd.*'", "text", "GLOB")
TARGET = Option(("--target",), "only jobs whose target, as it was written, fits this glob", "text", "GLOB")
OF_MINION = Option(("--minion",), "only jobs that were for this minion", "text", "ID")
JOB_STATE = Option(
    ("--state",),
    "only running, finished or cancelled jobs, or with a target in this state; may be repeated",
    "text",
    "STATE,…",
    repeats=True,
)
SINCE = Option(("--since",), "only jobs from this time on: 2h (ago), 2026-11-20, 2026-11-20T22:10", "text", "TIME")
UNTIL = Option(("--until",), "only jobs from before this time", "text", "TIME")
FORCE = Option(("--force",), "also what runs: it is stopped; a minion that is away forgets it when it comes back")
ALL_JOBS = Option(("--all",), "every job that has ended; with --force every job")
OLDER_THAN = Option(("--older-than",), "remove jobs that ended longer ago than this", "seconds", "TIME")
KEEP = Option(("--keep",), "keep this many jobs, the newest", "count", "N")
KEEP_BYTES = Option(("--keep-bytes",), "keep as many of the newest jobs as fit into this size", "size", "SIZE")
YES = Option(("-y", "--yes"), "do not ask")
FAILED_AGAIN = Option(("--failed",), "where it failed, timed out or was cancelled")
SILENT_AGAIN = Option(("--silent",), "where it never came to be run: expired, or the key was removed meanwhile")
REFUSED_AGAIN = Option(("--refused",), "where the minion refused it")
LOST_AGAIN = Option(("--lost",), "where nobody knows how far it came: it may have run")
ALL_AGAIN = Option(("--all",), "wherever it has ended, also where it succeeded")
LIMIT = Option(("--limit",), "how many to show at the most; 0 for all (20)", "count", "N")
BEFORE = Option(("--before",), "only jobs older than this one", "text", "JID")
MINION = Option(("--minion",), "only this minion; may be repeated", "text", "ID", repeats=True)
SHOW_LIMIT = Option(("--limit",), "how many to show at the most; 0 for all (the default)", "count", "N")
MINION_STATES = ("up", "silent", "down")
STATES = Option(
    ("--state",),
    f"only minions in these states: {', '.join(MINION_STATES)}; may be repeated",
    "text",
    "STATE,…",
    repeats=True,
)
COLUMNS = Option(
    ("--columns",), "what to show: state, since, version …, and any grain: os,dns:search", "text", "NAME,…"
)
COUNT_BY = Option(("--count-by",), "count the minions by the values of this grain or column", "text", "NAME")
COUNT = Option(("-n", "--count"), "end after this many events", "count", "N")
COUNT_PINGS = Option(("-n", "--count"), "how many to send; 0 for no end (4)", "count", "N")
INTERVAL = Option(("--interval",), "from one to the next (1)", "seconds", "SECONDS")
PING_TIMEOUT = Option(
    ("-t", "--timeout"), "how long to wait for each reply (1, or 4 round trips)", "seconds", "SECONDS"
)
AFTER = Option(("--after",), "continue after this event; 0: with the first of this master", "count", "NUMBER")


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
        TIMEOUT,
        LIVE,
        ASYNC,
        TTL,
        JOB_TIMEOUT,
        STDIN,
        STDIN_TEXT,
        NO_STDIN,
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
        TIMEOUT,
        LIVE,
        ASYNC,
        TTL,
        JOB_TIMEOUT,
        STDIN,
        STDIN_TEXT,
        NO_STDIN,
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
