"""Damaged, foreign and missing files, wrong settings, taken ports and sockets: refused with a reason, and nothing is lost."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from support.fleet import MASTER_READY, Fleet
from support.loaded import Loaded
from support.sharing import put_right
from support.wait import wait_until

MASTER_FILES = ("master.key", "keys.sqlite", "jobs.sqlite")
MINION_FILES = ("minion.key", "master.pin", "journal")


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    # The journal heals what a kill can do to its last entry; its first bytes are written at once.
    file.write_bytes(file.read_bytes()[: 20 if file.name == "journal" else file.stat().st_size // 2])


def fill_with_garbage(file: Path) -> None:
    file.write_bytes(os.urandom(5_000))


def open_to_all(file: Path) -> None:
    file.chmod(0o666)


def open_to_the_group(file: Path) -> None:
    file.chmod(0o640)


def replace_by_a_link(file: Path) -> None:
    elsewhere = file.parent.parent / "elsewhere"
    file.replace(elsewhere)
    file.symlink_to(elsewhere)


def replace_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def replace_by_a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def give_away(file: Path) -> None:
    os.chown(file, 65_534, 65_534)


DAMAGES: dict[Callable[[Path], None], str] = {
    empty: "damaged|is no file of fleet|is no journal",
    cut: "damaged",
    fill_with_garbage: "damaged|is no file of fleet",
    open_to_all: "is open to other accounts (mode 0666)",
    open_to_the_group: "is open to other accounts (mode 0640)",
    replace_by_a_link: "symbolic link",
    replace_by_a_folder: "is no regular file",
    replace_by_a_pipe: "is no regular file",
    give_away: "belongs to the account with uid 65534",
}


@pytest.fixture(scope="module")
def lasting_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and a minion, for ``whole``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.grow("web-1")
        yield shared


@pytest.fixture
def whole(lasting_pair: Fleet) -> Fleet:
    """A master and a minion that run and answer; a test that damages files of theirs puts back what they were."""
    put_right(lasting_pair)
    return lasting_pair


@pytest.mark.parametrize(("command", "names"), [("fleet-master", MASTER_FILES), ("fleet-minion", MINION_FILES)])
def test_no_damaged_or_foreign_file_of_state_is_used_or_overwritten(
    whole: Fleet, loaded: Mapping[str, Loaded], command: str, names: tuple[str, ...]
) -> None:
    jid = whole.submit("web-1", "cmd.run", "echo kept")
    whole.wait_for_job(jid)
    daemon = whole.master if command == "fleet-master" else whole.minions["web-1"]
    root = whole.master_root if command == "fleet-master" else whole.minion_root("web-1")
    daemon.stop()
    folder = root / "var/lib/fleet" / command.removeprefix("fleet-")
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    for place, name in enumerate(names):
        for number, (damage, words) in enumerate(DAMAGES.items()):
            # What is in a file is read by code of its own; how it lies there is looked at by the same code for all of them, so
            # each way is tried with one of them.
            if damage not in {empty, fill_with_garbage} and number % len(names) != place:
                continue
            if damage is give_away and os.geteuid() != 0:
                continue
            damage(folder / name)
            try:
                status = (folder / name).lstat()
                done = loaded[command].run(whole.environment(root))
                what = f"{damage.__name__} {name}: {done}"
                assert done.code == 1, what
                assert str(folder / name) in done.stderr, what
                assert any(word in done.stderr for word in words.split("|")), what
                assert "\nhint: " in done.stderr, what
                assert "Traceback" not in done.stderr, what
                after = (folder / name).lstat()
                assert (after.st_ino, after.st_size, after.st_mode) == (status.st_ino, status.st_size, status.st_mode)
            finally:
                shutil.rmtree(folder)
                shutil.copytree(copy, folder)
    put_right(whole)
    assert whole.record(jid)["returns"]["web-1"]["value"] == "kept"
    assert whole.answers("web-1", "test.ping") == {"web-1": True}


def test_a_journal_that_was_cut_in_its_last_entry_is_healed_and_told(whole: Fleet) -> None:
    assert whole.answers("web-1", "cmd.run", "true") == {"web-1": ""}
    minion = whole.minions["web-1"]
    minion.stop()
    journal = whole.minion_root("web-1") / "var/lib/fleet/minion/journal"
    os.truncate(journal, journal.stat().st_size - 3)
    whole.restart_minion("web-1")
    assert "the journal ended in the middle of an entry" in minion.log()
    assert whole.answers("web-1", "cmd.run", "echo on") == {"web-1": "on"}


# Settings


WRONG_MASTER = {
    "interface: [a": ("line 2, column 1", "`name: value`"),
    "publish_prot: 1": ("there is no setting 'publish_prot'; did you mean publish_port?", "the settings are"),
    "publish_port: many": ("publish_port: expected", "publish_port:"),
    "interface: [a]": ("interface: expected text", "interface:"),
    "publish_port: 5000\nenrol_port: 5000": ("publish_port and enrol_port are both 5000", "a number of its own"),
    "interface: nosuch": ("this machine has no such address", "`ip address`"),
    "interface: '[::1]'": ("this machine has no such address", "without port and brackets"),
    'interface: "a\\0b"': ("'a\\x00b'", "`ip address`"),
}
WRONG_MINION = {
    "master: []": ("no master is named", "set `master: NAME`"),
    "master: 'a b'": ("'a b' is no address", "HOST:PORT"),
    "master: 127.0.0.1:99999": ("a port is a number from 1 to 65535", "HOST:PORT"),
    "id: ../etc": ("id", ""),
    "master_fingerprint: abc": ("'abc' is no fingerprint", "fleet-master --fingerprint"),
    "grains: 5": ("grains: expected keys and values", "grains:"),
    "spool_jobs_limit: -1": ("expected 1 to 4000, got '-1'", "spool_jobs_limit:"),
}


@pytest.mark.parametrize(("command", "wrong"), [("fleet-master", WRONG_MASTER), ("fleet-minion", WRONG_MINION)])
def test_a_wrong_setting_is_named_with_its_place_and_a_hint(
    fleet: Fleet, loaded: Mapping[str, Loaded], command: str, wrong: dict[str, tuple[str, str]]
) -> None:
    file = fleet.master_root / "etc/fleet" / f"{command.removeprefix('fleet-')}.yaml"
    file.parent.mkdir(parents=True)
    for text, (error, hint) in wrong.items():
        file.write_text(text + "\n")
        done = loaded[command].run(fleet.environment())
        assert done.code in {1, 2}, f"{text}: {done}"
        assert error in done.stderr, f"{text}: {done}"
        assert f"{command}: error: " in done.stderr
        assert hint in done.stderr.partition("\nhint: ")[2], f"{text}: {done}"
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "words"), [("fleet-master", ()), ("fleet-minion", ()), ("fleet", ("status",)), ("fleet-key", ("-L",))]
)
def test_a_folder_or_a_pipe_is_no_configuration_file(fleet: Fleet, command: str, words: tuple[str, ...]) -> None:
    name = {"fleet": "client", "fleet-key": "client"}.get(command, command.removeprefix("fleet-"))
    file = fleet.master_root / f"etc/fleet/{name}.yaml"
    file.mkdir(parents=True)
    done = fleet.run(command, *words, seconds=20)
    assert (done.code, f"{file}: cannot be read: Is a directory" in done.stderr) == (1, True), str(done)
    assert "hint: it is a folder: move it away, or name the file with -c" in done.stderr
    file.rmdir()
    os.mkfifo(file)
    done = fleet.run(command, *words, seconds=20)
    assert (done.code, f"{file}: is a pipe" in done.stderr) == (1, True), str(done)


# Ports and sockets


def test_a_taken_port_is_named_with_the_command_that_finds_its_holder(
    fleet: Fleet, loaded: Mapping[str, Loaded]
) -> None:
    fleet.configure_master()
    ports = {"publish": fleet.publish_port, "request": fleet.request_port, "enrol": fleet.enrol_port}
    for name, port in ports.items():
        with socket.create_server(("127.0.0.1", port)):
            done = loaded["fleet-master"].run(fleet.environment())
        assert done.code == 1, str(done)
        assert f"port {port} on 127.0.0.1 is in use by another process" in done.stderr
        assert f"ss -ltnp 'sport = :{port}'" in done.stderr
        assert f"`{name}_port` in master.yaml" in done.stderr
    fleet.restart_master()


def test_what_lies_in_the_place_of_the_control_socket_is_replaced_only_when_it_was_left_behind(
    fleet: Fleet, loaded: Mapping[str, Loaded]
) -> None:
    path = fleet.master_root / "run/fleet/master.sock"
    path.parent.mkdir(parents=True)
    fleet.configure_master()
    for make, remove in ((path.touch, path.unlink), (path.mkdir, path.rmdir)):
        make()
        done = loaded["fleet-master"].run(fleet.environment())
        assert (done.code, f"{path} is no socket" in done.stderr) == (1, True), str(done)
        assert "hint: look who made it, then remove it" in done.stderr
        done = fleet.run("fleet", "status")
        assert (done.code, f"{path} is no socket" in done.stderr) == (1, True), str(done)
        assert path.exists()
        remove()
    with socket.socket(socket.AF_UNIX) as another:
        another.bind(str(path))
        another.listen()
        done = loaded["fleet-master"].run(fleet.environment())
        assert (done.code, "another master listens on" in done.stderr) == (1, True), str(done)
    done = fleet.run("fleet", "status")
    assert (done.code, "left behind by one that was killed" in done.stderr) == (1, True), str(done)
    assert "hint: start it with fleet-master" in done.stderr
    fleet.restart_master()
    assert stat.S_ISSOCK(path.lstat().st_mode)
    assert fleet.client().status().pid == fleet.master.pid
    path.parent.chmod(0o777)
    fleet.master.stop()
    done = loaded["fleet-master"].run(fleet.environment())
    assert (done.code, "is open to other accounts (mode 0777" in done.stderr) == (1, True), str(done)
    assert f"chmod 0755 {path.parent}" in done.stderr


def test_a_master_that_fails_in_the_background_shows_why(fleet: Fleet) -> None:
    fleet.configure_master()
    with socket.create_server(("127.0.0.1", fleet.request_port)):
        done = fleet.run("fleet-master", "-d", seconds=20)
    assert (done.code, "is in use by another process" in done.stderr) == (1, True), str(done)
    assert MASTER_READY not in done.stderr
    wait_until(lambda: not (fleet.master_root / "run/fleet/fleet-master.pid").exists(), 5, "no pid file")
