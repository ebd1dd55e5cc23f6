"""One sample of every message, with fixed bytes, and Hypothesis strategies made from the fields of the messages."""

import functools
import operator
import string
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NewType, Union, get_args, get_origin

from hypothesis import strategies as st

from fleet.core import control as c
from fleet.core import control_answers as a
from fleet.core import control_requests as q
from fleet.core import from_master as master
from fleet.core import from_minion as minion
from fleet.core import job_document as job
from fleet.core import messages as m
from fleet.core.dataclass import fields, is_dataclass
from fleet.core.function_spec import FunctionSpec, Parameter
from fleet.core.job_states import JobState
from fleet.core.names import FunctionName, Jid, MinionId
from fleet.core.outcome import OutcomeKind
from fleet.core.values import Value

JID = Jid("20261120221012000042")
MINION = MinionId("web-1.example_A")
FUNCTION = FunctionName("cmd.run")
TOKEN = bytes(range(16))
_DIGEST = bytes(range(32))
_EMPTY = minion.StreamSummary(0, 0, _DIGEST, b"")
_WORDS: tuple[tuple[str, ...], tuple[str, ...], tuple[Value, ...], Mapping[str, Value]] = (
    ("a b", "k=v"),
    ("--",),
    (1.5, None, [True, b"\xff"]),
    {"cwd": "/tmp", "n": {"x": -1}},
)
_SPEC = FunctionSpec(
    FUNCTION,
    "Run a command.",
    "More.",
    (
        Parameter("command", "str", required=True),
        Parameter("n", "choice", required=False, default=1, choices=("a", "b")),
    ),
    disruptive=True,
)
_SUMMARY = a.JobSummary(
    JID, FUNCTION, *_WORDS, "web*", "glob", "root", 1, 2, 0.5, None, "running", {"sent": 2, "acked": 1}, "ab:cd", 9, JID
)
_KEY = a.KeyRow(MINION, "ab:cd", "1234", "pending", "10.0.0.7", 17)

