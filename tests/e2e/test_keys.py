"""Who may join: keys wait until somebody compares and accepts them, and a key that is gone obeys nothing."""

import json
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from fleet.client.documents import keys_document
from fleet.client.key_options import STATES
from support.fleet import MINION_READY, Fleet
from support.loaded import Loaded
from support.sharing import check_that_none_has_crashed, do_answer, remove_minions
from support.wait import wait_until

THREE = ("web-1", "web-2", "db-1")


def keys_of(fleet: Fleet) -> dict[str, dict[str, Any]]:
    """Return what ``fleet-key -L`` would say, without starting it: by state, by id."""
    document: Any = keys_document(fleet.client().keys().keys, STATES)
    keys: dict[str, dict[str, Any]] = document
    return keys


@pytest.fixture(scope="module")
def pending_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and three minions, for ``waiting``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        for minion in THREE:
            shared.start_minion(minion)
        yield shared


@pytest.fixture
def waiting(pending_three: Fleet) -> Iterator[Fleet]:
    """A master, and three minions whose keys are pending, whatever other tests decided; they have no log yet."""
    if not pending_three.master.is_running:
        pending_three.restart_master()
    for daemon in pending_three.minions.values():
        daemon.resume()
    decided = [key.minion for key in pending_three.client().keys().keys if key.state != "pending"]
    pending_three.change_keys("delete", *decided)
    pending_three.wait_until_pending(THREE)
    for daemon in pending_three.minions.values():
        daemon.forget_log()
    yield pending_three
    remove_minions(pending_three, *(pending_three.minions.keys() - set(THREE)))
    check_that_none_has_crashed(pending_three)


def test_a_new_minion_waits_says_how_to_accept_it_and_joins_without_a_restart(fleet: Fleet) -> None:
    fleet.start_master()
    events = fleet.events("*", "--out", "jsonl")
    daemon = fleet.start_minion("web-1")
    fleet.wait_until_pending(["web-1"])
    fingerprint = keys_of(fleet)["pending"]["web-1"][0]

    daemon.wait_for_log("fleet-key -a web-1")
    waiting_line = next(line for line in daemon.log().splitlines() if "fleet-key -a web-1" in line)
    assert fingerprint in daemon.log()
    assert re.search(r"again|retry|wait", daemon.log(), re.IGNORECASE), waiting_line
    events.wait_for_log(fingerprint)
    request = next(json.loads(line) for line in events.log().splitlines() if fingerprint in line)
    assert "web-1" in json.dumps(request)
    assert keys_of(fleet)["accepted"] == {}, "nobody is accepted by himself"
    assert fleet.run("fleet", "*", "test.ping").code == 3
    assert "fleet-key -a web-1" in fleet.master.log()

    pid = daemon.pid
    assert fleet.ok("fleet-key", "-a", "web-1", "-y") == "Key for minion web-1 accepted.\n"
    daemon.wait_for_log(MINION_READY)
    assert daemon.is_running
    assert daemon.pid == pid
    master_fingerprint = fleet.ok("fleet-master", "--fingerprint").split()[-1]
    success = [line for line in daemon.log().splitlines() if master_fingerprint in line and "127.0.0.1" in line]
    assert success, daemon.log()
    assert fleet.keys()["accepted"] == {"web-1": fingerprint}
    events.stop()


def test_a_list_of_keys_always_has_all_four_sections_sorted_with_fingerprints(waiting: Fleet) -> None:
    out = waiting.ok("fleet-key", "-L")
    places = [out.index(title) for title in ("Accepted", "Pending", "Rejected", "Denied")]
    assert len(places) == 4
    rows = re.findall(r"^\s+(\S+)\s.*", out, re.MULTILINE)
    minions = [row for row in rows if row in waiting.minions]
    assert minions == ["db-1", "web-1", "web-2"]
    for fingerprints in keys_of(waiting)["pending"].values():
        assert fingerprints[0] in out
    words = waiting.ok("fleet-key", "list")
    assert words == out


def test_accepting_all_lists_them_and_asks_and_no_changes_nothing(waiting: Fleet) -> None:
    asked = waiting.run("fleet-key", "-A", stdin="n\n")
    for minion, fingerprints in keys_of(waiting)["pending"].items():
        assert minion in asked.stdout + asked.stderr
        assert fingerprints[0] in asked.stdout + asked.stderr
    assert set(keys_of(waiting)["pending"]) == {"web-1", "web-2", "db-1"}

    done = waiting.run("fleet-key", "-A", stdin="y\n")
    assert done.code == 0
    accepted = [line for line in done.stdout.splitlines() if line.endswith("accepted.")]
    assert [line.partition("Key for")[2] for line in accepted] == [
        f" minion {minion} accepted." for minion in ("db-1", "web-1", "web-2")
    ]
    waiting.wait_until_ready()


