import pytest

from fleet.client.moments import milliseconds, moment_here, moment_utc, moments_here, read_moment, span
from fleet.core.errors import UsageError
from support.fake_master import MOMENT_US


def test_programs_get_rfc_3339_in_utc() -> None:
    assert moment_utc(MOMENT_US) == "2026-11-20T22:10:12.000042Z"
    assert moment_utc(0) == "1970-01-01T00:00:00.000000Z"
    assert moment_utc(None) is None


def test_people_get_their_own_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        assert moment_here(MOMENT_US) == "2026-11-20 23:10:12 CET"
    time.tzset()
    assert moment_here(None, "never") == "never"


def test_moments_in_a_reason_are_in_the_zone_of_the_reader_and_all_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "KST-9")
        time.tzset()
        assert moments_here("down since 2026-11-18T20:12:44Z; again 2026-11-18T20:12:44.5Z") == (
            "down since 2026-11-19 05:12:44 KST; again 2026-11-19 05:12:44 KST"
        )
        for other in ("", "TZ", "2026-13-45T99:12:44Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-18"):
            assert moments_here(other) == other
    time.tzset()


@pytest.mark.parametrize("microseconds", [-1, 2**63 - 1, -(2**63)])
def test_a_number_that_is_no_moment_is_none(microseconds: int) -> None:
    """A minion may claim to have started in the year 292,278."""
    assert moment_utc(microseconds) is None
    assert moment_here(microseconds) == "-"


def test_lengths_of_time_are_short() -> None:
    assert [span(seconds) for seconds in (-1, 0.0126, 0.26, 45, 600, 20_000, 400_000)] == [
        "0 ms",
        "13 ms",
        "0.3 s",
        "45 s",
        "10 min",
        "6 h",
        "5 d",
    ]
    assert (milliseconds(1500), milliseconds(None)) == (1.5, None)


HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "moment_us"),
    [
        ("2h", MOMENT_US - 2 * HOUR_US),
        ("0s", MOMENT_US),
        ("1.5m", MOMENT_US - 90_000_000),
        ("7d", MOMENT_US - 7 * 24 * HOUR_US),
        ("2026-11-20T22:10:12.000042Z", MOMENT_US),
        ("2026-11-20 23:10:12.000042+01:00", MOMENT_US),
        ("1970-01-01T00:00:01Z", 1_000_000),
    ],
)
def test_a_moment_is_read_as_a_length_of_time_ago_or_as_a_date(text: str, moment_us: int) -> None:
    assert read_moment(text, MOMENT_US) == moment_us


def test_a_date_without_a_zone_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1")
        time.tzset()
        assert read_moment("2026-11-20T23:10:12.000042", MOMENT_US) == MOMENT_US
        assert read_moment("2026-11-20", MOMENT_US) == MOMENT_US - 23 * HOUR_US - 612_000_042
    time.tzset()


@pytest.mark.parametrize("text", ["1969-12-31", "1970-01-01T00:00:00Z", "999999d", "1500-01-01"])
def test_a_moment_before_1970_is_none_that_means_any(text: str) -> None:
    assert read_moment(text, MOMENT_US) == 1


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "-2h", "nand", "2026-13-01", "d", "20:00", "1_0x", "\0"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_moment(text, MOMENT_US)
    assert caught.value.hint
