"""The options of ``fleet`` as data: one object each, whichever commands take it."""

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
#: How a job is run, and what it is given.
JOB_OPTIONS = (TIMEOUT, LIVE, ASYNC, TTL, JOB_TIMEOUT, STDIN, STDIN_TEXT, NO_STDIN)
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
