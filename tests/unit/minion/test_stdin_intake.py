"""The stdin of accepted jobs on the disk: fetched, checked, kept over restarts, and never believed without its digest."""

import stat
from pathlib import Path

import pytest

from fleet.core.crypto import digest
from fleet.core.errors import ArgumentError
from fleet.core.from_master import StdinChunk
from fleet.core.from_minion import NeedStdin
from fleet.core.job_document import JobDocument
from fleet.core.messages import CHUNK_LIMIT_BYTES, WINDOW_BYTES, FromMinion
from fleet.core.names import FunctionName, Jid
from fleet.minion.stdin_fetches import ASK_AGAIN_LIMIT_US
from fleet.minion.stdin_files import StdinFiles
from fleet.minion.stdin_intake import StdinArrived, StdinGone, StdinIntake, StdinNews
from support.minion_machine import NOW, jid

A, B = jid(1), jid(2)
DATA = bytes(range(256)) * 1_500


def document(of: Jid = A, data: bytes = DATA) -> JobDocument:
    return JobDocument(
        of, FunctionName("cmd.run"), (), (), (), {}, "root", NOW, NOW, 0.0, 1024, len(data), digest(data)
    )


class Machine:
    """A minion's disk, and the daemons that use it one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent: list[FromMinion] = []
        self.restart()

    def restart(self) -> None:
        self.sent.clear()
        self.intake = StdinIntake(StdinFiles(str(self.folder)), self.sent.append)
        self.intake.joined()

    def tick(self, *lacking: JobDocument, now_us: int = NOW) -> list[StdinNews]:
        return self.intake.tick(lacking, now_us)

    def answer(self, data: bytes = DATA, chunks: int = 99) -> list[StdinNews]:
        """Send what was asked for last."""
        asked = self.sent[-1]
        assert isinstance(asked, NeedStdin)
        news = []
        end = min(asked.offset + WINDOW_BYTES, len(data))
        for start in list(range(asked.offset, end, CHUNK_LIMIT_BYTES))[:chunks]:
            part = data[start : min(start + CHUNK_LIMIT_BYTES, end)]
            news += self.intake.take(StdinChunk(asked.jid, start, part), NOW)
        return news

    def file(self, of: Jid = A) -> Path:
        return self.folder / f"{of}.stdin"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_fetched_and_the_master_is_told_when_all_is_here(machine: Machine) -> None:
    assert machine.tick(document()) == []
    assert machine.answer() == []
    assert machine.answer() == [StdinArrived(A)]
    assert machine.sent == [NeedStdin(A, 0), NeedStdin(A, WINDOW_BYTES), NeedStdin(A, len(DATA))]
    assert machine.file().read_bytes() == DATA
    assert stat.S_IMODE(machine.file().stat().st_mode) == 0o600
    assert machine.intake.deadline_us() is None


def test_the_next_daemon_goes_on_where_the_one_before_was(machine: Machine) -> None:
    machine.tick(document())
    machine.answer(chunks=3)
    machine.restart()
    machine.tick(document())
    assert machine.sent == [NeedStdin(A, 3 * CHUNK_LIMIT_BYTES)]
    machine.answer()
    assert machine.answer() == [StdinArrived(A)]
    machine.restart()
    assert machine.tick(document()) == [StdinArrived(A)]


@pytest.mark.parametrize("left", [DATA[:-1] + b"?", DATA + b"?"])
def test_what_a_power_cut_has_spoilt_is_fetched_anew(machine: Machine, left: bytes) -> None:
    machine.file().write_bytes(left)
    assert machine.tick(document()) == []
    machine.tick(document(), now_us=NOW + ASK_AGAIN_LIMIT_US)
    assert machine.sent[-1] == NeedStdin(A, 0)
    machine.answer()
    assert machine.answer() == [StdinArrived(A)]


def test_what_is_wrong_again_and_again_ends_the_job(machine: Machine) -> None:
    news: list[StdinNews] = []
    wrong = DATA[:-1] + b"?"
    for number in range(3):
        assert news == []
        machine.tick(document(), now_us=NOW + number * ASK_AGAIN_LIMIT_US)
        machine.answer(wrong)
        news = machine.answer(wrong)
    (gone,) = news
    assert isinstance(gone, StdinGone)
    assert "not what its digest says" in gone.reason
    assert not machine.file().exists()


def test_where_the_master_has_nothing_any_more_the_job_cannot_start(machine: Machine) -> None:
    machine.tick(document())
    machine.answer(chunks=1)
    (gone,) = machine.intake.take(StdinChunk(A, CHUNK_LIMIT_BYTES, b""), NOW)
    assert isinstance(gone, StdinGone)
    assert "nothing of its stdin any more" in gone.reason
    assert machine.intake.take(StdinChunk(A, CHUNK_LIMIT_BYTES, b""), NOW) == []


def test_a_disk_that_fails_puts_it_off(machine: Machine) -> None:
    machine.tick(document(data=DATA * 20))
    machine.file().mkdir()
    assert machine.answer(chunks=1) == []
    machine.file().rmdir()
    machine.tick(document(data=DATA * 20), now_us=NOW + ASK_AGAIN_LIMIT_US)
    assert machine.sent[-1] == NeedStdin(A, 0)


def test_a_job_that_waits_no_more_is_not_fetched_for(machine: Machine) -> None:
    machine.tick(document(), document(B))
    machine.tick(document(B))
    assert machine.sent == [NeedStdin(A, 0), NeedStdin(B, 0)]
    assert machine.intake.take(StdinChunk(A, 0, b"x"), NOW) == []
    machine.intake.left()
    machine.tick(document(B), now_us=NOW + ASK_AGAIN_LIMIT_US)
    assert len(machine.sent) == 2


def test_the_files_of_a_spool_are_found_and_removed_by_their_jobs(machine: Machine) -> None:
    files = machine.intake.files
    machine.file().write_bytes(b"x")
    (machine.folder / "other.stdin").touch()
    (machine.folder / str(B)).mkdir()
    assert files.jids() == [A]
    files.remove(A)
    files.remove(A)
    assert files.jids() == []
    with pytest.raises(ArgumentError):
        files.path(Jid("../../etc/passwd"))
