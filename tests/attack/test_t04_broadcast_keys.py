"""T4: the broadcast key is everybody's, so holding it gives no voice; it lives in memory and dies with each removal and each start."""

import base64
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from fleet.core.broadcast import Broadcast, BroadcastKind, BroadcastWindow, seal_broadcast
from fleet.core.crypto import BroadcastKey, SigningKey, VerifyKey
from fleet.core.errors import ProtocolError
from fleet.core.from_master import Renewal, Welcome
from fleet.core.job_document import JobDocument
from fleet.core.packing import decode, encode
from support.evil import EvilMinion, Link, wait_for
from support.fleet import Fleet
from support.wait import wait_until

from .conftest import MakeEvil


def ready(minion: EvilMinion) -> tuple[Link, Welcome]:
    link = minion.join()
    minion.get_ready(link)
    return link, minion.expect(link, Welcome)


def recorded(fleet: Fleet, minion: EvilMinion, link: Link) -> bytes:
    """A broadcast job as it came on the wire."""

    def look() -> bytes | None:
        jid = fleet.submit("*", "test.echo", "recorded")
        minion.wait_for_job(link, jid)
        bodies = [opened.body for opened in minion.opened(link) if opened.kind is BroadcastKind.JOB]
        return link.envelopes[-1] if any(decode(JobDocument, body).jid == jid for body in bodies) else None

    found = wait_until(look, 10, "a job by broadcast")
    assert found is not None
    return found


def key_of(link: Link, envelope: bytes) -> Welcome | Renewal:
    """What this link was told about the epoch of a broadcast."""
    epoch = int.from_bytes(envelope[1:5], "big")
    return next(one for one in link.messages if isinstance(one, Welcome | Renewal) and one.epoch == epoch)


def test_whoever_holds_the_key_can_seal_but_the_others_obey_only_the_master(attacked: Fleet, evil: MakeEvil) -> None:
    """What a minion would open is asked of the same window that it uses: an accepted key cannot publish at all."""
    minion = evil("sealer")
    link, _ = ready(minion)
    recording = recorded(attacked, minion, link)
    assert minion.document is not None
    given = key_of(link, recording)
    master, key = VerifyKey(minion.document.identity), BroadcastKey(given.broadcast_key)

    def other_window() -> BroadcastWindow:
        return BroadcastWindow(given.epoch, key, given.sequence, master)

    opened = other_window().open(recording)
    document = replace(decode(JobDocument, opened.body), words=("rm", "-rf", "/"))
    forged = Broadcast(given.epoch, opened.sequence + 1, BroadcastKind.JOB, opened.jid, 2**62, encode(document))
    own = seal_broadcast(forged, key, SigningKey.from_seed(os.urandom(32)), os.urandom(24))
    with pytest.raises(ProtocolError, match="not signed by the master"):
        other_window().open(own)
    header, nonce = recording[:13], recording[13:37]
    plain = key.open(nonce, header, recording[37:])
    rewritings: list[Callable[[], bytes]] = [
        lambda: _reseal(key, header, plain[:-64] + b"x" + plain[-64:]),
        lambda: _reseal(key, header[:5] + (2**32).to_bytes(8, "big"), plain),
        lambda: _reseal(key, header, b"\x02" + plain[1:]),
        lambda: _reseal(key, header, plain[:1] + bytes(8) + plain[9:]),
    ]
    for rewrite in rewritings:
        with pytest.raises(ProtocolError):
            other_window().open(rewrite())


def _reseal(key: BroadcastKey, header: bytes, plain: bytes) -> bytes:
    nonce = os.urandom(24)
    return header + nonce + key.seal(nonce, header, plain)


def test_a_recorded_broadcast_is_opened_once_in_its_session_and_never_in_another_epoch(
    attacked: Fleet, evil: MakeEvil
) -> None:
    minion, victim = evil("recorder"), evil("victim")
    link, _ = ready(minion)
    recording = recorded(attacked, minion, link)
    assert minion.document is not None
    master = VerifyKey(minion.document.identity)
    given = key_of(link, recording)
    window = BroadcastWindow(given.epoch, BroadcastKey(given.broadcast_key), given.sequence, master)
    window.open(recording)
    with pytest.raises(ProtocolError, match="again or too late"):
        window.open(recording)
    _, next_welcome = ready(victim)
    assert next_welcome.epoch == given.epoch
    later = BroadcastWindow(next_welcome.epoch, BroadcastKey(next_welcome.broadcast_key), next_welcome.sequence, master)
    with pytest.raises(ProtocolError, match="again or too late"):
        later.open(recording)
    renewals = attacked.counters()["epoch_renewals"]
    attacked.change_keys("delete", "victim")
    wait_until(lambda: attacked.counters()["epoch_renewals"] > renewals, 5, "a new epoch")
    _, renewed = ready(evil("victim-2"))
    after = BroadcastWindow(renewed.epoch, BroadcastKey(renewed.broadcast_key), renewed.sequence, master)
    with pytest.raises(ProtocolError):
        after.open(recording)


def test_the_key_changes_with_a_removal_and_a_start_and_is_on_no_disk(attacked: Fleet, evil: MakeEvil) -> None:
    keys = []
    minion = evil("witness")
    link, welcome = ready(minion)
    keys.append(welcome)
    recording = recorded(attacked, minion, link)
    renewals = attacked.counters()["epoch_renewals"]
    evil("leaver").join()
    attacked.change_keys("delete", "leaver")
    wait_until(lambda: attacked.counters()["epoch_renewals"] > renewals, 5, "a new epoch")
    keys.append(ready(minion)[1])
    attacked.master.stop()
    assert_not_on_disk(attacked, [key.broadcast_key for key in keys])
    attacked.restart_master()
    link, welcome = ready(minion)
    keys.append(welcome)
    assert len({key.broadcast_key for key in keys}) == 3
    assert len({key.epoch for key in keys}) == 3
    assert minion.document is not None
    window = BroadcastWindow(
        welcome.epoch, BroadcastKey(welcome.broadcast_key), welcome.sequence, VerifyKey(minion.document.identity)
    )
    with pytest.raises(ProtocolError):
        window.open(recording)
    wait_until(lambda: attacked.exit_code("web-*", "test.ping", seconds=2) == 0, 20, "the honest minions to be back")
    assert_not_on_disk(attacked, [key.broadcast_key for key in keys])


def assert_not_on_disk(fleet: Fleet, secrets: list[bytes]) -> None:
    forms = [form for secret in secrets for form in (secret, secret.hex().encode(), base64.b64encode(secret)[:40])]
    for file in fleet.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(form in content for form in forms), file


def test_a_scheduled_epoch_begins_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Fleet(tmp_path_factory.mktemp("f")) as fleet:
        fleet.start_master(epoch_seconds=1.0)
        with EvilMinion("keeper", fleet.enrol_port) as minion:
            minion.enrol()
            fleet.change_keys("accept", "keeper")
            minion.enrol()
            link = minion.join()
            first = minion.expect(link, Welcome)
            wait_for(link, lambda: any(isinstance(message, Renewal) for message in link.messages), "a renewal")
            renewal = minion.expect(link, Renewal)
            assert (renewal.epoch, renewal.broadcast_key) != (first.epoch, first.broadcast_key)