FROM_MINION: Sequence[m.FromMinion] = (
    minion.Hello(
        MINION, 1, 1, "0.1.0", b"j" * 16, "boot", _DIGEST, b"", (minion.InventoryItem(JID, JobState.RUNNING),), True, -5
    ),
    minion.Ready(7, 8),
    minion.Heartbeat(1, 2_000, -300, 4, 5),
    minion.GrainsReport(_DIGEST, {"os": "Debian", "cpus": 4, "ipv4": ["127.0.0.1"], "load": 0.5, "x": None}),
    minion.CatalogueReport(_DIGEST, b"\x78\x9c"),
    minion.JobProgress(JID, JobState.RUNNING, 4711, 1_795_000_000_000_000, "root"),
    minion.Return(
        JID,
        OutcomeKind.FAILED,
        "exit code 3: é",
        True,
        "text",
        3,
        "",
        _EMPTY,
        minion.StreamSummary(3, 9, _DIGEST, b"a\x00\xff"),
        minion.StreamSummary(2**25, 2**40, _DIGEST, None),
        None,
        "www-data",
        None,
        2**40,
        1,
        True,
    ),
    minion.OutputChunk(JID, "stdout", 32_768, b"\x00\xff"),
    minion.MinionEvent("fleet/minion/web-1/event/x", {"n": 1}),
    minion.Renewed(9),
    minion.UnknownJob(JID),
    minion.Pong(7),
    minion.Forgotten(JID),
    minion.NeedStdin(JID, 262_144),
    minion.LiveOutput(JID, "stderr", 2**40, b"\x00\xff"),
)
FROM_MASTER: Sequence[m.FromMaster] = (
    master.Welcome(TOKEN, 7, _DIGEST, 8, 1_795_000_000_000_000, 10.0, 0.25, True, False, "0.1.0", b"i" * 16),
    master.HeartbeatAnswer(1, 1_795_000_000_000_000),
    master.JobOrder(b"document", b"s" * 64, 1_795_000_000_000_000),
    master.Stored(JID),
    master.Discard(JID, "no such job was sent to this minion"),
    master.Need(JID, "stderr", 262_144),
    master.Cancel(JID, 1_795_000_030_000_000),
    master.Renewal(8, _DIGEST, 0, 1_795_000_000_000_000),
    master.Inquiry(JID),
    master.Rejoin("this connection has no session", 0.5),
    master.Ping(7),
    master.Forget(JID, 1_795_000_030_000_000),
    master.StdinChunk(JID, 32_768, b"\x00\xff"),
    master.Follow(JID, 3, 2**40, 0, 32_768),
)
REQUESTS: Sequence[c.Request] = (
    q.Submit(b"r" * 16, FUNCTION, *_WORDS, "G@os:Debian", "compound", 30.0, 0.0, True, True, 9, (MINION,), JID),
    q.Watch("last", False, True, (MINION,), (q.OutputPosition(MINION, 2**40, 1),)),
    q.PreviewTarget("web*", "glob"),
    q.ListJobs(20, "", "root", "cmd.*", "web*", "web-1", "failed", 1, 2),
    q.ShowJob("0042", (MINION,), False),
    q.CancelJob("0042", (MINION,)),
    q.ListMinions("os:Debian", "grain", ("os", "ip4_interfaces:lo")),
    q.ShowGrains(MINION),
    q.FollowEvents("fleet/job/*", -1),
    q.AskStatus(),
    q.ShowFunctions(("cmd.*",)),
    q.ListKeys(),
    q.ChangeKeys("accept", (q.KeyChoice(MINION, "ab:cd"),)),
    q.DeleteJobs(("0042",), True),
    q.PurgeJobs(86_400.0, 1_000, 2**40),
    q.PingMinion(MINION, 2.5),
    q.UploadStdin(1_048_576, 1_048_578, b"\x00\xff"),
    q.ReadOutput(JID, MINION, "stderr", 1_048_576),
)
ANSWERS: Sequence[c.Answer] = (
    a.Failure("TargetError", "what", "hint"),
    a.Done(),
    a.JobCreated(JID, FUNCTION, (MINION,), ("gone",)),
    a.TargetSilent(MINION, JobState.SENT, "connected, did not acknowledge"),
    a.TargetResult(
        MINION,
        JobState.SUCCEEDED,
        "",
        "ok",
        0,
        True,
        b"\xc3",
        "",
        b"out\xff",
        b"",
        4,
        0,
        "",
        12,
        "root",
        "10.0.0.7",
        1,
        2,
        1,
        False,
        ("late",),
        "web-1.example",
        {"stdout": 104_857_600},
    ),
    a.TargetPreview((MINION,), ()),
    _SUMMARY,
    a.JobList((_SUMMARY,), 1),
    a.JobCancelled(JID, (MINION,), (), ()),
    a.MinionRow(
        MINION,
        "up",
        None,
        5,
        "10.0.0.7",
        "0.1.0",
        "Debian",
        "ab:cd",
        1,
        -2,
        3,
        4,
        "",
        {"os": "Debian"},
        "web-1",
        2,
        (a.MinionJob(JID, FUNCTION, JobState.RUNNING),),
    ),
    a.GrainsShown(MINION, {"os": "Debian"}),
    a.EventNote(1, "fleet/auth", 2, {"minion": "web-1"}, 0),
    a.MasterStatus(
        "0.1.0",
        "ab:cd",
        1,
        2,
        3,
        "root",
        {"control": "/run/x"},
        {"up": 1},
        {"accepted": 1},
        {"jobs_open": 0},
        1_795_000_000_000_007,
        (a.QueueFigure("store_changes", 3, 50_000),),
        {"file_bytes": 4096},
        {"rss_bytes": 2**25},
        {"cpus": 2},
        (0.5, 0.25, 0.125),
    ),
    a.FunctionsShown((_SPEC,)),
    a.KeyList((_KEY,), "ab:cd", 0),
    a.JobsDeleted(1, JID, (MINION,), ()),
    a.JobForgotten(JID, MINION),
    a.JobsPurged(3, 2**40, 2),
    a.MinionPinged(MINION, None, "connected", 1_000_000),
    a.OutputPart(MINION, "stdout", 2**40, b"\x00\xff"),
)
DOCUMENTS: Sequence[object] = (
    job.JobDocument(JID, FUNCTION, *_WORDS, "root", 1, 2, 0.0, 16_777_216, 9, _DIGEST),
    job.Probe(3),
    job.Catalogue((_SPEC,)),
)
#: Every table of the protocol with its samples.
TABLES: Mapping[str, tuple[Mapping[int, type], Sequence[object]]] = {
    "from_minion": (m.FROM_MINION, FROM_MINION),
    "from_master": (m.FROM_MASTER, FROM_MASTER),
    "request": (c.REQUESTS, REQUESTS),
    "answer": (c.ANSWERS, ANSWERS),
}


def all_samples() -> Iterator[object]:
    """Yield one of every class that is written with the codec."""
    for _, samples in TABLES.values():
        yield from samples
    yield from DOCUMENTS


def _name(first: str, more: str, longest: int) -> st.SearchStrategy[str]:
    """Put it together: a regular expression would say it shorter, but takes Hypothesis ten times as long."""
    return st.builds(operator.add, st.sampled_from(first), st.text(first + more, max_size=longest - 1))


_WORD = _name(string.ascii_lowercase, string.digits + "_", 64)
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: _INTEGERS,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
    MinionId: _name(string.ascii_letters + string.digits, "._-", 128),
    Jid: st.integers(0, 10**20 - 1).map("{:020}".format),
    FunctionName: st.tuples(_WORD, _WORD).map(".".join),
}
#: Values as they come back: lists, no tuples; NaN is left out because it differs from itself.
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _INTEGERS | st.floats(allow_nan=False) | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@functools.cache
def strategy_for(hint: Any) -> st.SearchStrategy[Any]:
    """Make the strategy for one annotation of a message, or for a message."""
    if hint == Value:
        return VALUES
    if hint in _PLAIN:
        return _PLAIN[hint]
    if isinstance(hint, NewType):
        return strategy_for(hint.__supertype__)
    if is_dataclass(hint):
        return st.builds(hint, *(strategy_for(field.type) for field in fields(hint)))  # type: ignore[arg-type]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    origin, members = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return st.one_of(*(st.none() if member is types.NoneType else strategy_for(member) for member in members))
    if origin is tuple and members[-1] is Ellipsis:
        return st.lists(strategy_for(members[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(strategy_for(member) for member in members))
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(strategy_for(members[0]), strategy_for(members[1]), max_size=3)
    raise TypeError(f"no strategy for {hint!r}")
