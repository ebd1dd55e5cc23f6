import os
import pty
import sys
from types import SimpleNamespace
from typing import cast

import pytest

from fleet.client.job_stream import JobStream
from fleet.client.progress import Progress, progress_line
from fleet.client.results import MinionResult, read_result, read_silence
from fleet.core.visible import columns
from support.fake_master import JID, ran, silent


def stream(*results: MinionResult, waiting: tuple[str, ...] = ("web-1", "web-2"), seconds: float = 2) -> JobStream:
    known = {result.minion: result for result in results}
    minions = (*known, *waiting)
    return cast(
        "JobStream",
        SimpleNamespace(results=known, minions=minions, open_minions=waiting, elapsed_seconds=seconds),
    )


def test_it_counts_and_names_who_is_waited_for() -> None:
    results = [read_result(JID, ran("a")), read_result(JID, ran("b", retcode=1)), read_silence(JID, silent("c"))]
    assert progress_line(stream(*results)) == "2/5 · 2 s · 1 failed · 1 silent · waiting: web-[1-2]"


def test_it_is_cut_by_columns_so_that_it_stays_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    terminal = SimpleNamespace(isatty=lambda: True, write=written.append, flush=lambda: None, fileno=lambda: 2)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((40, 24)))
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(stream(waiting=tuple(chr(0xAC00 + index) for index in range(40))), is_wanted=True)
    progress.tick()
    line = written[0].removeprefix("\r\x1b[K")
    assert 38 <= columns(line) <= 39
    progress.clear()
    assert written[-1] == "\r\x1b[K"


@pytest.mark.parametrize("reason", ["dumb", "unwanted", "early"])
def test_where_nobody_looks_or_nothing_could_be_erased_there_is_none(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as terminal, open(master, "rb", buffering=0) as screen:
        monkeypatch.setenv("TERM", "dumb" if reason == "dumb" else "xterm")
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress(stream(seconds=0.1 if reason == "early" else 2), is_wanted=reason != "unwanted")
        progress.tick()
        progress.clear()
        terminal.write("end")
        terminal.flush()
        assert screen.read(100) == b"end"


def test_without_a_terminal_there_is_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(stream(), is_wanted=True)
    progress.tick()
    progress.clear()
    progress.end_line()
    assert capsys.readouterr().err == ""
