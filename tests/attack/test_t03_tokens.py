"""T3: a session is the connection, the key that was proved on it and a token; nothing that a message says of itself counts."""

import os
from dataclasses import replace

import pytest

from fleet.core.codec import write_frame
from fleet.core.from_master import HeartbeatAnswer, Rejoin, Welcome
from fleet.core.from_minion import Heartbeat, MinionEvent
from fleet.core.messages import NO_TOKEN
from fleet.core.names import MinionId
from support.evil import EvilMinion, Link, make_return, now_us
from support.fleet import Fleet

from .conftest import MakeEvil


def beat(minion: EvilMinion, link: Link) -> None:
    """Wait until everything that was sent on this link has been handled."""
    before = len(link.frames)
    link.send(Heartbeat(now_us(), 0, 0, 0, 0))
    minion.expect(link, HeartbeatAnswer, before)


def malformed(fleet: Fleet) -> int:
    return fleet.counters()["messages_malformed"]


def test_a_stolen_token_is_worth_nothing_on_the_connection_of_another_key(attacked: Fleet, evil: MakeEvil) -> None:
    victim, thief = evil("victim"), evil("thief")
    owned, link = victim.join(), thief.join()
    jid = attacked.submit("victim", "test.ping")
    victim.wait_for_job(owned, jid)
    before = malformed(attacked)
    link.send(make_return(jid, b"forged"), owned.token)
    link.send(MinionEvent("fleet/minion/victim/event/x", {}), owned.token)
    beat(thief, link)
    assert malformed(attacked) == before + 2
    assert attacked.record(jid)["returns"]["victim"]["state"] == "sent"
    owned.send(make_return(jid, b"right"))
    assert attacked.wait_for_state(jid, "victim", "succeeded")["value"] == "right"


def test_a_stolen_token_without_a_session_of_ones_own_opens_none(attacked: Fleet, evil: MakeEvil) -> None:
    victim, thief = evil("victim"), evil("thief")
    owned = victim.join()
    link = thief.connect()
    link.send(Heartbeat(1, 0, 0, 0, 0), owned.token)
    thief.expect(link, Rejoin)
    assert not [message for message in link.messages if isinstance(message, HeartbeatAnswer)]


@pytest.mark.parametrize("kind", ["none", "random", "one bit"])
def test_a_message_with_another_token_is_dropped(attacked: Fleet, evil: MakeEvil, kind: str) -> None:
    minion = evil("careless")
    link = minion.join()
    token = {"none": NO_TOKEN, "random": os.urandom(16), "one bit": bytes((link.token[0] ^ 1,)) + link.token[1:]}[kind]
    before = malformed(attacked)
    link.send(MinionEvent("fleet/minion/careless/event/x", {}), token)
    beat(minion, link)
    assert malformed(attacked) == before + 1


def test_a_hello_with_another_id_than_that_of_its_key_opens_no_session(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("liar")
    link = minion.connect()
    before = malformed(attacked)
    for name in ("web-1", "nobody"):
        link.send(replace(minion.hello_message(), minion_id=MinionId(name)), NO_TOKEN)
    minion.hello(link)
    beat(minion, link)
    assert malformed(attacked) == before + 2
    assert len([message for message in link.messages if isinstance(message, Welcome)]) == 1
    assert attacked.answers("web-1", "test.ping") == {"web-1": True}


def test_a_second_hello_on_a_connection_changes_nothing(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("eager")
    link = minion.join()
    before = malformed(attacked)
    link.send_frame(write_frame(minion.hello_message()))
    link.send_frame(write_frame(minion.hello_message(), link.token))
    beat(minion, link)
    assert len([message for message in link.messages if isinstance(message, Welcome)]) == 1
    assert malformed(attacked) == before + 2
    jid = attacked.submit("eager", "test.ping")
    minion.wait_for_job(link, jid)


def test_two_connections_of_one_key_cannot_take_turns_in_saying_hello(attacked: Fleet, evil: MakeEvil) -> None:
    """Each session costs a line of the log, an event and a commit."""
    minion = evil("twofold")
    links = [minion.join(), minion.join()]
    lines = len(attacked.master.log().splitlines())
    for _ in range(15):
        for link in links:
            link.send(minion.hello_message(), NO_TOKEN)
    beat(minion, links[1])
    assert [len([one for one in link.messages if isinstance(one, Welcome)]) for link in links] == [1, 1]
    assert len(attacked.master.log().splitlines()) - lines < 5


def test_tokens_are_never_given_twice(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("collector")
    tokens = [minion.join().token for _ in range(6)]
    assert len(set(tokens)) == len(tokens)
    assert NO_TOKEN not in tokens
