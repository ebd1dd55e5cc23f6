"""What a command reads: from a file, from a pipe, from a text; byte for byte, on every minion, whatever is killed in between."""

import fcntl
import hashlib
import os
import re
import stat
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from fleet.core.names import MinionId
from support.fleet import BIN, Fleet
from support.wait import wait_until

MIB = 1024 * 1024


def piped(fleet: Fleet, *words: str) -> "subprocess.Popen[bytes]":
    """Start ``fleet`` with a pipe for a stdin."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [str(BIN / "fleet"), *words], env=fleet.environment(), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
    )


def spool_of(fleet: Fleet, minion: str) -> Path:
    return fleet.minion_root(minion) / "var/lib/fleet/minion/jobs"


def test_a_file_of_a_mebibyte_and_more_reaches_every_minion_byte_for_byte(three: Fleet, tmp_path: Path) -> None:
    data = os.urandom(MIB + 4711)
    (tmp_path / "data").write_bytes(data)
    jid = three.ok("fleet", "--async", "*", "cmd.run_all", "cat", "--stdin", str(tmp_path / "data")).strip()
    three.wait_for_job(jid)

    results = three.client().job(jid).results
    assert {minion: result.stdout == data for minion, result in results.items()} == dict.fromkeys(results, True)
    assert len(results) == 3
    assert three.job(jid)["stdin_bytes"] == len(data)
    assert f"{len(data):,} bytes" in three.ok("fleet", "jobs", "show", jid[-8:], "--limit", "1")


def test_every_line_of_a_text_comes_back_in_upper_case(three: Fleet) -> None:
    text = "".join(f"zeile {number}: größer\n" for number in range(60_000))
    assert len(text.encode()) > MIB
    upper = "import sys\nfor line in sys.stdin: sys.stdout.write(line.upper())"
    answers = three.client().run("web-1", "cmd.exec", "python3", "-c", upper, job_stdin=text.encode())
    (result,) = answers.results.values()
    assert result.stdout.decode() == text.upper()


def test_a_pipe_is_read_to_its_end_and_nothing_starts_before(three: Fleet) -> None:
    before = three.json("fleet", "jobs", "list", "--limit", "1")["total"]
    with piped(three, "web-1", "cmd.run", "cat", "--stdin", "-") as running:
        assert running.stdin is not None
        running.stdin.write(b"first\n")
        running.stdin.flush()
        pipe = running.stdin.fileno()
        wait_until(lambda: not _unread(pipe), 20, "the command to read what there is")
        # It waits for the rest, and the master has heard of nothing.
        assert three.json("fleet", "jobs", "list", "--limit", "1")["total"] == before
        said, _ = running.communicate(b"\x00\xff last\n", timeout=30)
    assert running.returncode == 0
    assert b"first" in said
    assert three.client().job("last").results[MinionId("web-1")].stdout == b"first\n\x00\xff last\n"


def _unread(pipe: int) -> int:
    """How many bytes of a pipe nobody has read yet."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])


def test_a_text_is_a_stdin_as_it_is(three: Fleet) -> None:
    answers = three.json("fleet", "*", "cmd.run", "od -An -c", "--stdin-text", "Hello é!")
    assert set(answers) == {"db-1", "web-1", "web-2"}
    assert {re.sub(r"\s+", " ", text).strip() for text in answers.values()} == {"H e l l o 303 251 !"}


@pytest.mark.parametrize("words", [(), ("--no-stdin",), ("--stdin-text", ""), ("--stdin", "/dev/null")])
def test_without_one_it_is_empty_and_at_its_end(three: Fleet, words: tuple[str, ...]) -> None:
    # A command that waited for more would not end.
    assert three.json("fleet", "web-1", "cmd.run", "wc -c; cat; echo over", *words) == {"web-1": "0\nover"}


