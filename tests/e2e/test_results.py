"""What an operator makes of results: folded, compared, chosen, put into files; on terminals and in pipes, and interrupted."""

import json
import os
import re
import signal
import subprocess

import pytest

from support.fleet import BIN, Fleet
from support.terminal import Terminal
from support.wait import wait_until

FLEET = str(BIN / "fleet")
SGR = re.compile(r"\x1b\[[0-9;]*m")
#: What each minion is called, for a shell that runs there.
NAME = 'name=$(basename "$FLEET_ROOT")'


def run_here(fleet: Fleet, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with the commands of the fleet."""
    environment = fleet.environment() | variables
    return subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )


def test_where_nothing_folds_each_minion_has_a_line(three: Fleet) -> None:
    out = three.ok("fleet", "*", "cmd.run", f'{NAME}; echo "up $name"', "--out", "fold")
    assert out.splitlines()[:3] == ["✓ db-1   up db-1", "✓ web-1  up web-1", "✓ web-2  up web-2"]


def test_numbers_do_not_keep_apart_what_is_folded_by_numbers_but_exit_codes_do(three: Fleet) -> None:
    script = f'{NAME}; echo "up ${{#name}}$$ days"; case $name in db*) exit 3;; esac'
    lines = three.ok("fleet", "*", "cmd.run", script, "--fold", "numbers", code=11).splitlines()
    assert lines[0] == "✗ db-1  failed, exit 3"
    assert lines[2] == "✓ web-[1-2] (2)  the numbers differ; these are of web-1"
    assert re.fullmatch(r"    up 5[0-9]+ days", lines[3])


def test_a_difference_is_shown_against_the_largest_group(three: Fleet) -> None:
    script = f"{NAME}; printf 'a\\nb\\n'; case $name in db*) echo c;; esac"
    lines = three.ok("fleet", "*", "cmd.run", script, "--diff").splitlines()
    assert lines[:3] == ["✓ web-[1-2] (2)", "    a", "    b"]
    assert lines[3:8] == ["✓ db-1  differs from web-1:", "    @@ -1,2 +1,3 @@", "     a", "     b", "    +c"]


def test_only_chooses_what_is_shown_and_not_the_exit_code(three: Fleet) -> None:
    words = ("*", "cmd.run", f"{NAME}; case $name in db*) exit 3;; *1) echo said;; esac")
    assert three.json("fleet", *words, "--only", "ok", code=11) == {"web-1": "said", "web-2": ""}
    assert three.json("fleet", *words, "--only", "ok,non-empty", code=11) == {"web-1": "said"}
    folded = three.ok("fleet", *words, "--only", "failed", "--out", "fold", code=11)
    assert "web" not in folded
    assert "2 ok · 1 failed · 3 targeted" in folded
    assert "1/3" in three.ok("fleet", "jobs", "show", "last", "--only", "failed").splitlines()


def test_results_go_into_a_file_and_into_a_folder(three: Fleet) -> None:
    file, folder = three.folder / "results.json", three.folder / "results"
    words = ("*", "cmd.run", f'{NAME}; printf "$name\\377"; case $name in db*) echo bad >&2; exit 3;; esac')
    done = three.run("fleet", *words, "--out", "jsonl", "--out-file", str(file))
    assert (done.code, done.stdout, done.stderr) == (11, "", f"results written to {file}\n")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line.get("minion") for line in lines} == {"db-1", "web-1", "web-2", None}
    done = three.run("fleet", "jobs", "follow", "last", "--out-dir", str(folder))
    assert (done.code, done.stdout) == (11, "")
    assert done.stderr == f"db-1: failed, exit 3\n3 minions written to {folder}\n"
    assert {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))} == {
        "db-1": b"db-1\xff",
        "db-1~stderr": b"bad\n",
        "web-1": b"web-1\xff",
        "web-2": b"web-2\xff",
    }
    again = three.run("fleet", "jobs", "show", "last", "--out-dir", str(folder))
    assert again.code == 1
    assert "not empty" in again.stderr


def test_a_place_that_cannot_be_written_to_costs_no_run(three: Fleet) -> None:
    three.ok("fleet", "web-1", "test.ping")
    before = three.job()["jid"]
    three.ok("fleet", "*", "cmd.run", "echo x", "--out-file", str(three.folder / "no/file"), code=1)
    three.ok("fleet", "*", "cmd.run", "echo x", "--out-dir", "/dev/null", code=1)
    assert three.job()["jid"] == before


def test_a_reader_that_goes_away_and_a_full_disk_are_told_quietly_and_clearly(three: Fleet) -> None:
    piped = run_here(three, "fleet '*' cmd.run 'seq 100000' --out txt | head -1; exit ${PIPESTATUS[0]}")
    assert (piped.returncode, piped.stdout, piped.stderr) == (141, "db-1: 1\n", "")
    both = run_here(three, "fleet '*' cmd.run 'seq 100000' --out fold 2>&1 | head -1; exit ${PIPESTATUS[0]}")
    assert (both.returncode, both.stdout, both.stderr) == (141, "✓ db-1,web-[1-2] (3)\n", "")
    full = run_here(three, "fleet web-1 cmd.run 'seq 3' > /dev/full")
    assert full.returncode == 1
    assert full.stderr == (
        "error: the results cannot be written to stdout: No space left on device\n"
        f"hint: make room, or choose another disk; nothing is lost: fleet jobs show {three.job()['jid']}\n"
    )


HOSTILE = r"\033]52;c;ZXZpbA==\007\033]0;title\007\033[6n\033Pq\033\\[bold]b[/bold]\342\200\256\302\2331m\r\b"


def test_what_a_terminal_obeys_reaches_it_in_no_form(three: Fleet) -> None:
    script = f"printf '{HOSTILE}'; printf '{HOSTILE}' >&2"
    jid = three.submit("web-1", "cmd.run", script)
    three.wait_for_state(jid, "web-1", "succeeded")
    plain = {**three.environment(), "NO_COLOR": "1", "TERM": "xterm"}
    shown = [["jobs", "show", jid, "--out", form] for form in ("fold", "nested", "txt", "json", "jsonl", "yaml", "raw")]
    for words in (*shown, ["jobs", "show", jid], ["jobs", "show", jid, "--minion", "web-1"], ["jobs", "list"]):
        with Terminal([FLEET, *words], plain) as terminal:
            code, drawn = terminal.end()
        assert code == 0
        assert not set(drawn.replace("\r\n", "\n")) & set("\x1b\x07\x08\r\x9b\x90\u202e"), words
        if "raw" not in words:
            out = three.ok("fleet", *words)
            assert not set(out) & set("\x1b\x07\x08\r\x9b\x90\u202e"), words
            if "list" not in words:
                assert "[bold]b[/bold]" in out


@pytest.mark.parametrize(
    ("variables", "options", "is_colored"),
    [
        ({}, (), True),
        ({"NO_COLOR": "1"}, (), False),
        ({"TERM": "dumb"}, (), False),
        ({}, ("--no-color",), False),
        ({"NO_COLOR": "1"}, ("--color",), True),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, (), True),
    ],
)
def test_colours_come_and_go(
    three: Fleet, variables: dict[str, str], options: tuple[str, ...], is_colored: bool
) -> None:
    with Terminal([FLEET, "*", "test.ping", *options], three.environment() | variables) as terminal:
        code, drawn = terminal.end()
    assert code == 0
    assert ("\x1b[1;32m" in drawn) == is_colored
    assert "\x1b" not in SGR.sub("", drawn)


def test_a_line_that_names_who_is_waited_for_comes_and_goes(three: Fleet) -> None:
    gate = three.folder / "gate"
    words = ["*", "cmd.run", f"{NAME}; case $name in db*) while ! [ -e {gate} ]; do sleep 0.05; done;; esac; echo done"]
    out_read, out_write = os.pipe()
    with Terminal([FLEET, *words], three.environment(), stdout=out_write) as terminal, os.fdopen(out_read) as out:
        os.close(out_write)
        terminal.wait_for("waiting: db-1")
        gate.touch()
        assert out.read() == "".join(f"{name}:\n    done\n" for name in ("db-1", "web-1", "web-2"))
        code, drawn = terminal.end()
    gate.unlink()
    assert code == 0
    assert drawn.endswith("\r\x1b[K")
    assert all(line.startswith("2/3 · ") for line in drawn.split("\r\x1b[K")[1:-1] if "waiting: db-1" in line)


def sleeping(three: Fleet) -> list[str]:
    return [FLEET, "*", "cmd.run", f"{NAME}; echo here; case $name in db*) exec sleep 600;; esac"]


def cancel(three: Fleet) -> None:
    three.ok("fleet", "jobs", "cancel", "last")
    three.wait_for_job(three.job()["jid"])


def test_an_interrupt_prints_what_arrived_and_the_job_goes_on(three: Fleet) -> None:
    with Terminal(sleeping(three), three.environment()) as terminal:
        terminal.wait_for("waiting: db-1")
        terminal.press("\x03")
        code, drawn = terminal.end()
    end = three.job()["jid"][-6:]
    assert code == 130
    shown = SGR.sub("", drawn[drawn.rindex("\x1b[K") :])
    assert "! db-1  running" in shown
    assert "✓ web-[1-2] (2)\r\n    here\r\n" in shown
    assert shown.endswith(
        f"interrupted; the job goes on: fleet jobs follow {end} · stop it: fleet jobs cancel {end}\r\n"
    )
    assert "Traceback" not in drawn
    assert three.job()["returns"]["db-1"]["state"] == "running"
    cancel(three)


def test_a_second_interrupt_ends_at_once_and_leaves_no_half_file(three: Fleet) -> None:
    """The master does not answer where the job stands, so the first interrupt alone would wait for it."""
    folder = three.folder / "interrupted"
    folder.mkdir()
    with Terminal([*sleeping(three), "--out-file", str(folder / "results")], three.environment()) as terminal:
        terminal.wait_for("waiting: db-1")
        three.master.signal(signal.SIGSTOP)
        try:
            terminal.press("\x03")
            terminal.wait_for("^C")
            wait_until(lambda: terminal.drawn.rpartition("^C")[2].endswith("\x1b[K"), 20, "the progress to be erased")
            terminal.press("\x03")
            code, drawn = terminal.end(20)
        finally:
            three.master.signal(signal.SIGCONT)
    assert code == 130
    assert "Traceback" not in drawn
    assert os.listdir(folder) == []
    cancel(three)


def test_an_interrupt_writes_what_arrived_into_the_file(three: Fleet) -> None:
    file = three.folder / "arrived.json"
    words = [*sleeping(three), "--out", "json", "--out-file", str(file)]
    with Terminal(words, three.environment()) as terminal:
        terminal.wait_for("waiting: db-1")
        terminal.press("\x03")
        code, drawn = terminal.end()
    assert code == 130
    assert "db-1: running" in drawn
    assert json.loads(file.read_text()) == {"web-1": "here", "web-2": "here"}
    cancel(three)