def test_accepting_all_asks_nothing_with_y(waiting: Fleet) -> None:
    done = waiting.run("fleet-key", "-A", "-y")
    assert (done.code, done.stdout.count("accepted.")) == (0, 3)
    waiting.wait_until_ready()
    assert waiting.answers("*", "test.ping") == {"db-1": True, "web-1": True, "web-2": True}


def test_one_key_is_accepted_and_the_others_stay(waiting: Fleet) -> None:
    waiting.accept("web-1")
    assert set(keys_of(waiting)["accepted"]) == {"web-1"}
    assert set(keys_of(waiting)["pending"]) == {"web-2", "db-1"}
    assert waiting.answers("*", "test.ping") == {"web-1": True}


def test_a_wrong_fingerprint_changes_nothing(waiting: Fleet) -> None:
    keys = keys_of(waiting)
    other = keys["pending"]["web-2"][0]
    done = waiting.run("fleet-key", "-a", "web-1", "--fingerprint", other)
    assert done.code != 0
    assert keys_of(waiting) == keys
    right = keys["pending"]["web-1"][0]
    assert waiting.ok("fleet-key", "-a", "web-1", "--fingerprint", right, "-y") == "Key for minion web-1 accepted.\n"


def test_both_sides_show_the_same_fingerprints(waiting: Fleet, loaded: Mapping[str, Loaded]) -> None:
    for minion, fingerprints in keys_of(waiting)["pending"].items():
        shown = loaded["fleet-minion"].run(waiting.environment(waiting.minion_root(minion)), "--fingerprint")
        assert fingerprints[0] in shown.stdout
    shown = loaded["fleet-master"].run(waiting.environment(), "--fingerprint")
    assert shown.stdout.split()[-1] in waiting.ok("fleet-key", "-F")


def test_keys_are_made_at_the_first_start_readable_by_their_owner_alone(
    fleet: Fleet, loaded: Mapping[str, Loaded]
) -> None:
    for daemon in ("fleet-master", "fleet-minion"):
        done = loaded[daemon].run(fleet.environment(), "--fingerprint")
        assert (done.code, done.stdout) == (1, "")
        assert "there is no key in" in done.stderr
        assert f"the first start of {daemon} makes it" in done.stderr
        assert not (fleet.master_root / "var").exists(), "who asks makes nothing"
    fleet.start_master()
    fingerprint = fleet.ok("fleet-master", "--fingerprint")
    assert loaded["fleet-master"].run(fleet.environment(), "--fingerprint").stdout == fingerprint
    state = fleet.master_root / "var/lib/fleet/master"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "master.key").stat().st_mode & 0o777 == 0o600
    public = {state / "master.pub"}
    others = [file for file in state.rglob("*") if file.is_file() and file not in public]
    assert [file for file in others if file.stat().st_mode & 0o077] == []


def test_keys_are_accepted_with_the_master_down(waiting: Fleet) -> None:
    waiting.master.stop()
    assert set(waiting.keys()["pending"]) == {"web-1", "web-2", "db-1"}
    assert waiting.ok("fleet-key", "-a", "web-*", "-y").splitlines() == [
        "Key for minion web-1 accepted.",
        "Key for minion web-2 accepted.",
    ]
    waiting.restart_master()
    waiting.wait_until_ready(["web-1", "web-2"])
    assert waiting.answers("*", "test.ping") == {"web-1": True, "web-2": True}


def test_a_second_machine_with_the_same_id_is_denied_and_the_first_keeps_its_place(waiting: Fleet) -> None:
    waiting.accept("web-1")
    key = keys_of(waiting)["accepted"]["web-1"]
    second = waiting.start_minion("other", id="web-1")
    wait_until(lambda: "web-1" in keys_of(waiting)["denied"], 20, "a denied key")
    keys = keys_of(waiting)
    assert keys["accepted"] == {"web-1": key}
    assert keys["denied"]["web-1"] != [key]
    second.wait_for_log("the master denies the key of web-1")
    assert waiting.answers("*", "cmd.run", "echo $FLEET_ROOT") == {"web-1": str(waiting.minion_root("web-1"))}
    assert second.is_running, "it keeps trying, because the operator may decide for it"


