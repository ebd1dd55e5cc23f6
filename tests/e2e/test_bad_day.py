"""The operator's slips: each is answered with what, why and what to do, and nothing is run by mistake."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from fleet.client import Client
from fleet.core.errors import ArgumentError, FleetError
from support.evil import leave_pending_key
from support.fleet import BIN, Fleet
from support.unprivileged import run_as_nobody


def said(fleet: Fleet, words: tuple[str, ...], code: int) -> tuple[str, str]:
    """Run a command line that is wrong; return its error and its hint, and see that it printed no result."""
    done = fleet.run(*words)
    assert (done.code, done.stdout) == (code, ""), str(done)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: "), str(done)
    assert len(done.stderr) < 1500, "a message that is read"
    assert "Traceback" not in done.stderr
    return lines[0], "\n".join(lines[1:])


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        ((), 2, "nothing to do", "fleet --help"),
        (("cmd.run", "uptime"), 2, "the target is missing: cmd.run is a function", "fleet '*' cmd.run uptime"),
        (("test.ping",), 2, "the target is missing", "fleet '*' test.ping"),
        (("*", "test.ping", "-t", "-5"), 2, "-t takes seconds, not '-5'", "10m"),
        (("jobs", "list", "--limit", "-1"), 2, "--limit takes a whole number, not '-1'", "how many"),
        (("", "test.ping"), 2, "the target is empty", "'*'"),
        (("a" * 10_000, "test.ping"), 2, "10000 characters, the limit is 4096", "-L"),
        (("-L", ",".join(["lost"] * 2_000), "test.ping"), 3, "no accepted key has the id lost", "fleet minions"),
        (("jobs", "show", "nojid"), 1, "'nojid' names no job", "`last`"),
        (("jobs", "show", ""), 1, "'' names no job", "`last`"),
        (("jobs", "cancel", "nojid"), 2, "'nojid' names no job", "`last`"),
        (("jobs", "follow", "2" * 40), 1, "names no job", "`last`"),
        (("jobs", "shw"), 2, "'shw' is no command of fleet jobs", "show"),
        (("jbos",), 2, "'jbos' is no command", "did you mean fleet jobs?"),
        (("*", "test.ping", "--out", "jsn"), 2, "'jsn' is not possible here", "did you mean json?"),
        (("*", "test.ping", "--ttl", "1000d"), 2, "one year", ""),
        (("doc", "cmd.run", "cmd.rn"), 1, "no minion has a function 'cmd.rn'", "did you mean cmd.run"),
        (("doc", "cmd.rn"), 1, "no minion has a function 'cmd.rn'", "did you mean cmd.run"),
        (("doc", "cdm"), 1, "no minion has a function 'cdm'", "did you mean cmd?"),
        (("*", "test.sleep"), 2, "test.sleep: seconds is missing", "usage: test.sleep seconds"),
        (("*", "test.sleep", "soon"), 2, "test.sleep: seconds: expected a number, got 'soon'", "usage: test.sleep"),
        (("*", "test.sleep", "1", "2"), 2, "'2' is left over", "usage: test.sleep seconds"),
        (("*", "cmd.run", "true", "cwdd=/tmp"), 2, "there is no argument 'cwdd'; did you mean cwd?", "usage: cmd.run"),
    ],
)
def test_a_slip_is_named_with_what_to_do(
    three: Fleet, words: tuple[str, ...], code: int, error: str, hint: str
) -> None:
    found_error, found_hint = said(three, ("fleet", *words), code)
    assert error in found_error
    assert hint in found_hint


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("wbe-1",), "no accepted key has the id wbe-1", "did you mean web-1"),
        (("wbe-*",), "no minion matches 'wbe-*'", "did you mean web-"),
        (("-L", "wbe-1,bd-1"), "no accepted key has the id bd-1", "did you mean db-1"),
        (("-E", "web"), "'web' fits a part of web-1, web-2", "-E '.*web.*'"),
        (("-G", "sites:berlin"), "no minion has a grain 'sites'", "did you mean site?"),
        (("-G", "site:belrin"), "no site is 'belrin'", "there are: berlin, oslo"),
        (("-C", "G@site:oslo and db-*"), "together they select none", "fleet minions"),
    ],
)
def test_a_target_that_selects_nothing_is_told_what_is_near(
    three: Fleet, words: tuple[str, ...], error: str, hint: str
) -> None:
    before = three.client().jobs(limit=1)
    for more in (("cmd.run", "touch $FLEET_ROOT/touched"), ("--preview-target",)):
        found_error, found_hint = said(three, ("fleet", *words, *more), 3)
        assert error in found_error
        assert hint in found_hint
    assert three.client().jobs(limit=1) == before, "no job came to be"


def test_a_target_whose_key_waits_or_was_turned_down_is_told_the_command(one_master: Fleet) -> None:
    error, hint = said(one_master, ("fleet", "*", "test.ping"), 3)
    assert "no key is accepted yet" in error
    assert "start fleet-minion" in hint
    leave_pending_key(one_master, "web-1")
    assert "1 of them wait: fleet-key -L" in said(one_master, ("fleet", "*", "test.ping"), 3)[1]
    leave_pending_key(one_master, "db-1")
    one_master.change_keys("accept", "db-1")
    error, hint = said(one_master, ("fleet", "web-1", "test.ping"), 3)
    assert "the key of web-1 is pending" in error
    assert "fleet-key -a web-1" in hint
    assert "did you mean web-1 (its key is pending) or db-1?" in said(one_master, ("fleet", "wbe-1", "test.ping"), 3)[1]
    assert "only keys that are not accepted: web-1 (pending)" in said(one_master, ("fleet", "web-*", "test.ping"), 3)[0]
    one_master.ok("fleet-key", "-r", "web-1", "-y")
    error, hint = said(one_master, ("fleet", "web-1", "test.ping"), 3)
    assert "the key of web-1 is rejected" in error
    assert "`fleet-key -a web-1` accepts it all the same" in hint


def test_an_unknown_function_is_told_the_nearest_on_each_minion(three: Fleet) -> None:
    done = three.run("fleet", "*", "cmd.rn", "uptime")
    assert done.code == 13, str(done)
    assert done.stderr.count("did you mean cmd.run") == 1, "folded, for all three say the same"
    assert {result["state"] for result in three.job()["returns"].values()} == {"refused"}


@pytest.mark.parametrize("command", ["fleet", "fleet-key", "fleet-call"])
def test_bytes_that_are_no_utf8_are_refused_and_shown(three: Fleet, command: str) -> None:
    words = {"fleet": [b"*", b"test.echo"], "fleet-key": [b"-y", b"-a"], "fleet-call": [b"test.echo"]}[command]
    done = subprocess.run(
        [os.fsencode(BIN / command), *words, b"gr\xff\xfe"], env=three.environment(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"error: 'gr\\xff\\xfe' is no UTF-8\nhint: send other bytes in a file" in done.stderr
    assert b"--" not in done.stderr, "no advice about options"


def test_an_argument_of_3_mib_and_one_with_a_nul_are_refused_with_the_bound(three: Fleet) -> None:
    client = three.client()
    with pytest.raises(ArgumentError) as caught:
        client.run("*", "test.echo", "x" * 3 * 1024 * 1024)
    assert "2097152 are allowed" in caught.value.message
    assert "file" in caught.value.hint
    with pytest.raises(ArgumentError) as caught:
        client.run("*", "test.echo", "x" * (1536 * 1024))
    assert "at most 1048576 travel with a job" in caught.value.message
    with pytest.raises(FleetError) as wrong:
        client.run("web\0-1", "test.ping")
    assert "cannot be part of a minion id" in wrong.value.message
    results = client.run("*", "cmd.run", "true\0false")
    assert {result.state for result in results.values()} == {"failed"}
    assert all("NUL character cannot be part of a command" in result.reason for result in results.values())
    line = ["fleet", "*", "cmd.exec", "--", "true", *["x" * 100_000] * 12]
    assert "at most 1048576 travel with a job" in said(three, tuple(line), 2)[0]


def shell(fleet: Fleet, line: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    """Run a line in a shell, with variables set, or taken away by None."""
    environment = {name: text for name, text in (fleet.environment() | variables).items() if text is not None}
    return subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )


ANSWER = "web-1:\n    True\n"


def test_a_closed_or_full_stdout_is_an_error_and_runs_nothing_or_keeps_it(three: Fleet) -> None:
    for line in (
        "fleet '*' cmd.run 'touch $FLEET_ROOT/ran-blind'",
        "fleet --help",
        "fleet-key -L",
        "fleet-call test.ping",
    ):
        done = shell(three, f"{line} >&-")
        assert done.returncode == 1, line
        assert done.stderr.startswith("error: stdout is closed"), done.stderr
        assert "/dev/null" in done.stderr
    assert not [minion for minion in three.minions if (three.minion_root(minion) / "ran-blind").exists()]
    for line in ("fleet jobs list", "fleet --help", "fleet-key -L", "fleet-call test.ping"):
        done = shell(three, f"{line} >/dev/full")
        assert done.returncode == 1, line
        assert done.stderr.startswith("error: the system refuses: No space left on device\nhint: the disk"), done.stderr
    done = shell(three, "fleet web-1 test.ping >/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the results cannot be written to stdout: No space left on device"), (
        done.stderr
    )
    assert f"fleet jobs show {three.job()['jid']}" in done.stderr
    for daemon in ("fleet-master", f"fleet-minion --root {three.minion_root('web-1')}"):
        done = shell(three, f"{daemon} --fingerprint >/dev/full")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "variables", "code", "expected"),
    [
        ("fleet web-1 test.ping <&-", {}, 0, ANSWER),
        ("fleet web-1 test.ping 2>&-", {}, 0, ANSWER),
        ("fleet nobody test.ping 2>&-", {}, 3, ""),
        ("fleet nobody test.ping >&- 2>&-", {}, 1, ""),
        ("fleet nobody test.ping 2>/dev/full", {}, 3, ""),
        ("fleet web-1 test.ping", {"HOME": None, "TERM": None, "LANG": None}, 0, ANSWER),
        ("fleet web-1 test.echo grüße", {"LANG": "C", "LC_ALL": "C"}, 0, "web-1:\n    grüße\n"),
        (
            "fleet web-1 test.echo grüße€",
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            0,
            "web-1:\n    gr\\xfc\\xdfe\\u20ac\n",
        ),
        ("cd gone && rmdir ../gone && fleet web-1 test.ping", {}, 0, ANSWER),
    ],
)
def test_a_bare_environment_is_no_obstacle(
    three: Fleet, line: str, variables: dict[str, str | None], code: int, expected: str
) -> None:
    (three.folder / "gone").mkdir(exist_ok=True)
    done = shell(three, f"cd {three.folder} && {line}", **variables)
    assert (done.returncode, done.stdout) == (code, expected), done.stderr
    assert "Traceback" not in done.stderr


def test_a_question_without_anybody_to_answer_changes_nothing(one_master: Fleet) -> None:
    leave_pending_key(one_master, "web-1")
    for line in ("fleet-key -A <&-", "fleet-key -A </dev/null"):
        done = shell(one_master, line)
        assert (done.returncode, "nobody answers here" in done.stderr) == (2, True), done
        assert "hint: add -y" in done.stderr
    assert [(key.minion, key.state) for key in one_master.client().keys().keys] == [("web-1", "pending")]


def test_a_relative_root_in_a_folder_that_is_gone_is_said_so(fleet: Fleet) -> None:
    (fleet.folder / "gone").mkdir()
    done = shell(fleet, f"cd {fleet.folder}/gone && rmdir ../gone && fleet-master --root here")
    assert done.returncode == 2
    assert "the current folder is gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_account_without_privileges_is_told_which_one_may() -> None:
    with tempfile.TemporaryDirectory(prefix="f") as name, Fleet(Path(name)) as fleet:
        Path(name).chmod(0o755)  # Others may come as far as our folders.
        fleet.start_master()
        check_as_nobody(fleet)


def check_as_nobody(fleet: Fleet) -> None:
    root = str(fleet.master_root)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    for command in ("fleet", "fleet-key"):
        words = ("--root", root, *(("status",) if command == "fleet" else ("-L",)))
        done = run_as_nobody(BIN / command, *words, environment=environment)
        assert (done.code, done.stdout) == (4, ""), str(done)
        assert "this account may not open the master's socket" in done.stderr
        assert "hint: run the command as root or as the account of the master" in done.stderr
    for line in (
        "fleet-master",
        "fleet-master -d",
        "fleet-minion",
        "fleet-minion -d",
        f"fleet-master --root {root}",
    ):
        command, *options = line.split()
        done = run_as_nobody(BIN / command, *options, environment=environment)
        assert done.code == 1, str(done)
        assert "ermission denied" in done.stderr, str(done)
        assert "--root" in done.stderr, "where it may"
        assert "Traceback" not in done.stderr
    private = fleet.folder / "private"
    (private / "etc/fleet").mkdir(parents=True)
    (private / "etc/fleet").chmod(0o700)
    done = run_as_nobody(BIN / "fleet", "--root", str(private), "status", environment=environment)
    assert done.code == 4
    assert "client.yaml: cannot be read: Permission denied" in done.stderr
    assert "--root" in done.stderr


def test_a_path_that_is_too_long_for_a_socket_is_said_by_both_sides(fleet: Fleet) -> None:
    root = fleet.folder / ("x" * 120)
    (root / "etc/fleet").mkdir(parents=True)
    fleet.configure_master()
    (root / "etc/fleet/master.yaml").write_text((fleet.master_root / "etc/fleet/master.yaml").read_text())
    for words in (("fleet-master",), ("fleet", "status")):
        done = fleet.run(*words, root=root, seconds=20)
        assert done.code == 1, str(done)
        assert "the path of the control socket" in done.stderr
        assert "a Unix socket allows 107" in done.stderr
        assert "hint: choose a shorter folder with --root" in done.stderr
    with pytest.raises(FleetError) as caught:
        Client(Path("/" + "x" * 300)).jobs()
    assert "allows 107" in caught.value.message
