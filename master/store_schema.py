"""What the job cache looks like on disk: its tables, and the small numbers that stand for words in them.

Sizes decide here: a job of ten targets with equal output takes less than 2 KB (``tests/unit/master/test_store_sqlite.py``
measures it). So a jid is its moment in microseconds, minion ids, addresses and accounts are written once (``texts``), outputs and
reasons once by digest (``blobs``; what is long in parts, ``blob_parts``), and a count of zero takes no byte. How many targets of a job are in each state stands in its
own row, changed in the same transaction as the target: a page of jobs is read without looking at a target.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ..core.job_states import TERMINAL, JobState
from ..core.outcome import OutcomeKind

SCHEMA_VERSION = 3
#: "fljc", at byte 68 of the file: tells a job cache from any other SQLite file.
APPLICATION_ID = 0x666C6A63

#: Append only: these numbers are on disk. Each state is also a column of ``jobs``.
STATE_CODES: Mapping[JobState, int] = MappingProxyType(
    {
        JobState.QUEUED: 0,
        JobState.SENT: 1,
        JobState.ACKED: 2,
        JobState.RUNNING: 3,
        JobState.SUCCEEDED: 4,
        JobState.FAILED: 5,
        JobState.REFUSED: 6,
        JobState.CANCELLED: 7,
        JobState.TIMED_OUT: 8,
        JobState.LOST: 9,
        JobState.EXPIRED: 10,
        JobState.ABANDONED: 11,
    }
)
#: Append only. A target that the master ended has no kind; its state says it all.
KIND_CODES: Mapping[OutcomeKind, int] = MappingProxyType(
    {
        OutcomeKind.OK: 0,
        OutcomeKind.FAILED: 1,
        OutcomeKind.CRASHED: 2,
        OutcomeKind.UNAVAILABLE: 3,
        OutcomeKind.UNKNOWN_FUNCTION: 4,
        OutcomeKind.BAD_ARGUMENT: 5,
        OutcomeKind.NOT_ALLOWED: 6,
        OutcomeKind.SPOOL_FULL: 7,
        OutcomeKind.TIMED_OUT: 8,
        OutcomeKind.CANCELLED: 9,
        OutcomeKind.LOST: 10,
        OutcomeKind.EXPIRED: 11,
        OutcomeKind.ABANDONED: 12,
    }
)
#: Append only: from which stream a value is derived.
VALUE_FROM_CODES: Mapping[str, int] = MappingProxyType({"": 0, "text": 1, "stdout": 2, "stderr": 3})
#: Bits of ``job_targets.flags``.
HAS_VALUE = 1
FORCE_STOPPED = 2

STATES: Mapping[int, JobState] = MappingProxyType({code: state for state, code in STATE_CODES.items()})
KINDS: Mapping[int, OutcomeKind] = MappingProxyType({code: kind for kind, code in KIND_CODES.items()})
VALUE_FROM: Mapping[int, str] = MappingProxyType({code: name for name, code in VALUE_FROM_CODES.items()})

STATE_COLUMNS = tuple(state.value for state in STATE_CODES)
OPEN_COLUMNS = tuple(state.value for state in STATE_CODES if state not in TERMINAL)

#: The columns of a target that refer to ``blobs``.
BLOB_COLUMNS = ("reason", "value", "stdout", "stderr", "traceback")

# How often a blob is referred to stands apart from it: to count would else write a large output anew. ``forgets`` is what minions
# were not yet heard to have forgotten of deleted jobs. A stdin lies in parts, so that its end is found without reading its beginning.
_SINCE_2 = """
CREATE TABLE blob_uses (
    blob INTEGER PRIMARY KEY,
    uses INTEGER NOT NULL
);
CREATE TABLE forgets (
    jid_us     INTEGER NOT NULL,
    minion     TEXT    NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (jid_us, minion)
) WITHOUT ROWID;
CREATE TABLE stdin_parts (
    jid_us INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    data   BLOB    NOT NULL,
    PRIMARY KEY (jid_us, start)
);
"""
# A long output lies in parts, so that no more of it than one part is ever in memory; ``blobs.data`` is then empty.
_SINCE_3 = """
CREATE TABLE blob_parts (
    blob  INTEGER NOT NULL,
    start INTEGER NOT NULL,
    data  BLOB    NOT NULL,
    PRIMARY KEY (blob, start)
);
"""
_COUNTS = "\n".join(f"    {column} INTEGER NOT NULL," for column in STATE_COLUMNS)
SCHEMA = f"""
CREATE TABLE meta (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation BLOB    NOT NULL CHECK (length(incarnation) = 16),
    file_number INTEGER NOT NULL,
    jobs_total  INTEGER NOT NULL,
    last_jid_us INTEGER NOT NULL
);
CREATE TABLE texts (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
CREATE TABLE blobs (
    id     INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    data   BLOB NOT NULL
);
CREATE TABLE jobs (
    jid_us             INTEGER PRIMARY KEY,
    request_id         BLOB    NOT NULL UNIQUE,
    function           TEXT    NOT NULL,
    target             TEXT    NOT NULL,
    target_kind        TEXT    NOT NULL,
    user               TEXT    NOT NULL,
    signed_by          INTEGER NOT NULL,
    created_us         INTEGER NOT NULL,
    expires_us         INTEGER NOT NULL,
    timeout_seconds    REAL    NOT NULL,
    output_limit_bytes INTEGER NOT NULL,
    cancel_asked       INTEGER NOT NULL,
    finished_us        INTEGER,
{_COUNTS}
    arguments          BLOB    NOT NULL
);
CREATE INDEX open_jobs ON jobs (jid_us) WHERE finished_us IS NULL;
CREATE TABLE job_targets (
    jid_us       INTEGER NOT NULL,
    minion       INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    flags        INTEGER NOT NULL DEFAULT 0,
    kind         INTEGER,
    retcode      INTEGER,
    reason       INTEGER,
    value_from   INTEGER NOT NULL DEFAULT 0,
    value        INTEGER,
    stdout       INTEGER,
    stderr       INTEGER,
    traceback    INTEGER,
    stdout_total INTEGER,
    stderr_total INTEGER,
    address      INTEGER,
    account      INTEGER,
    pid          INTEGER,
    started_us   INTEGER,
    finished_us  INTEGER,
    duration_us  INTEGER,
    host         INTEGER,
    PRIMARY KEY (jid_us, minion)
) WITHOUT ROWID;
CREATE TABLE notes (
    jid_us  INTEGER NOT NULL,
    minion  INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    text    TEXT    NOT NULL,
    PRIMARY KEY (jid_us, minion, number)
) WITHOUT ROWID;
CREATE TABLE minions (
    minion           TEXT PRIMARY KEY,
    version          TEXT    NOT NULL,
    address          TEXT    NOT NULL,
    journal_id       BLOB    NOT NULL,
    boot_id          TEXT    NOT NULL,
    last_seen_us     INTEGER NOT NULL,
    grains_digest    BLOB    NOT NULL,
    catalogue_digest BLOB    NOT NULL
) WITHOUT ROWID;
CREATE INDEX minions_by_grains ON minions (grains_digest);
CREATE INDEX minions_by_catalogue ON minions (catalogue_digest);
CREATE TABLE grains (
    digest   BLOB PRIMARY KEY,
    document BLOB NOT NULL
);
CREATE TABLE catalogues (
    digest   BLOB PRIMARY KEY,
    document BLOB NOT NULL
);
{_SINCE_2}
{_SINCE_3}
"""

_COUNT_USES = " UNION ALL ".join(f"SELECT {column} AS blob FROM job_targets" for column in BLOB_COLUMNS)  # noqa: S608
#: From a format to the next one, as SQL; run in one transaction after a copy of the file was made.
MIGRATIONS: Mapping[int, str] = MappingProxyType(
    {
        1: f"""
ALTER TABLE job_targets ADD COLUMN host INTEGER;
{_SINCE_2}
INSERT INTO blob_uses SELECT blob, count(*) FROM ({_COUNT_USES}) WHERE blob IS NOT NULL GROUP BY blob;
DELETE FROM blobs WHERE id NOT IN (SELECT blob FROM blob_uses);
""",  # noqa: S608 - our own names
        2: _SINCE_3,
    }
)
