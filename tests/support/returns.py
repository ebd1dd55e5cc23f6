"""Returns as minions send them, for the machines of the master that take them."""

from dataclasses import replace
from typing import Any

from fleet.core.crypto import digest
from fleet.core.from_minion import Return, StreamSummary
from fleet.core.names import Jid, MinionId, jid_from_microseconds
from fleet.core.outcome import OutcomeKind

NOW = 1_795_000_000_000_000
M, N, OTHER = (MinionId(name) for name in "mno")
EMPTY = StreamSummary(0, 0, digest(b""), b"")


def jid(number: int) -> Jid:
    return jid_from_microseconds(NOW + number)


def summary(data: bytes, *, inline: bool) -> StreamSummary:
    return StreamSummary(len(data), len(data), digest(data), data if inline else None)


def answer(number: int = 1, **changes: Any) -> Return:
    whole = Return(
        jid(number), OutcomeKind.OK, "", False, "", 0, "", EMPTY, EMPTY, EMPTY, 1, "root", 1, 2, 1, force_stopped=False
    )
    return replace(whole, **changes)


def pulled(number: int, data: bytes, **changes: Any) -> Return:
    return answer(number, stdout=summary(data, inline=False), **changes)
