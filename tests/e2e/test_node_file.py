"""A run on the minions that a node file names: plain, from another command, of any length, and not at all when it is none."""

import json
import subprocess
from pathlib import Path

import pytest

from support.fleet import BIN, Fleet
from support.memory import peak_kib
from support.processes import Completed
from support.wait import wait_until

MANY = 100_000
#: What a hundred thousand names may add to the peak of the command; held as a list they add four times as much.
GROWTH_LIMIT_KIB = 2 * 1024


def run_with_peak(fleet: Fleet, *words: str) -> tuple[Completed, int]:
    """Run ``fleet`` and look all the time how much memory it has had at the most, in KiB."""
    with (fleet.folder / "shown").open("wb") as output, (fleet.folder / "said").open("wb") as said:
        command = subprocess.Popen((str(BIN / "fleet"), *words), stdout=output, stderr=said, env=fleet.environment())
        peaks = [0]

        def has_ended() -> bool:
            peaks.append(peak_kib(command.pid))
            return command.poll() is not None

        wait_until(has_ended, 60, "the command to end")
    shown, told = ((fleet.folder / name).read_text() for name in ("shown", "said"))
    return Completed(command.returncode, shown, told, 0.0), max(peaks)


def test_a_file_names_the_minions_plainly(three: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text("# those of rack 3\nweb-2\n\n  db-1  # the old one\nweb-2\n")
    assert three.json("fleet", "--nodes", str(file), "test.ping") == {"db-1": True, "web-2": True}
    assert three.ok("fleet", "--nodes", str(file), "--preview-target").split() == ["db-1", "web-2"]
    assert three.job()["target"] == "db-1,web-2"


@pytest.mark.parametrize(
    ("words", "selected"),
    [
        (("minions", "web-*", "--out", "jsonl"), ["web-1", "web-2"]),
        (("web-*", "--preview-target"), ["web-1", "web-2"]),
        (("-G", "site:berlin", "test.ping", "--out", "jsonl"), ["db-1", "web-1"]),
    ],
)
def test_what_other_commands_print_is_a_node_file(three: Fleet, words: tuple[str, ...], selected: list[str]) -> None:
    done = three.run("fleet", "--nodes", "-", "test.ping", "--out", "json", stdin=three.ok("fleet", *words))
    assert done.code == 0, str(done)
    assert json.loads(done.stdout) == dict.fromkeys(selected, True)
    assert done.stderr == ""


def test_a_job_of_before_names_those_where_it_failed(three: Fleet) -> None:
    three.ok("fleet", "web-*", "cmd.run", 'test "$FLEET_ROOT" != ' + str(three.minion_root("web-2")), code=11)
    failed = three.ok("fleet", "jobs", "show", "last", "--only", "failed", "--out", "jsonl")
    done = three.run("fleet", "--nodes", "-", "--preview-target", stdin=failed)
    assert done.stdout == "web-2\n", f"{failed}{done}"


def test_a_hundred_thousand_names_are_read_and_not_held(three: Fleet, tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    few.write_text("web-1\ndb-1\n")
    names = [f"node-{number:06}.example.org" for number in range(MANY - 2)]
    many.write_text("\n".join(("db-1", *names, "web-1")))
    words = ("test.ping", "--out", "json", "--nodes")

    _, least_kib = run_with_peak(three, *words, str(few))
    done, peak = run_with_peak(three, *words, str(many))

    assert json.loads(done.stdout) == {"db-1": True, "web-1": True}, str(done)
    assert three.job()["target"] == "db-1,web-1"
    assert done.code == three.run("fleet", "-L", "web-1,node-000000", "test.ping").code == 12
    (warning,) = done.stderr.splitlines()
    assert f"99,998 of 100,000 names in '{many}' have no accepted key: node-000000.example.org, " in warning
    assert warning.endswith(", …")
    assert least_kib > 0
    assert peak - least_kib < GROWTH_LIMIT_KIB, (least_kib, peak)


def test_a_line_that_names_no_minion_is_told_and_nothing_is_run(three: Fleet, tmp_path: Path) -> None:
    before = three.job()["jid"] if three.client().jobs(limit=1).jobs else ""
    file = tmp_path / "nodes"
    file.write_text("web-1\nweb-2 and db-1\n")
    done = three.run("fleet", "--nodes", str(file), "test.ping")
    assert (done.code, done.stdout) == (2, "")
    assert f"line 2 of '{file}' is no minion id: 'web-2 and db-1'" in done.stderr
    assert "hint: a line holds a minion id" in done.stderr
    assert before == (three.job()["jid"] if before else "")
    assert three.run("fleet", "--nodes", "/dev/null", "test.ping").code == 2
    assert three.run("fleet", "--nodes", "-", "test.ping", stdin="web-9\n").code == 3
