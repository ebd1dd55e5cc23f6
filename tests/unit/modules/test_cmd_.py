import stat
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from fleet.core.functions import CommandFailedError, Program
from fleet.modules import cmd_

Answer = Literal["text", "stdout", "stderr", "retcode", "all"]
LINE = 'x="a b"; echo "$x" k=v'


@pytest.mark.parametrize(
    ("run", "answer"),
    [
        (cmd_.run, "text"),
        (cmd_.run_all, "all"),
        (cmd_.run_stdout, "stdout"),
        (cmd_.run_stderr, "stderr"),
        (cmd_.retcode, "retcode"),
        (cmd_.run_in_shell, "text"),
    ],
)
def test_a_command_reaches_the_shell_as_it_was_written(run: Callable[..., Program], answer: Answer) -> None:
    assert run(LINE) == Program(("/bin/sh", "-c", LINE), answer=answer)
    everything = run(
        LINE,
        cwd="/srv",
        env={"A": "1", "EMPTY": ""},
        runas="www-data",
        stdin="é\n",
        timeout=2.5,
        success_retcodes=[1, 24],
        shell="/bin/bash",
    )
    assert everything == Program(
        ("/bin/bash", "-c", LINE),
        "/srv",
        (("A", "1"), ("EMPTY", "")),
        "www-data",
        "é\n".encode(),
        2.5,
        (0, 1, 24),
        answer,
    )


def test_a_program_gets_its_words_without_a_shell() -> None:
    program = cmd_.execute("printf", "%s", "$HOME; *", "-n", timeout=1.0)
    assert program.words == ("printf", "%s", "$HOME; *", "-n")
    assert program.answer == "text"


def test_input_that_was_no_utf_8_reaches_the_program_byte_by_byte() -> None:
    assert cmd_.run("cat", stdin=b"\xff\x00a".decode("utf-8", "surrogateescape")).stdin == b"\xff\x00a"


@pytest.mark.parametrize(
    "call",
    [
        lambda: cmd_.run("echo \0"),
        lambda: cmd_.run("true", cwd="/\0"),
        lambda: cmd_.run("true", env={"A\0": "x"}),
        lambda: cmd_.run("true", env={"A": "\0"}),
        lambda: cmd_.run("true", env={"": "x"}),
        lambda: cmd_.run("true", env={"A=B": "x"}),
        lambda: cmd_.run("true", timeout=-1.0),
        lambda: cmd_.run("true", timeout=float("nan")),
        lambda: cmd_.run("true", timeout=float("inf")),
        lambda: cmd_.run("true", shell=""),
        lambda: cmd_.execute(""),
        lambda: cmd_.execute("ls", "a\0b"),
    ],
)
def test_what_no_program_can_be_started_with_is_refused(call: Callable[[], Program]) -> None:
    with pytest.raises(CommandFailedError):
        call()


def test_a_program_is_found_in_the_path_of_the_minion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "my-tool"
    tool.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cmd_.which("my-tool") is None
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert cmd_.which("my-tool") == str(tool)
    assert cmd_.has_exec("my-tool") is True
    assert cmd_.has_exec("another-tool") is False
