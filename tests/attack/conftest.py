"""Fixtures of the attacks: fleets with a short heartbeat, and minions that do what they like."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import pytest

from fleet.core.enrolment_messages import KeyStanding
from support.evil import EvilMinion
from support.fleet import Fleet

#: Makes an evil minion with an accepted key.
MakeEvil: TypeAlias = Callable[[str], EvilMinion]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and two honest minions that the attacks of one file share; whoever removes one starts another."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master(heartbeat_seconds=0.5, minion_messages_per_second=500)
        shared.start_minion("web-1")
        shared.start_minion("web-2")
        shared.accept_all()
        yield shared


@pytest.fixture
def evil(attacked: Fleet) -> Iterator[MakeEvil]:
    """Makes minions with an accepted key; their keys are deleted at the end."""
    with ExitStack() as stack:
        made: list[EvilMinion] = []

        def make(minion_id: str) -> EvilMinion:
            minion = stack.enter_context(EvilMinion(minion_id, attacked.enrol_port))
            assert minion.enrol() is KeyStanding.PENDING
            attacked.change_keys("accept", minion_id)
            assert minion.enrol() is KeyStanding.ACCEPTED
            made.append(minion)
            return minion

        yield make
        attacked.change_keys("delete", *{minion.minion_id for minion in made})
