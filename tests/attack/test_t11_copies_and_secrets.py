"""T11: copied keys, shared folders and loose modes are found; secrets are nowhere but in the one file that is theirs."""

import base64
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from fleet.core.from_master import JobOrder, Welcome
from fleet.core.from_minion import Heartbeat
from fleet.keys.identity import load_or_create_minion
from support.evil import EvilMinion, now_us
from support.fleet import Fleet
from support.sharing import added
from support.wait import wait_until

from .conftest import MakeEvil


def test_two_machines_with_one_key_are_found_and_neither_gets_jobs(attacked: Fleet) -> None:
    """A cloned disk: both are honest, and both go on speaking."""
    listener = attacked.events("fleet/minion/*", "--out", "jsonl")
    with added(attacked, "web-3"):
        attacked.minions["web-3"].stop()
        copy = attacked.minion_root("copy")
        shutil.copytree(attacked.minion_root("web-3"), copy)
        attacked.minions["web-3"].start()
        attacked.start_minion("copy", id="web-3")
        listener.wait_for_log("fleet/minion/web-3/conflict", 20)
        assert "two machines speak with the key of web-3" in attacked.master.log()
        for target in ("web-3", "*"):
            done = attacked.run("fleet", target, "cmd.run", "echo ran >> $FLEET_ROOT/ran", "-t", "3")
            assert done.code != 0
            assert "two machines speak with the key" in done.stdout + done.stderr
        assert [root for root in (copy, attacked.minion_root("web-3")) if (root / "ran").exists()] == []
        assert (attacked.minion_root("web-2") / "ran").read_text() == "ran\n"
        assert "two machines" in attacked.run("fleet", "minions").stderr
        assert "two machines" in attacked.json("fleet", "minions")["web-3"]["conflict"]
        attacked.minions.pop("copy").stop()
        attacked.change_keys("delete", "web-3")
        attacked.accept("web-3")
        wait_until(lambda: attacked.exit_code("web-3", "test.ping", seconds=2) == 0, 20, "web-3 to get jobs again")
    listener.stop()


def test_the_older_of_two_sessions_is_noticed_when_it_speaks_on(attacked: Fleet, evil: MakeEvil) -> None:
    first = evil("twin")
    second = EvilMinion("twin", attacked.enrol_port, first.secret)
    with second:
        second.enrol()
        older, newer = first.join(), second.join()

        def is_found() -> bool:
            for link in (older, newer):
                link.send(Heartbeat(now_us(), 0, 0, 0, 0))
                link.pump(20)
            return "two machines speak with the key of twin" in attacked.master.log()

        wait_until(is_found, 10, "the conflict to be found")
        attacked.run("fleet", "twin", "test.echo", "CANARY-twin", "-t", "1")
        for link in (older, newer):
            link.pump(50)
            assert not [message for message in link.messages if isinstance(message, JobOrder)]
        assert attacked.master.log().count("two machines speak with the key of twin") == 1


@pytest.mark.parametrize("daemon", ["fleet-master", "fleet-minion"])
def test_a_second_daemon_in_a_state_folder_is_refused(attacked: Fleet, daemon: str) -> None:
    root = attacked.master_root if daemon == "fleet-master" else attacked.minion_root("web-1")
    done = attacked.run(daemon, root=root, seconds=15)
    assert done.code == 1
    assert "is used by process" in done.stderr
    assert attacked.answers("web-1", "test.ping") == {"web-1": True}


def state(root: Path, daemon: str) -> Path:
    return root / "var/lib/fleet" / daemon.removeprefix("fleet-")


@pytest.mark.parametrize("daemon", ["fleet-master", "fleet-minion"])
@pytest.mark.parametrize("what", ["folder", "key", "link", "owner"])
def test_what_others_could_have_read_or_changed_is_refused(fleet: Fleet, daemon: str, what: str) -> None:
    root = fleet.master_root if daemon == "fleet-master" else fleet.minion_root("web-1")
    folder = state(root, daemon)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = folder / f"{daemon.removeprefix('fleet-')}.key"
    if daemon == "fleet-minion":
        load_or_create_minion(folder)
    else:
        from fleet.keys.identity import load_or_create_master

        load_or_create_master(folder)
    if what == "owner" and os.getuid() != 0:
        pytest.skip("only root can give a file away")
    if what == "folder":
        folder.chmod(0o755)
    elif what == "key":
        name.chmod(0o644)
    elif what == "link":
        name.rename(root / "elsewhere")
        name.symlink_to(root / "elsewhere")
    else:
        os.chown(name, 65534, 65534)
    (root / "etc/fleet").mkdir(parents=True, exist_ok=True)
    if daemon == "fleet-master":
        fleet.configure_master()
    else:
        (root / "etc/fleet/minion.yaml").write_text(f"id: web-1\nmaster: 127.0.0.1:{fleet.enrol_port}\n")
    done = fleet.run(daemon, root=root, seconds=15)
    assert done.code == 1, str(done)
    assert str(folder) in done.stderr
    assert "Traceback" not in done.stderr


def forms(secret: bytes) -> Iterable[bytes]:
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield base64.b64encode(secret).rstrip(b"=")
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")
    yield repr(secret).encode()[2:-1]


def test_no_secret_is_in_any_log_output_or_process_list_at_the_level_debug(fleet: Fleet) -> None:
    fleet.master.words = (*fleet.master.words, "-l", "debug")
    fleet.configure_master(heartbeat_seconds=0.5)
    fleet.restart_master()
    fleet.start_minion("web-1", log_level="debug")
    fleet.accept("web-1")
    with EvilMinion("witness", fleet.enrol_port) as minion:
        minion.enrol()
        fleet.change_keys("accept", "witness")
        minion.enrol()
        link = minion.join()
        for _ in range(3):
            link.request.send(b"\x01\x03" + link.token + b"\xc1")
        printed = "".join(
            str(fleet.run(*words))
            for words in (("fleet", "web-1", "test.ping"), ("fleet", "status", "--out", "json"), ("fleet-key", "-L"))
        )
        welcome = minion.expect(link, Welcome)
        secrets = [welcome.broadcast_key, welcome.token]
    for root, daemon in ((fleet.master_root, "fleet-master"), (fleet.minion_root("web-1"), "fleet-minion")):
        record = (state(root, daemon) / f"{daemon.removeprefix('fleet-')}.key").read_text()
        secrets += [bytes.fromhex(word) for word in record.split() if len(word) == 64 and is_hex(word)]
    assert len(secrets) == 5
    command_lines = [
        Path(f"/proc/{daemon.pid}/{name}").read_bytes()
        for daemon in (fleet.master, fleet.minions["web-1"])
        for name in ("cmdline", "environ")
    ]
    said = [fleet.master.whole_log(), fleet.minions["web-1"].whole_log(), printed.encode(), *command_lines]
    own = {"master.key", "minion.key"}
    kept = [file.read_bytes() for file in fleet.folder.rglob("*") if file.is_file() and file.name not in own]
    for secret in secrets:
        for form in forms(secret):
            assert not [text for text in (*said, *kept) if form in text]


def is_hex(word: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in word)
