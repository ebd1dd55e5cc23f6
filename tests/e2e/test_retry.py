"""Nothing is run again by itself; who asks for it gets the job as it was, on the minions that are meant."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fleet import Fleet
from support.sharing import put_right
from support.wait import wait_until

THREE = ("db-1", "web-1", "web-2")


@pytest.fixture(scope="module")
def lasting_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and three minions, for ``three``."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.grow(*THREE)
        yield shared
        shared.stop_minions()


@pytest.fixture
def three(lasting_three: Fleet) -> Fleet:
    put_right(lasting_three)
    return lasting_three


def noted(fleet: Fleet, name: str) -> list[str]:
    """Which minions have run a job that was told to note it, in order."""
    file = fleet.folder / name
    return file.read_text().splitlines() if file.exists() else []


def noting(fleet: Fleet, name: str, then: str) -> str:
    """A command that notes where it runs, before it does the rest; ``$minion`` is the minion."""
    return f'minion=$(basename "$FLEET_ROOT"); echo "$minion" >> {fleet.folder / name}; {then}'


def test_what_failed_is_run_again_only_when_that_is_asked_and_then_only_there(three: Fleet) -> None:
    is_third = f'test "$(grep -c web-1 {three.folder / "ran"})" -ge 3'
    command = noting(three, "ran", f'test "$minion" != web-1 || {is_third} || exit 3')
    assert three.run("fleet", "-E", "web-.*|db-1", "cmd.run", command).code == 11
    first = three.record()["jid"]
    assert sorted(noted(three, "ran")) == sorted(THREE)
    bare = three.run("fleet", "retry", "last")
    assert bare.code == 2
    assert "nothing is run again by itself" in bare.stderr
    assert "--failed, --silent, --refused, --lost, --all" in bare.stderr
    assert sorted(noted(three, "ran")) == sorted(THREE)

    again = three.run("fleet", "retry", first[-6:], "--failed", "--show-jid")
    assert again.code == 11
    assert f"again on 1 of 3 minions of job {first}: 1 failed" in again.stderr
    second = three.record()
    assert noted(three, "ran")[3:] == ["web-1"]
    assert (second["retry_of"], second["target"], second["target_kind"]) == (first, "web-.*|db-1", "regex")
    assert list(second["returns"]) == ["web-1"]
    third = three.json("fleet", "retry", "last", "--failed")
    assert third == {"web-1": ""}
    assert three.record()["retry_of"] == first, "a chain leads to the first"
    assert f"{first}, on some of its minions" in three.ok("fleet", "jobs", "show", "last")
    nothing = three.run("fleet", "retry", "last", "--failed")
    assert nothing.code == 3
    assert "no minion of job" in nothing.stderr
    assert "1 succeeded" in nothing.stderr
    assert noted(three, "ran")[3:] == ["web-1", "web-1"]


def test_a_lost_job_may_have_run_and_is_meant_by_no_other_word(three: Fleet) -> None:
    is_second = f'test "$(grep -c web-2 {three.folder / "lost"})" -ge 2'
    command = noting(three, "lost", f'test "$minion" != web-2 || {is_second} || exec sleep 60')
    jid = three.submit("web-*", "cmd.run", command)
    wait_until(lambda: len(noted(three, "lost")) == 2, 20, "both to run it")
    pid = three.wait_for_pid(jid, "web-2")
    supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    for each in (supervisor, pid):
        os.kill(each, signal.SIGKILL)
    three.wait_for_state(jid, "web-2", "lost")
    for wrong in ("--failed", "--silent", "--refused"):
        assert three.run("fleet", "retry", jid, wrong).code == 3
    assert len(noted(three, "lost")) == 2

    assert three.json("fleet", "retry", jid, "--lost") == {"web-2": ""}
    assert noted(three, "lost")[2:] == ["web-2"]
    assert three.json("fleet", "retry", jid, "--all", "--minion", "web-1") == {"web-1": ""}
    stranger = three.run("fleet", "retry", jid, "--all", "--minion", "db-1")
    assert (stranger.code, "db-1 is no target of job" in stranger.stderr) == (1, True)


def test_where_it_has_not_ended_it_is_left_out_for_it_may_still_run(three: Fleet) -> None:
    gate = three.folder / "gate"
    command = noting(three, "open", f'test "$minion" = web-1 || until test -e {gate}; do sleep 0.05; done')
    jid = three.submit("web-*", "cmd.run", command)
    three.wait_for_state(jid, "web-1", "succeeded")
    again = three.run("fleet", "retry", jid, "--all")
    gate.touch()
    assert again.code == 0
    assert f"1 has not ended and is left out (fleet jobs cancel {jid[-6:]} stops what still runs)" in again.stderr
    three.wait_for_job(jid)
    assert sorted(noted(three, "open")) == ["web-1", "web-1", "web-2"]


def test_a_job_that_was_never_started_is_run_when_its_minion_is_back_and_its_stdin_is_given_anew(three: Fleet) -> None:
    three.minions["web-2"].stop()
    jid = three.submit("web-2", "cmd.run", "cat", "--ttl", "0.2", stdin=b"what was read")
    three.wait_for_state(jid, "web-2", "expired")
    three.restart_minion("web-2")
    bare = three.run("fleet", "retry", jid, "--silent")
    assert bare.code == 2
    assert "had a stdin of 13 bytes, which is not kept" in bare.stderr

    assert three.json("fleet", "retry", jid, "--silent", "--stdin-text", "something else") == {
        "web-2": "something else"
    }
    assert three.json("fleet", "retry", jid, "--silent", "--no-stdin") == {"web-2": ""}


def test_what_was_refused_can_be_asked_for_again_as_long_as_the_minion_has_its_key(three: Fleet) -> None:
    jid = three.submit("db-1", "test.nothing")
    three.wait_for_state(jid, "db-1", "refused")
    again = three.ok("fleet", "retry", jid, "--refused", "--async").strip()
    three.wait_for_state(again, "db-1", "refused")
    assert three.record(again)["retry_of"] == jid
    three.change_keys("delete", "db-1")
    gone = three.run("fleet", "retry", jid, "--refused")
    assert gone.code == 3
    assert "none of the 1 minions has an accepted key" in gone.stderr
