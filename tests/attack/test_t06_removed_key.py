"""T6: a key that was removed is sent nothing, believed nothing and connected no more, whatever connections it had kept ready."""

from fleet.core.from_master import JobOrder, Rejoin, Renewal, Welcome
from fleet.core.from_minion import Heartbeat
from fleet.core.job_states import JobState
from support.evil import EvilMinion, Link, acknowledge, make_return, wait_for
from support.fleet import Fleet
from support.wait import wait_until

from .conftest import MakeEvil


def joined(fleet: Fleet, evil: MakeEvil, name: str) -> tuple[EvilMinion, Link]:
    minion = evil(name)
    link = minion.join()
    minion.get_ready(link)
    return minion, link


def test_from_the_moment_of_its_removal_nothing_reaches_a_minion_on_either_socket(
    attacked: Fleet, evil: MakeEvil
) -> None:
    minion, link = joined(attacked, evil, "evil")
    for _ in range(2):
        assert attacked.exit_code("web-*", "test.echo", "before") == 0
    attacked.change_keys("delete", "evil")
    wait_for(link, lambda: link.lost >= 2, "both connections to be shut down")
    frames, envelopes = len(link.frames), len(link.envelopes)
    for target in ("*", "web-1", "*"):
        assert attacked.exit_code(target, "test.echo", "CANARY-after") == 0
    link.pump(50)
    assert (len(link.frames), len(link.envelopes)) == (frames, envelopes)
    assert b"CANARY-after" not in minion.read_everything()


def test_its_open_jobs_are_abandoned_and_its_late_word_changes_nothing(attacked: Fleet, evil: MakeEvil) -> None:
    minion, link = joined(attacked, evil, "evil")
    jid = attacked.submit("evil", "test.ping")
    minion.wait_for_job(link, jid)
    acknowledge(link, jid)
    attacked.wait_for_state(jid, "evil", "running")
    attacked.change_keys("delete", "evil")
    for _ in range(20):
        link.send(make_return(jid, b"forged"))
    wait_for(link, lambda: link.lost >= 2, "both connections to be shut down")
    assert attacked.exit_code("*", "test.ping") == 0
    found = attacked.record(jid)["returns"]["evil"]
    assert (found["state"], found["value"]) == ("abandoned", None)


def test_the_others_take_the_new_epoch_without_another_handshake(attacked: Fleet, evil: MakeEvil) -> None:
    _, link = joined(attacked, evil, "evil")
    before = attacked.counters()
    attacked.change_keys("delete", "evil")
    wait_until(lambda: attacked.counters()["epoch_renewals"] > before["epoch_renewals"], 5, "a new epoch")
    wait_for(link, lambda: link.lost >= 2, "both connections to be shut down")

    def is_broadcast() -> bool:
        sent = attacked.counters()["sent_broadcasts"]
        assert attacked.answers("*", "test.ping") == {"web-1": True, "web-2": True}
        return attacked.counters()["sent_broadcasts"] > sent

    wait_until(is_broadcast, 10, "the others to have confirmed the new key")
    after = attacked.counters()
    for counter in ("handshakes_admitted", "messages_hellos"):
        assert after[counter] == before[counter], counter


def test_a_connection_that_was_kept_ready_without_a_hello_opens_no_session_after_the_removal(
    attacked: Fleet, evil: MakeEvil
) -> None:
    """Both sockets are admitted by ZAP before the removal; what they say afterwards must be judged anew."""
    minion, link = joined(attacked, evil, "evil")
    spare = minion.connect(topic=b"elsewhere")
    spare.send(Heartbeat(1, 0, 0, 0, 0))
    minion.expect(spare, Rejoin)
    attacked.change_keys("delete", "evil")
    spare.send(minion.hello_message())
    spare.publish.subscribe(b"fleet")
    wait_for(spare, lambda: spare.lost >= 2, "the spare connections to be shut down as well")
    for target in ("*", "web-1", "*"):
        assert attacked.exit_code(target, "test.echo", "CANARY-spare") == 0
    spare.pump(50)
    link.pump()
    late = [message for message in spare.messages if isinstance(message, Welcome | Renewal | JobOrder)]
    assert late == []
    assert b"CANARY-spare" not in minion.read_everything()
    assert "evil" not in attacked.rows()


def test_an_old_connection_is_worth_nothing_when_another_key_takes_the_id(attacked: Fleet, evil: MakeEvil) -> None:
    old, _ = joined(attacked, evil, "evil")
    spare = old.connect(topic=b"elsewhere")
    spare.send(Heartbeat(1, 0, 0, 0, 0))
    old.expect(spare, Rejoin)
    attacked.change_keys("delete", "evil")
    new, link = joined(attacked, evil, "evil")
    spare.send(old.hello_message())
    jid = attacked.submit("evil", "test.echo", "CANARY-id")
    new.wait_for_job(link, jid)
    link.send(make_return(jid, b"right"))
    assert attacked.wait_for_state(jid, "evil", "succeeded")["value"] == "right"
    assert b"CANARY-id" not in old.read_everything()
    assert not [message for message in spare.messages if isinstance(message, Welcome)]


def test_rejecting_a_key_has_the_effect_of_deleting_it(attacked: Fleet, evil: MakeEvil) -> None:
    minion, link = joined(attacked, evil, "evil")
    jid = attacked.submit("evil", "test.ping")
    minion.wait_for_job(link, jid)
    attacked.ok("fleet-key", "-r", "evil", "-y")
    wait_for(link, lambda: link.lost >= 2, "both connections to be shut down")
    assert attacked.record(jid)["returns"]["evil"]["state"] == JobState.ABANDONED
    again = minion.connect()
    assert again.proven == 0
    attacked.change_keys("delete", "evil")


def test_removals_within_a_second_share_one_renewal(attacked: Fleet, evil: MakeEvil) -> None:
    for name in ("evil-1", "evil-2", "evil-3"):
        evil(name).join()
    before = attacked.counters()["epoch_renewals"]
    attacked.ok("fleet-key", "-d", "evil-*", "-y")
    wait_until(lambda: attacked.counters()["epoch_renewals"] > before, 5, "a new epoch")
    assert attacked.exit_code("*", "test.ping") == 0
    assert attacked.counters()["epoch_renewals"] == before + 1
