"""What jobs write is seen as they write it, in order and without gaps, whatever is cut meanwhile."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.core.control_answers import OutputPart
from support.fleet import BIN, Fleet
from support.processes import Daemon
from support.wait import wait_until


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master and two minions that the tests of this file restart at will."""
    with Fleet(tmp_path_factory.mktemp("f")) as shared:
        shared.start_master()
        shared.grow("web-1", "web-2")
        yield shared


def start(fleet: Fleet, log: str, *words: str) -> Daemon:
    """Start ``fleet`` in the background; its stdout and stderr go to one log."""
    command = Daemon(f"fleet {' '.join(words)}", (str(BIN / "fleet"), *words), fleet.environment(), fleet.folder / log)
    command.start()
    return command


def gated(gate: Path, first: str, last: str) -> str:
    """A command that writes ``first``, waits for a gate, and writes ``last``."""
    return f"echo {first}; until test -e {gate}; do sleep 0.05; done; echo {last}"


def test_what_is_written_is_seen_while_the_job_runs(pair: Fleet) -> None:
    gate = pair.folder / "gate-seen"
    seen = start(pair, "seen.log", "-f", "web-1", "cmd.run", gated(gate, "early", "late >&2"))
    seen.wait_for_log("early\n")
    assert "late" not in seen.log()
    gate.touch()
    assert seen.wait() == 0
    assert seen.log() == "early\nlate\n"


def test_lines_of_several_minions_carry_their_names_and_the_exit_code_is_that_of_a_run(pair: Fleet) -> None:
    gate = pair.folder / "gate-names"
    command = f"printf 'half '; {gated(gate, 'line', 'end')}; test $FLEET_ROOT = {pair.minion_root('web-1')}"
    seen = start(pair, "names.log", "-f", "*", "cmd.run", command)
    seen.wait_for_log("web-1: half line\n")
    seen.wait_for_log("web-2: half line\n")
    gate.touch()
    assert seen.wait() == 11
    lines = seen.log().splitlines()
    assert sorted(line for line in lines if line.endswith("end")) == ["web-1: end", "web-2: end"]
    assert [line for line in lines if "exit 1" in line] == ["web-2: failed, exit 1"]
    assert len(lines) == 5


def test_a_job_is_followed_from_its_beginning_from_a_byte_on_and_by_several_at_once(pair: Fleet) -> None:
    gate = pair.folder / "gate-several"
    jid = pair.submit("web-1", "cmd.run", gated(gate, "0123456789", "end"))
    first = start(pair, "first.log", "jobs", "follow", jid)
    first.wait_for_log("0123456789\n")
    second = start(pair, "second.log", "jobs", "follow", jid)
    second.wait_for_log("0123456789\n")
    third = start(pair, "third.log", "jobs", "follow", jid, "web-1", "--skip", "5")
    third.wait_for_log("56789\n")
    gate.touch()
    assert [each.wait() for each in (first, second, third)] == [0, 0, 0]
    assert first.log() == second.log() == "0123456789\nend\n"
    assert third.log() == "56789\nend\n"
    assert pair.ok("fleet", "jobs", "follow", jid) == "0123456789\nend\n", "and when it is over all of it is there"
    assert pair.run("fleet", "jobs", "follow", jid, "db-1").code == 1
    assert pair.json("fleet", "jobs", "follow", jid) == {"web-1": "0123456789\nend"}


def test_following_goes_on_over_a_kill_of_the_master_and_of_the_minion(pair: Fleet) -> None:
    gate = pair.folder / "gate-kill"
    jid = pair.submit("web-1", "cmd.run", f"echo before; {gated(gate, 'more', 'end')}")
    seen = start(pair, "kill.log", "jobs", "follow", jid)
    seen.wait_for_log("before\nmore\n")
    pair.master.kill()
    seen.wait_for_log("going on when it is back")
    pair.restart_master()
    seen.wait_for_log("the master is back")
    pair.minions["web-1"].kill()
    pair.restart_minion("web-1")
    gate.touch()
    assert seen.wait() == 0
    output = [line for line in seen.log().splitlines() if "master" not in line]
    assert output == ["before", "more", "end"]
    wait_until(lambda: pair.run("fleet", "*", "test.ping").code == 0, 30, "both minions to be back")


def test_megabytes_are_followed_whole_and_in_order_while_others_run_their_jobs(pair: Fleet) -> None:
    """Some of it comes while it runs, the rest with the result; a program that reads slowly is given no gap."""
    line, count = "x" * 63, 100_000
    gate = pair.folder / "gate-much"
    command = f"yes {line} | head -{count}; until test -e {gate}; do sleep 0.05; done"
    whole = f"{line}\n".encode() * count
    parts: list[OutputPart] = []
    with pair.client() as client:
        stream = client.follow(pair.submit("web-1", "cmd.run", command), 60, parts.append)

        def has_come() -> bool:
            stream.next_result(0.1)
            return sum(len(part.data) for part in parts) == len(whole)

        wait_until(has_come, 60, "all of the output while the job runs")
        assert pair.json("fleet", "web-2", "test.ping") == {"web-2": True}
        gate.touch()
        (result,) = list(stream)
    assert [part.offset for part in parts] == [sum(len(one.data) for one in parts[:i]) for i in range(len(parts))]
    assert hashlib.sha256(b"".join(part.data for part in parts)).digest() == hashlib.sha256(whole).digest()
    assert result.stdout == whole


def test_a_function_shows_its_value_and_who_is_away_is_named(pair: Fleet) -> None:
    assert pair.ok("fleet", "-f", "web-1", "test.ping") == "True\n"
    assert sorted(pair.ok("fleet", "-f", "*", "test.echo", "hello").splitlines()) == ["web-1: hello", "web-2: hello"]
    pair.minions["web-2"].pause()
    done = pair.run("fleet", "-f", "*", "cmd.run", "echo here")
    pair.minions["web-2"].resume()
    assert (done.code, done.stdout) == (12, "web-1: here\n")
    assert "web-2: silent" in done.stderr
    done = pair.run("fleet", "-f", "web-1", "test.ping", "--out", "json")
    assert done.code == 2
    assert "leave one of them away" in done.stderr


def test_with_rm_the_result_is_shown_and_the_job_is_gone(pair: Fleet) -> None:
    done = pair.run("fleet", "-f", "--rm", "web-1", "cmd.run", "echo once", "--show-jid")
    assert (done.code, done.stdout) == (0, "once\n")
    jid = next(word for word in done.stderr.split() if len(word) == 20 and word.isdigit())
    assert jid in done.stderr.splitlines()[-1]
    assert jid not in json.dumps(pair.json("fleet", "jobs", "list"))
