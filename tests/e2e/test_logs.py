"""What the log of a minion says of each job: what it executes and where, and how it ended; and what it never says."""

import os
import pwd
import re

from support.fleet import Fleet
from support.sharing import added

#: Of the account, whatever the environment says: there a program runs unless it is told otherwise.
HOME = pwd.getpwuid(os.getuid()).pw_dir


def lines_with(fleet: Fleet, minion: str, jid: str) -> list[str]:
    return [line for line in fleet.minions[minion].log().splitlines() if jid in line]


def test_each_program_that_a_job_runs_is_logged_with_its_directory_and_without_its_arguments(three: Fleet) -> None:
    shell = three.submit("web-1", "cmd.run", "true S3cr3t", "cwd=/usr/..")
    program = three.submit("web-1", "cmd.exec", "env", "S3cr3t=1", "true")
    nothing = three.submit("web-1", "cmd.exec", "no-such-program", "S3cr3t")
    function = three.submit("web-1", "test.sleep", "0")
    for jid, name, directory in ((shell, "/bin/sh", "/usr/.."), (program, "env", HOME)):
        pid = three.wait_for_state(jid, "web-1", "succeeded")["pid"]
        said = [line for line in lines_with(three, "web-1", jid) if "executing" in line]
        assert len(said) == 1, said
        text = f"executing \"{name}\" in directory '{directory}' for job {jid}, pid {pid}"
        assert re.fullmatch(rf"\S+Z info fleet\.minion\.worker: {re.escape(text)}", said[0])
    three.wait_for_state(nothing, "web-1", "failed")
    three.wait_for_state(function, "web-1", "succeeded")
    for jid in (nothing, function):
        assert not [line for line in lines_with(three, "web-1", jid) if "executing" in line]
    assert "S3cr3t" not in three.minions["web-1"].log()


def test_a_name_or_a_directory_of_a_program_forges_no_line(three: Fleet) -> None:
    folder = three.folder / "a\n2026-11-20T22:10:12Z info root: forged"
    folder.mkdir()
    jid = three.submit("web-1", "cmd.run", "true", f"cwd={folder}")
    three.wait_for_state(jid, "web-1", "succeeded")
    (said,) = [line for line in three.minions["web-1"].log().splitlines() if "root: forged" in line]
    assert f"for job {jid}" in said


def test_the_command_line_is_logged_at_level_debug_and_jobs_of_before_are_logged_when_taken_up(three: Fleet) -> None:
    with added(three, "loud", log_level="debug"):
        command = f"until test -e {three.folder}/go; do sleep 0.05; done"
        jid, of_previous_release = three.submit("loud", "cmd.run", command), three.submit("loud", "cmd.run", command)
        folders = [
            three.minion_root("loud") / "var/lib/fleet/minion/jobs" / each for each in (jid, of_previous_release)
        ]
        for each in (jid, of_previous_release):
            three.minions["loud"].wait_for_log(f"the command line of job {each}: /bin/sh -c '{command}'")
        three.minions["loud"].kill()
        (folders[1] / "program").unlink()  # It did not write down which program it was.
        three.restart_minion("loud")
        pid = three.job(jid)["returns"]["loud"]["pid"]
        text = f"taken up: executing \"/bin/sh\" in directory '{HOME}' for job {jid}, pid {pid}"
        three.minions["loud"].wait_for_log(text)
        (three.folder / "go").touch()
        for each in (jid, of_previous_release):
            three.wait_for_state(each, "loud", "succeeded")
            assert any(f"returning ok of cmd.run for job {each}" in line for line in lines_with(three, "loud", each))
        log = three.minions["loud"].log()
        assert log.count("executing") == 1, log


def test_each_return_is_logged_with_its_job_its_function_and_how_it_ended(three: Fleet) -> None:
    for words, state, said in (
        (("cmd.run", "true"), "succeeded", "returning ok of cmd.run"),
        (("cmd.run", "exit 3"), "failed", "returning failed of cmd.run"),
        (("cmd.exec", "no-such-program"), "failed", "returning unavailable of cmd.exec"),
        (("cmd.run", "sleep 60", "timeout=0.1"), "timed_out", "returning timed_out of cmd.run"),
        (("test.ping",), "succeeded", "returning ok of test.ping"),
        (("test.exception", "broken"), "failed", "returning crashed of test.exception"),
    ):
        jid = three.submit("web-2", *words)
        three.wait_for_state(jid, "web-2", state)
        returning = [line for line in lines_with(three, "web-2", jid) if "returning" in line]
        assert len(returning) == 1, returning
        assert re.fullmatch(rf"\S+Z info fleet\.minion\.worker: {re.escape(said)} for job {jid}", returning[0])
