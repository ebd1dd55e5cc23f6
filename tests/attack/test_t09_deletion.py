"""T9: an accepted minion cannot use the deletion of jobs: it confirms nothing that it does not owe, and brings nothing back."""

import pytest

from fleet.core.errors import NotFoundError
from fleet.core.from_master import Cancel, Discard, Forget, HeartbeatAnswer
from fleet.core.from_minion import Forgotten, Heartbeat, UnknownJob
from fleet.core.job_states import JobState
from fleet.core.messages import PROTOCOL_VERSION, FromMinion
from fleet.core.names import Jid, jid_from_microseconds
from support.evil import EvilMinion, Link, acknowledge, inventory, make_return, now_us, wait_for
from support.fleet import Fleet, resident_kibibytes
from support.wait import wait_until

from .conftest import MakeEvil


def beat(minion: EvilMinion, link: Link) -> None:
    """Wait until everything that was sent on this link has been handled."""
    number = now_us()
    before = len(link.frames)
    link.send(Heartbeat(number, 0, 0, 0, 0))
    minion.expect(link, HeartbeatAnswer, before)


def join(minion: EvilMinion, *, speaks: int = PROTOCOL_VERSION) -> Link:
    return minion.join(protocol_maximum=speaks)


def given(fleet: Fleet, minion: EvilMinion, link: Link) -> str:
    """A job that this minion was given and says to run."""
    jid = fleet.submit(minion.minion_id, "cmd.run", "x")
    minion.wait_for_job(link, jid)
    acknowledge(link, jid)
    fleet.wait_for_state(jid, minion.minion_id, "running")
    return jid


def listed(fleet: Fleet) -> set[str]:
    return {job.jid for job in fleet.client().jobs(0).jobs}


def asked_to_forget(link: Link, jid: str) -> int:
    link.pump()
    return sum(isinstance(message, Forget) and message.jid == jid for message in link.messages)


def test_nobody_confirms_for_another(attacked: Fleet, evil: MakeEvil) -> None:
    owing, liar = evil("owing"), evil("liar")
    link, lying = join(owing), join(liar)
    jid = given(attacked, owing, link)
    done = attacked.run("fleet", "jobs", "delete", jid, "--force", "-t", "0.2")
    assert done.code == 12
    assert "owing: asked to forget it, has not confirmed it" in done.stderr

    before = asked_to_forget(link, jid)
    assert before >= 1
    for message in (Forgotten(Jid(jid)), UnknownJob(Jid(jid)), make_return(jid, b"forged")):
        lying.send(message)
    beat(liar, lying)
    wait_for(link, lambda: asked_to_forget(link, jid) > before, "to be asked again: it has confirmed nothing")
    link.send(Forgotten(Jid(jid)))
    beat(owing, link)
    again = join(owing)
    beat(owing, again)
    assert asked_to_forget(again, jid) == 0


def test_saying_that_a_job_is_forgotten_ends_none(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("early")
    link = join(minion)
    jid = given(attacked, minion, link)
    gate = attacked.folder / f"gate-{now_us()}"
    honest = attacked.submit("web-1", "cmd.run", f"until test -e {gate}; do sleep 0.02; done; echo right")
    attacked.wait_for_state(honest, "web-1", "running")
    for each in (jid, honest, "20200101000000000000", "99999999999999999999"):
        link.send(Forgotten(Jid(each)))
    beat(minion, link)

    assert attacked.record(jid)["returns"]["early"]["state"] == "running"
    assert attacked.record(honest)["returns"]["web-1"]["state"] == "running"
    gate.touch()
    assert attacked.wait_for_state(honest, "web-1", "succeeded")["value"] == "right"
    link.send(make_return(jid, b"mine"))
    assert attacked.wait_for_state(jid, "early", "succeeded")["value"] == "mine"


def test_what_is_returned_of_a_deleted_job_is_not_wanted_and_brings_nothing_back(
    attacked: Fleet, evil: MakeEvil
) -> None:
    minion = evil("revenant")
    link = join(minion)
    jid = given(attacked, minion, link)
    attacked.client().delete_jobs(jid, is_forced=True, timeout_seconds=0)
    for number in range(3):
        before = len(link.frames)
        link.send(make_return(jid, b"back", retcode=number))
        assert minion.expect(link, Discard, before).jid == jid
    acknowledge(link, jid)
    again = minion.join(inventory=inventory([(jid, JobState.RUNNING)]), protocol_maximum=PROTOCOL_VERSION)
    before = len(again.frames)
    again.send(make_return(jid, b"back"))
    minion.expect(again, Discard, before)

    with pytest.raises(NotFoundError):
        attacked.record(jid)
    assert jid not in listed(attacked)
    assert asked_to_forget(again, jid) == 0  # What it returned last has said that it knows.


def test_one_of_an_earlier_release_is_told_to_cancel_and_never_what_it_does_not_know(
    attacked: Fleet, evil: MakeEvil
) -> None:
    minion = evil("old")
    link = join(minion, speaks=1)
    jid = given(attacked, minion, link)
    attacked.client().delete_jobs(jid, is_forced=True, timeout_seconds=0)
    assert minion.expect(link, Cancel).jid == jid
    before = len(link.frames)
    link.send(UnknownJob(Jid(jid)))
    beat(minion, link)
    link.send(make_return(jid))
    assert minion.expect(link, Discard, before).jid == jid

    assert asked_to_forget(link, jid) == 0
    again = join(minion, speaks=1)
    beat(minion, again)
    assert not any(isinstance(message, Cancel) for message in again.messages)


def test_a_flood_of_confirmations_reaches_no_disk_and_delays_nobody(attacked: Fleet, evil: MakeEvil) -> None:
    minion = evil("confirmer")
    link = join(minion)
    jid = given(attacked, minion, link)
    before, memory = attacked.counters()["store_changes"], resident_kibibytes(attacked.master.pid)
    sent = 0
    for number in range(20_000):
        name = jid if number % 2 else jid_from_microseconds(now_us() + number)
        message: FromMinion = Forgotten(Jid(name)) if number % 3 else UnknownJob(Jid("20200101000000000000"))
        link.send(message)
        sent += 1
        if number % 500 == 0:
            link.pump()
        if link.lost:
            break
    assert attacked.answers("web-*", "test.ping") == {"web-1": True, "web-2": True}
    wait_until(lambda: attacked.counters()["store_waiting"] == 0, 10, "the job cache to be idle")

    assert sent > 500
    assert attacked.counters()["store_changes"] - before < 100
    assert resident_kibibytes(attacked.master.pid) - memory < 20 * 1024
    assert jid in listed(attacked)
