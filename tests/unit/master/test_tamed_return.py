"""A minion's return, as it may be believed."""

from typing import Any

import pytest

from fleet.core.errors import ProtocolError
from fleet.core.from_minion import Return
from fleet.master.tamed_return import MOMENT_LIMIT_US, check_output, tamed
from support.returns import answer, summary


def test_what_no_calendar_has_and_no_page_can_hold_is_cut() -> None:
    wild = answer(
        message="m" * 9_000,
        traceback="t" * 99_000,
        account="a" * 9_000,
        started_us=-5,
        finished_us=2**62,
        duration_us=-1,
    )
    tame = tamed(wild)

    assert (len(tame.message), len(tame.traceback), len(tame.account)) == (2_000, 32_000, 256)
    assert (tame.started_us, tame.finished_us, tame.duration_us) == (0, MOMENT_LIMIT_US, 0)
    assert tamed(answer()) == answer()


@pytest.mark.parametrize("stream", ["value", "stdout", "stderr"])
def test_no_stream_is_longer_than_its_job_allowed(stream: str) -> None:
    def wrote(length_bytes: int) -> Return:
        changes: Any = {stream: summary(bytes(length_bytes), inline=True)}
        return answer(**changes)

    check_output(wrote(100), 100)
    with pytest.raises(ProtocolError, match=f"a {stream} of 101 bytes of a job that allowed 100"):
        check_output(wrote(101), 100)