def test_a_file_that_cannot_be_read_is_an_error_before_anything_is_sent(three: Fleet, tmp_path: Path) -> None:
    before = three.json("fleet", "jobs", "list", "--limit", "1")["total"]
    for name, why in ((str(tmp_path / "gone"), "no such file"), (str(tmp_path), "is a directory")):
        done = three.run("fleet", "web-1", "cmd.run", "cat", "--stdin", name)
        assert (done.code, done.stdout) == (2, "")
        assert why in done.stderr
        assert "nothing was sent" in done.stderr
    for words in (("--stdin", "-", "--no-stdin"), ("--stdin-text", "x", "--stdin", "/dev/null")):
        done = three.run("fleet", "web-1", "cmd.run", "cat", *words)
        assert (done.code, done.stdout) == (2, "")
        assert "one stdin" in done.stderr
    assert three.json("fleet", "jobs", "list", "--limit", "1")["total"] == before


def test_one_that_is_too_long_is_refused_with_the_limit(three: Fleet, tmp_path: Path) -> None:
    long = tmp_path / "long"
    with long.open("wb") as file:
        file.truncate(16 * MIB + 1)
    done = three.run("fleet", "web-1", "cmd.run", "cat", "--stdin", str(long))
    assert done.code == 2
    assert "16777217 bytes" in done.stderr
    assert "takes 16777216" in done.stderr
    assert "stdin_limit_bytes" in done.stderr
    endless = three.run("fleet", "web-1", "cmd.run", "cat", "--stdin", "/dev/zero")
    assert (endless.code, "67108864" in endless.stderr) == (2, True)


def test_where_nobody_would_read_it_a_stdin_is_refused_with_the_reason(three: Fleet) -> None:
    instant = three.run("fleet", "web-1", "test.ping", "--stdin-text", "x")
    assert (instant.code, "test.ping reads no stdin: it is instant" in instant.stderr) == (2, True)
    two = three.run("fleet", "web-1", "cmd.run", "cat", "stdin=mine", "--stdin-text", "x")
    assert (two.code, "another one by its own argument 'stdin'" in two.stderr) == (2, True)


def test_a_killed_minion_goes_on_with_its_stdin_and_files_lie_on_both_sides_for_their_owner_alone(fleet: Fleet) -> None:
    """The stdin is cut off in the middle: by a minion that is killed, and by a master that is."""
    fleet.start_master()
    fleet.grow("web-1")
    spool = spool_of(fleet, "web-1")
    data = os.urandom(12 * MIB)
    fleet.minions["web-1"].pause()
    gate = fleet.folder / "gate"
    command = f"sha256sum; until test -e {gate}; do sleep 0.02; done"
    jid = fleet.submit("web-1", "cmd.run", command, "--ttl", "10m", stdin=data)
    waiting = spool / f"{jid}.stdin"
    fleet.minions["web-1"].resume()
    wait_until(waiting.exists, 30, "the stdin to come")
    fleet.minions["web-1"].kill()
    fleet.master.kill()

    fleet.restart_master()
    assert fleet.job(jid)["returns"]["web-1"]["state"] in {"sent", "acked", "running"}
    fleet.restart_minion("web-1")
    fleet.wait_for_state(jid, "web-1", "running", 60)
    # On the minion it lies in the folder of its job, on the master in its job cache; nowhere else.
    lies = spool / jid / "stdin"
    assert lies.read_bytes() == data
    assert not waiting.exists()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (lies, lies.parent, spool)] == [0o600, 0o700, 0o700]
    assert {"stdin", "stdout", "stderr", "status"} <= {path.name for path in lies.parent.iterdir()}
    cache = fleet.master_root / "var/lib/fleet/master/jobs.sqlite"
    assert (stat.S_IMODE(cache.stat().st_mode), stat.S_IMODE(cache.parent.stat().st_mode)) == (0o600, 0o700)
    gate.touch()
    found = fleet.wait_for_state(jid, "web-1", "succeeded", 60)
    assert found["value"].split()[0] == hashlib.sha256(data).hexdigest()
    wait_until(lambda: not list(spool.iterdir()), 20, "the spool to be empty")
