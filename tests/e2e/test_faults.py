"""Processes that stop, die and come back: nothing is silent, nothing is lost, nothing runs twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fleet import Fleet
from support.sharing import do_answer, put_right, states_of
from support.wait import wait_until

TEN = tuple(f"web-{number:02}" for number in range(1, 11))
THREE_MORE = tuple(f"node-{number:02}" for number in range(11, 14))


@pytest.fixture(scope="module")
def all_thirteen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and thirteen minions, for ``thirteen``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        for minion in (*TEN, *THREE_MORE):
            shared.start_minion(minion)
        shared.accept_all()
        yield shared


@pytest.fixture
def thirteen(all_thirteen: Fleet) -> Fleet:
    """Thirteen minions that answer; ten of them are called ``web-…``."""
    put_right(all_thirteen)
    return all_thirteen


@pytest.fixture(scope="module")
def lasting_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and three minions, for ``running``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.grow("web-1", "web-2", "db-1")
        yield shared


@pytest.fixture
def running(lasting_three: Fleet) -> Fleet:
    """A master and three minions that run and answer, whatever other tests ended."""
    put_right(lasting_three)
    return lasting_three


def wait_until_down(fleet: Fleet, minion: str) -> None:
    wait_until(lambda: states_of(fleet)[minion] == "down", 20, f"{minion} to be down")


def test_one_stopped_minion_of_ten_is_named_with_its_reason_and_its_late_return_arrives(thirteen: Fleet) -> None:
    thirteen.minions["web-07"].pause()
    done = thirteen.run("fleet", "web-*", "cmd.run", "echo here", "--out", "json", "--show-jid")
    thirteen.minions["web-07"].resume()

    assert done.code == 12, str(done)
    assert "web-07" not in done.stdout
    assert all(f'"{minion}": "here"' in done.stdout for minion in TEN if minion != "web-07")
    line = next(line for line in done.stderr.splitlines() if "web-07" in line)
    assert "did not acknowledge" in line
    late = thirteen.wait_for_state(thirteen.record()["jid"], "web-07", "succeeded")
    assert late["value"] == "here"


def test_a_minion_that_is_down_is_named_with_the_moment_since_when(running: Fleet) -> None:
    running.minions["web-2"].stop()
    wait_until_down(running, "web-2")
    done = running.run("fleet", "*", "test.ping")
    assert done.code == 12
    assert any("web-2" in line and "down since" in line for line in (done.stdout + done.stderr).splitlines()), str(done)

    joined = running.rows()["web-1"]["since"]
    running.master.stop()
    running.minions["web-1"].stop()
    running.restart_master()
    row = running.rows()["web-1"]
    assert (row["state"], row["since"]) == ("down", None), "this master was not there when it went"
    assert row["last_seen"] > joined, "what was heard after it had joined is kept over a restart of the master"
    done = running.run("fleet", "ping", "web-1", "-n", "1")
    assert done.stdout.startswith("No reply from web-1: not seen since this master's start; last heard 20"), str(done)


def test_a_job_for_a_minion_that_is_away_waits_for_its_time_to_live_and_then_expires(running: Fleet) -> None:
    running.minions["web-1"].stop()
    wait_until_down(running, "web-1")
    waits = running.submit("web-1", "cmd.run", "echo back >> $FLEET_ROOT/ran-late", "--ttl", "1h")
    expires = running.submit("web-1", "cmd.run", "echo expired >> $FLEET_ROOT/ran-late", "--ttl", "0.1")
    running.wait_for_state(expires, "web-1", "expired")
    running.restart_minion("web-1")
    running.wait_for_state(waits, "web-1", "succeeded")
    assert (running.minion_root("web-1") / "ran-late").read_text() == "back\n"


@pytest.mark.parametrize("is_back_before_the_end", [True, False])
def test_a_master_killed_while_a_job_runs_has_its_results_once(
    running: Fleet, tmp_path: Path, is_back_before_the_end: bool
) -> None:
    gate = tmp_path / "gate"
    ran = f"ran-{is_back_before_the_end}"
    command = f"echo $$ >> $FLEET_ROOT/{ran}; until test -e {gate}; do sleep 0.05; done; echo done"
    jid = running.submit("*", "cmd.run", command)
    for minion in running.minions:
        running.wait_for_state(jid, minion, "running")
    running.master.kill()
    if is_back_before_the_end:
        running.restart_master()
    gate.touch()
    if not is_back_before_the_end:
        running.restart_master()
    job = running.wait_for_job(jid)
    assert {minion: result["value"] for minion, result in job["returns"].items()} == dict.fromkeys(
        running.minions, "done"
    )
    for minion in running.minions:
        assert len((running.minion_root(minion) / ran).read_text().split()) == 1, f"{minion} ran it once"
    assert [str(listed.jid) for listed in running.client().jobs(0).jobs].count(jid) == 1


def test_a_minion_killed_while_a_job_runs_delivers_its_return_afterwards(running: Fleet, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    command = (
        f"echo $$ >> $FLEET_ROOT/ran-killed; echo early; until test -e {gate}; do sleep 0.05; done; echo late; exit 5"
    )
    jid = running.submit("web-1", "cmd.run", command)
    running.wait_for_state(jid, "web-1", "running")
    running.minions["web-1"].kill()
    gate.touch()
    running.restart_minion("web-1")
    result = running.wait_for_state(jid, "web-1", "failed")
    assert (result["stdout"], result["retcode"]) == ("early\nlate\n", 5)
    assert len((running.minion_root("web-1") / "ran-killed").read_text().split()) == 1


def test_a_return_that_the_minion_could_not_deliver_survives_its_restart(running: Fleet, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    jid = running.submit(
        "web-1", "cmd.run", f"until test -e {gate}; do sleep 0.05; done; touch {gate}.ended; echo kept"
    )
    running.wait_for_state(jid, "web-1", "running")
    running.master.kill()
    gate.touch()
    wait_until((tmp_path / "gate.ended").exists, 10, "the job to end")
    running.minions["web-1"].kill()
    running.restart_master()
    running.restart_minion("web-1")
    assert running.wait_for_state(jid, "web-1", "succeeded")["value"] == "kept"


def test_a_master_that_was_away_is_found_again_by_every_minion(running: Fleet) -> None:
    running.master.stop()
    running.restart_master()
    wait_until(lambda: do_answer(running, "*"), 30, "all minions to answer")

    def is_waited_for() -> bool:
        running.master.stop()
        running.restart_master()
        return running.run("fleet", "*", "test.ping").code == 0

    # Without a word of who is silent, at the first moment; on a machine that is busy they may come back too late.
    assert any(is_waited_for() for _ in range(3))


@pytest.mark.parametrize(
    ("target", "minions"), [("web-*", TEN), ("*", (*THREE_MORE, *TEN))], ids=["ten of them", "all thirteen"]
)
def test_one_command_line_is_answered_by_all_or_by_those_that_it_means(
    thirteen: Fleet, target: str, minions: tuple[str, ...]
) -> None:
    broadcasts = thirteen.client().status().counters["sent_broadcasts"]
    assert thirteen.json("fleet", target, "cmd.run", "echo $((6 * 7))") == dict.fromkeys(minions, "42")
    assert thirteen.answers(target, "test.echo", "1.10") == dict.fromkeys(minions, "1.10")
    up = thirteen.answers(target, "cmd.run", "uptime")
    assert set(up) == set(minions)
    assert all("load average" in answer for answer in up.values())
    sent = thirteen.client().status().counters["sent_broadcasts"] - broadcasts
    if target == "*":
        assert sent >= 3, "one broadcast, not thirteen sends"
    else:
        assert sent == 0, "what is for ten goes to no other"
