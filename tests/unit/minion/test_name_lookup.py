import select
import socket
import threading

import pytest

from fleet.core.endpoint import HostPort
from fleet.minion.name_lookup import LOOKUPS_LIMIT, Address, Lookup, NameLookups, resolve
from support.wait import wait_until

NAME = HostPort("master.example.org", 4607)
FOUND = (Address(socket.AF_INET, ("192.0.2.1", 4607), "192.0.2.1"),)


def ended(lookup: Lookup) -> None:
    wait_until(lambda: not lookup.is_running, 5, "the end of the thread")


def test_an_address_is_known_at_once_and_without_a_thread() -> None:
    before = threading.active_count()
    for text, place in (("192.0.2.1", ("192.0.2.1", 4607)), ("::1", ("::1", 4607, 0, 0))):
        lookup = Lookup(HostPort(text, 4607), resolve)
        assert lookup.descriptor is None
        assert lookup.addresses is not None
        assert [address.place for address in lookup.addresses] == [place]
    assert threading.active_count() == before


def test_the_descriptor_becomes_readable_with_the_answer() -> None:
    lookup = Lookup(NAME, lambda _: FOUND)
    assert lookup.descriptor is not None
    assert select.select([lookup.descriptor], [], [], 5)[0]
    assert lookup.addresses == FOUND
    lookup.close()
    assert lookup.descriptor is None


@pytest.mark.parametrize(
    "problem", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long"), OSError("no network")]
)
def test_a_failure_is_an_empty_answer_with_a_reason(problem: Exception) -> None:
    def ask(_: HostPort) -> tuple[Address, ...]:
        raise problem

    lookup = Lookup(NAME, ask)
    ended(lookup)
    lookup.close()
    assert lookup.addresses == ()
    assert lookup.failure in str(problem)
    assert lookup.failure


def test_an_abandoned_look_up_ends_by_itself() -> None:
    release = threading.Event()

    def ask(_: HostPort) -> tuple[Address, ...]:
        release.wait(20)
        return FOUND

    lookup = Lookup(NAME, ask)
    lookup.close()
    assert lookup.is_running
    release.set()
    ended(lookup)


def test_few_look_ups_are_under_way_at_once_and_addresses_need_none() -> None:
    release = threading.Event()

    def ask(_: HostPort) -> tuple[Address, ...]:
        release.wait(20)
        return FOUND

    lookups = NameLookups(ask)
    begun = [lookups.begin(NAME) for _ in range(LOOKUPS_LIMIT)]
    try:
        assert None not in begun
        assert lookups.begin(NAME) is None
    finally:
        release.set()
    for lookup in begun:
        if lookup is not None:
            ended(lookup)
            lookup.close()
    after = lookups.begin(NAME)
    assert after is not None
    ended(after)
    after.close()


def test_the_systems_resolver_knows_this_machine() -> None:
    assert {address.text for address in resolve(HostPort("localhost", 4607))} & {"127.0.0.1", "::1"}