def test_a_deleted_key_obeys_nothing_from_that_moment(waiting: Fleet) -> None:
    waiting.accept("web-1", "web-2")
    gate = waiting.folder / "gate"
    running = waiting.submit("*", "cmd.run", f"until test -e {gate}; do sleep 0.1; done")
    for minion in ("web-1", "web-2"):
        waiting.wait_for_state(running, minion, "running")
    waiting.minions["web-1"].pause()
    waiting.ok("fleet-key", "-d", "web-1", "-y")
    assert waiting.record(running)["returns"]["web-1"]["state"] == "abandoned"
    assert waiting.run("fleet", "web-1", "cmd.run", "touch $FLEET_ROOT/touched").code == 3
    assert waiting.answers("*", "cmd.run", "touch $FLEET_ROOT/touched") == {"web-2": ""}
    waiting.minions["web-1"].resume()
    waiting.wait_until_pending(["web-1"])
    assert not (waiting.minion_root("web-1") / "touched").exists()
    assert waiting.record(running)["returns"]["web-1"]["state"] == "abandoned", "its word counts no more"
    waiting.client().cancel(running, ["web-2"])
    waiting.wait_for_state(running, "web-2", "cancelled")
    gate.touch()  # No minion may stop what web-1 runs.


def test_a_master_with_another_identity_is_refused_and_the_minion_keeps_trying(fleet: Fleet) -> None:
    fleet.start_master()
    fleet.grow("web-1")
    right = fleet.client().status().fingerprint
    fleet.master.stop()
    state = fleet.master_root / "var/lib/fleet/master"
    state.rename(state.with_name("kept"))
    fleet.restart_master()
    wrong = fleet.client().status().fingerprint
    assert wrong != right
    fleet.minions["web-1"].wait_for_log(wrong)
    assert fleet.minions["web-1"].is_running
    assert keys_of(fleet)["pending"] == {}, "it does not even introduce itself"
    fleet.master.stop()
    shutil.rmtree(state)
    state.with_name("kept").rename(state)
    fleet.restart_master()
    wait_until(lambda: do_answer(fleet, "web-1", 1), 30, "web-1 to be back")


def test_a_minion_with_a_configured_fingerprint_talks_to_that_master_alone(waiting: Fleet) -> None:
    right = waiting.client().status().fingerprint
    waiting.start_minion("sure", master_fingerprint=right)
    waiting.wait_until_pending(["sure"])
    (wrong,) = keys_of(waiting)["pending"]["sure"]
    waiting.start_minion("unsure", master_fingerprint=wrong)
    waiting.minions["unsure"].wait_for_log(right)
    assert set(keys_of(waiting)["pending"]) == {"sure", *THREE}


def test_keys_are_accepted_by_themselves_only_where_that_is_configured(fleet: Fleet) -> None:
    fleet.start_master(auto_accept=True)
    fleet.start_minion("web-1")
    fleet.wait_until_ready()
    assert set(keys_of(fleet)["accepted"]) == {"web-1"}


def test_a_pattern_that_fits_no_key_is_said_so(waiting: Fleet) -> None:
    keys = keys_of(waiting)
    done = waiting.run("fleet-key", "-a", "mail-*", "-y")
    assert done.code != 0
    assert "mail-*" in done.stderr
    assert keys_of(waiting) == keys


def test_interrupting_the_question_changes_nothing(waiting: Fleet) -> None:
    keys = keys_of(waiting)
    done = waiting.run("fleet-key", "-A", stdin="")
    assert done.code not in {0, -signal.SIGSEGV}
    assert keys_of(waiting) == keys


def test_a_rejected_minion_is_told_so_and_gets_nothing(waiting: Fleet) -> None:
    waiting.accept("web-2")
    waiting.ok("fleet-key", "-r", "web-1", "-y")
    assert set(keys_of(waiting)["rejected"]) == {"web-1"}
    waiting.minions["web-1"].wait_for_log("rejected")
    assert waiting.run("fleet", "web-1", "test.ping").code == 3
    assert waiting.run("fleet-key", "-d", "web-*", stdin="\n").code == 1
    assert set(keys_of(waiting)["rejected"]) == {"web-1"}, "a glob asks, and an empty line takes nothing away"
    waiting.ok("fleet-key", "-d", "web-1")
    assert "web-1" not in keys_of(waiting)["rejected"]
