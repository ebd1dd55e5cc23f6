"""T5: a job reaches its targets and nobody else, be the others accepted, ready and recording every byte on both sockets."""

import pytest

from fleet.core.from_master import Renewal
from support.evil import EvilMinion, Link, make_return
from support.fleet import Fleet

from .conftest import MakeEvil


def ready(minion: EvilMinion) -> Link:
    link = minion.join()
    minion.get_ready(link)
    return link


def received(link: Link) -> tuple[int, int]:
    link.pump(50)
    told = [message for message in link.messages if not isinstance(message, Renewal)]
    return len(told), len([envelope for envelope in link.envelopes if len(envelope) > 250])


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("glob", "web-1"),
        ("list", "web-1,web-2"),
        ("glob", "web-*"),
        ("regex", "web-[0-9]"),
        ("compound", "* and not E@evil.*"),
    ],
)
def test_a_job_for_others_neither_reaches_nor_wakes_a_minion(
    attacked: Fleet, evil: MakeEvil, kind: str, target: str
) -> None:
    minion = evil("evil-eye")
    link = ready(minion)
    before = received(link)
    minions = ["web-1"] if target == "web-1" else ["web-1", "web-2"]
    assert attacked.answers(target, "test.echo", "CANARY-5", kind=kind) == dict.fromkeys(minions, "CANARY-5")
    assert received(link) == before
    assert b"CANARY-5" not in minion.read_everything()


def test_one_that_holds_the_key_but_never_said_that_it_is_ready_reads_nothing_either(
    attacked: Fleet, evil: MakeEvil
) -> None:
    """Subscribed and given the key of the epoch, yet unknown as its holder: a broadcast that leaves it out would still reach it."""
    minion = evil("evil-mute")
    minion.join()
    assert attacked.exit_code("web-*", "test.echo", "CANARY-mute") == 0
    assert b"CANARY-mute" not in minion.read_everything()


def test_one_that_left_its_session_and_kept_its_subscription_reads_nothing(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("evil-gone")
    link = ready(minion)
    assert minion.document is not None
    link.request.disconnect(f"tcp://127.0.0.1:{minion.document.request_port}")
    for _ in range(3):
        assert attacked.exit_code("web-*", "test.echo", "CANARY-gone") == 0
    assert b"CANARY-gone" not in minion.read_everything()


def test_a_job_for_all_does_not_reach_who_was_accepted_after_its_submission(attacked: Fleet, evil: MakeEvil) -> None:
    gate = attacked.folder / "gate"
    jid = attacked.submit("*", "cmd.run", f"until test -e {gate}; do sleep 0.02; done; echo CANARY-late")
    for name in ("web-1", "web-2"):
        attacked.wait_for_state(jid, name, "running")
    minion = evil("evil-late")
    link = ready(minion)
    next_jid = attacked.submit("evil-late", "test.ping")
    minion.wait_for_job(link, next_jid)
    link.send(make_return(next_jid))
    gate.touch()
    job = attacked.wait_for_job(jid)
    assert set(job["returns"]) == {"web-1", "web-2"}
    assert b"CANARY-late" not in minion.read_everything()
