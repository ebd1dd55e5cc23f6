import os
import resource
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.client.result_folder import ResultFolder
from fleet.client.results import MinionResult, read_result
from fleet.core.control_answers import TargetResult
from fleet.core.errors import ArgumentError, OutputError
from fleet.core.job_states import JobState
from fleet.core.names import MinionId, is_minion_id
from support.fake_master import JID, ran, returned, without_value


def results(*answers: TargetResult) -> list[MinionResult]:
    return [read_result(JID, answer) for answer in answers]


def written(folder: Path, *answers: TargetResult, form: str = "nested") -> tuple[str, dict[str, bytes]]:
    with ResultFolder(str(folder)) as opened:
        said = opened.write(results(*answers), form)
    return said, {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


def test_each_minion_has_its_stdout_byte_for_byte_and_stderr_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    said, files = written(folder, ran("web-1", b"\xff\x1b\n", b"bad\n", retcode=1), ran("web-2"), ran("a.b_c", b"x"))
    assert files == {"a.b_c": b"x", "web-1": b"\xff\x1b\n", "web-1~stderr": b"bad\n", "web-2": b""}
    assert said == f"3 minions written to {folder}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in files} == {0o600}


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("nested", "text: é␛\nlist:\n    - 1\n"),
        ("txt", "text: é␛\nlist:\n    - 1\n"),
        ("json", '{\n  "text": "é\\u001b",\n  "list": [\n    1\n  ]\n}\n'),
        ("jsonl", '{"text": "é\\u001b", "list": [1]}\n'),
        ("raw", '{"text": "é\\u001b", "list": [1]}\n'),
        ("yaml", 'text: "é\\e"\nlist:\n- 1\n'),
    ],
)
def test_a_value_is_in_the_chosen_form(tmp_path: Path, form: str, content: str) -> None:
    _, files = written(tmp_path, returned("a", {"text": "é\x1b", "list": [1]}), form=form)
    assert files == {"a": content.encode()}


def test_who_has_nothing_has_no_file_and_is_counted(tmp_path: Path) -> None:
    said, files = written(tmp_path, ran("a", b"x"), without_value("b", JobState.EXPIRED, "late"))
    assert (said, files) == (f"1 minion written to {tmp_path}; 1 had nothing to write", {"a": b"x"})


def test_a_program_that_was_killed_has_what_it_wrote(tmp_path: Path) -> None:
    killed = replace(ran("a", b"half", b"err"), has_value=False, state=JobState.TIMED_OUT)
    assert written(tmp_path, killed)[1] == {"a": b"half", "a~stderr": b"err"}


def test_a_minion_that_is_called_like_the_stderr_of_another_loses_nothing(tmp_path: Path) -> None:
    _, files = written(tmp_path, ran("a", b"1", b"2"), ran("a.stderr", b"3", b"4"), ran("b.stderr", b"5"))
    assert files == {"a": b"1", "a~stderr": b"2", "a.stderr": b"3", "a.stderr~stderr": b"4", "b.stderr": b"5"}
    assert not is_minion_id("a~stderr")


@pytest.mark.parametrize("name", ["../x", "/etc/x", ".", "..", "", "a/b", ".hidden", "a\0b"])
def test_an_id_is_never_trusted_as_a_path(tmp_path: Path, name: str) -> None:
    evil = replace(results(ran("a", b"x"))[0], minion=MinionId(name))
    with ResultFolder(str(tmp_path / "out")) as folder, pytest.raises(ArgumentError):
        folder.write([*results(ran("b", b"x")), evil], "nested")
    assert os.listdir(tmp_path) == []


def refusal(path: Path | str) -> str:
    with pytest.raises(OutputError) as caught:
        ResultFolder(str(path))
    assert caught.value.hint
    return caught.value.message


def test_a_folder_that_holds_something_is_a_link_or_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/web-1").symlink_to("/etc/passwd")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    assert "it is not empty" in refusal(tmp_path / "full")
    assert "symbolic link" in refusal(tmp_path / "link")
    assert "symbolic link" in refusal(f"{tmp_path}/link/")
    assert "Not a directory" in refusal(tmp_path / "file")
    assert "No such file" in refusal(tmp_path / "no/out")
    assert os.listdir(tmp_path / "real") == []


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(mode)
    assert "other accounts may write there" in refusal(tmp_path / "out")


def test_a_folder_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir(0o755)
    caller = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: caller + 1)
    assert "it belongs to another account" in refusal(tmp_path / "out")


def test_a_link_that_is_planted_meanwhile_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with ResultFolder(str(tmp_path / "out")) as folder:
        (tmp_path / "out/a").symlink_to(victim)
        with pytest.raises(FileExistsError):
            folder.write(results(ran("a", b"x")), "nested")
    assert victim.read_text() == "precious"


def test_when_the_disk_is_full_no_half_file_is_left(tmp_path: Path) -> None:
    def fail(limit_bytes: int) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
        try:
            written(tmp_path, ran("a", b"x" * 100), ran("b", b"y" * 70_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with pytest.raises(OSError, match="File too large"):
        fail(65_536)
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"x" * 100


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path: Path) -> None:
    with ResultFolder(str(tmp_path / "out")) as folder:
        folder.write([], "nested")
    assert os.listdir(tmp_path) == []
    with ResultFolder(str(tmp_path)):
        pass
    assert tmp_path.is_dir()
