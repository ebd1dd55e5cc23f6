"""Which offers of keys are told of: a stranger with a thousand keys is told of as one with a single key is."""

import os

from fleet.core.names import MinionId
from fleet.keys.minion_key import KeyState, MinionKey
from fleet.master.offer_notices import OfferNotices

SECOND_US = 1_000_000


def offered(minion: str, address: str, state: KeyState = KeyState.PENDING) -> MinionKey:
    return MinionKey(MinionId(minion), os.urandom(32), state, 1, 1, address)


def test_a_source_with_ever_new_keys_is_logged_once_a_minute_and_the_next_line_counts_the_rest() -> None:
    notices = OfferNotices()
    told = [notices.line(offered(f"flood-{number}", "192.0.2.1"), 0) for number in range(400)]
    assert told == [0] + 399 * [None]
    assert notices.line(offered("flood-400", "192.0.2.1"), 60 * SECOND_US) == 399
    assert notices.line(offered("flood-401", "192.0.2.1"), 120 * SECOND_US) == 0


def test_all_addresses_below_one_ipv6_prefix_are_one_source() -> None:
    notices = OfferNotices()
    told = [notices.line(offered("a", f"2001:db8::{number:x}"), 0) for number in range(50)]
    assert sum(each is not None for each in told) == 1
    assert notices.line(offered("a", "2001:db8:0:1::1"), 0) == 49


def test_an_accepted_id_that_many_sources_claim_is_logged_once_a_minute() -> None:
    notices = OfferNotices()
    claims = [notices.line(offered("web-1", f"192.0.2.{number}", KeyState.DENIED), 0) for number in range(20)]
    assert sum(each is not None for each in claims) == 1
    assert notices.line(offered("web-2", "192.0.2.5", KeyState.DENIED), 0) == 19, "its own first line"


def test_events_of_one_source_are_limited_likewise_and_who_asks_again_hides_no_new_key() -> None:
    notices = OfferNotices()
    assert notices.event(offered("a", "192.0.2.1"), 0, is_new=False)
    events = [notices.event(offered(f"b-{number}", "192.0.2.1"), 0, is_new=True) for number in range(400)]
    assert events == [True] + 399 * [False]
    assert not notices.event(offered("a", "192.0.2.1"), SECOND_US, is_new=False)
    assert notices.event(offered("a", "192.0.2.2"), SECOND_US, is_new=True)


def test_accepted_minions_behind_one_address_each_have_their_event() -> None:
    notices = OfferNotices()
    keys = [offered(f"web-{number}", "192.0.2.1", KeyState.ACCEPTED) for number in range(200)]
    assert all(notices.event(key, 0, is_new=False) for key in keys)
    assert not any(notices.event(key, SECOND_US, is_new=False) for key in keys)
