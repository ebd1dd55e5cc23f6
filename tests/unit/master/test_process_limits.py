"""Descriptors: strangers get what the fleet leaves, and a reserve gets rid of connections when there is none left."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fleet.master import process_limits
from fleet.master.config import MasterSettings
from fleet.master.descriptor_reserve import DescriptorReserve
from fleet.master.process_limits import LEAST_CONNECTIONS, count_descriptors, fit_to_descriptors


@contextmanager
def limit(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def with_limits(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
    monkeypatch.setattr(process_limits, "raise_descriptor_limit", lambda: (soft, hard))


def test_the_soft_limit_is_raised_to_the_hard_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limit(hard - 100):
        fit_to_descriptors(MasterSettings(), 0)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    assert f"open files: limit {hard - 100}, raised to the hard limit {hard}" in caplog.text


def test_where_there_are_enough_nothing_is_bounded_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with_limits(monkeypatch, 65_536, 65_536)
    assert fit_to_descriptors(MasterSettings(), 10_000) == MasterSettings()


@pytest.mark.parametrize(("hard", "minions"), [(60, 0), (1024, 100), (1024, 600), (1500, 10)])
def test_where_there_are_too_few_strangers_get_what_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hard: int, minions: int
) -> None:
    with_limits(monkeypatch, hard, hard)
    fitted = fit_to_descriptors(MasterSettings(), minions)
    limits = (fitted.unproven_limit, fitted.enrol_connections_limit, fitted.control_connections_limit)
    assert min(limits) >= LEAST_CONNECTIONS
    assert sum(limits) <= max(3 * LEAST_CONNECTIONS, hard - 2 * minions)
    assert f"too low for {minions} minions" in caplog.text


def test_a_reserve_is_held_given_up_and_taken_again() -> None:
    before = count_descriptors()
    reserve = DescriptorReserve(3)
    assert reserve.refill()
    assert reserve.refill()
    assert count_descriptors() == before + 3
    reserve.release()
    assert count_descriptors() == before


def test_without_a_descriptor_beside_it_the_reserve_says_so() -> None:
    reserve = DescriptorReserve(3)
    lowest = os.dup(0)
    os.close(lowest)
    with limit(lowest + 3):
        assert not reserve.refill(), "there is room for the reserve, and for nothing beside it"
    reserve.release()


def test_without_a_descriptor_to_count_with_the_limit_is_the_answer() -> None:
    lowest = os.dup(0)
    os.close(lowest)
    with limit(lowest):
        assert count_descriptors() == lowest
