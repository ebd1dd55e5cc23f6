from collections.abc import Iterator

import pytest

from fleet.client import Client, event_stream
from fleet.core.control_answers import EventNote
from fleet.core.control_requests import AskStatus, FollowEvents
from fleet.core.errors import UnreachableError
from support.fake_master import Start


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "RETRY_FIRST_SECONDS", 0.01)


def notes() -> Iterator[EventNote]:
    yield from (EventNote(number, "fleet/a", 0, {}, 0) for number in range(7, 99))


def test_without_somebody_to_tell_the_loss_of_the_master_is_an_error(start: Start) -> None:
    several = notes()
    master = start({FollowEvents: [lambda: next(several), None]})
    events = Client().events()

    assert next(events).number == 7
    with pytest.raises(UnreachableError, match="went away"):
        next(events)
    assert master.requests == [FollowEvents("*", -1)]
    assert master.asked(AskStatus) == []


def test_with_somebody_to_tell_it_goes_on_after_the_last_one(start: Start) -> None:
    several = notes()
    told: list[str] = []
    master = start({FollowEvents: [lambda: next(several), lambda: next(several), None]})
    events = Client().events(
        "fleet/*", 6, on_lost=lambda problem: told.append(problem.message), on_back=lambda: told.append("back")
    )

    assert [next(events).number for _ in range(5)] == [7, 8, 9, 10, 11]
    assert master.requests == [FollowEvents("fleet/*", after) for after in (6, 8, 10)]
    assert [text[:20] for text in told] == ["the master went away", "back"] * 2
