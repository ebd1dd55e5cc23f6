"""How the master says what is with a minion."""

import pytest

from fleet.core.job_states import JobState
from fleet.master.presence import Presence, PresenceState, ago, moment

NOW = 1_795_000_000_000_000
UP, SILENT, DOWN = PresenceState


@pytest.mark.parametrize(
    ("state", "since", "job", "reason"),
    [
        (DOWN, None, JobState.QUEUED, "not seen since this master's start; last heard 2026-11-18T11:06:40Z"),
        (DOWN, NOW, JobState.QUEUED, "down since 2026-11-18T11:06:40Z"),
        (DOWN, NOW, JobState.SENT, "down since 2026-11-18T11:06:40Z"),
        (DOWN, NOW, JobState.RUNNING, "running, not reachable since 2026-11-18T11:06:40Z"),
        (DOWN, None, JobState.ACKED, "acked, not seen since this master's start; last heard 2026-11-18T11:06:40Z"),
        (UP, NOW, JobState.SENT, "connected, did not acknowledge, last heard 3.0 s ago"),
        (SILENT, NOW, JobState.RUNNING, "running, but heartbeats are missing, last heard 3.0 s ago"),
        (UP, NOW, JobState.RUNNING, ""),
        (UP, NOW, JobState.QUEUED, ""),
    ],
)
def test_the_reason_why_a_job_has_not_ended(
    state: PresenceState, since: int | None, job: JobState, reason: str
) -> None:
    assert Presence(state, since, NOW, "10.0.0.7").reason(NOW + 3_000_000, job) == reason


@pytest.mark.parametrize(
    ("presence", "absence"),
    [
        (Presence(UP, NOW, NOW, ""), ""),
        (Presence(DOWN, NOW, NOW, ""), "down since 2026-11-18T11:06:40Z"),
        (Presence(DOWN, None, None, ""), "never connected to this master"),
        (Presence(DOWN, None, NOW, ""), "not seen since this master's start; last heard 2026-11-18T11:06:40Z"),
        (
            Presence(SILENT, NOW, NOW, ""),
            "silent since 2026-11-18T11:06:40Z: heartbeats are missing, last heard 3.0 s ago",
        ),
        (Presence(UP, NOW, NOW, "", conflict="two machines"), "two machines"),
    ],
)
def test_why_a_minion_cannot_be_spoken_to(presence: Presence, absence: str) -> None:
    assert presence.absence(NOW + 3_000_000) == absence


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (-5, "0.0 s"),
        (400_000, "0.4 s"),
        (12_000_000, "12 s"),
        (180_000_000, "3 min"),
        (5 * 3_600_000_000, "5 h"),
        (72 * 3_600_000_000, "3 d"),
    ],
)
def test_a_span_for_a_person(microseconds: int, text: str) -> None:
    assert ago(microseconds) == text


def test_a_moment_for_everybody() -> None:
    assert moment(NOW) == "2026-11-18T11:06:40Z"
    assert moment(None) == "an unknown time"
