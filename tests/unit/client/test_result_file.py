import os
import stat
from pathlib import Path

import pytest

from fleet.client.result_file import ResultFile
from fleet.core.errors import OutputError


def write(path: Path | str, text: str = "new €\n") -> None:
    with ResultFile(str(path)) as file:
        print(text, end="")
        file.commit()


def test_what_is_printed_goes_there_and_stdout_is_stdout_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "out")
    print("after")
    assert (tmp_path / "out").read_text("utf-8") == "new €\n"
    assert capsys.readouterr().out == "after\n"
    assert os.listdir(tmp_path) == ["out"]


def test_a_new_file_is_of_the_caller_alone_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_file_that_is_replaced_keeps_its_mode_but_not_its_content(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old and much longer")
    (tmp_path / "out").chmod(0o2644)
    write(tmp_path / "out", "x")
    assert (tmp_path / "out").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o644


def test_nobody_else_may_write_to_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(0o666)
    write(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o644


@pytest.mark.parametrize("mode", [0o1777, 0o770, 0o702])
def test_where_others_may_write_the_mode_of_what_is_there_counts_for_nothing(tmp_path: Path, mode: int) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(0o644)
    tmp_path.chmod(mode)
    write(tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_name_alone_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("out")
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_without_a_commit_nothing_has_happened(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "out").write_text("old")

    def fail() -> None:
        with ResultFile(str(tmp_path / "out")):
            print("half")
            raise error

    with pytest.raises(error):
        fail()
    assert (tmp_path / "out").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def refusal(path: Path | str) -> tuple[str, str]:
    with pytest.raises(OutputError) as caught:
        ResultFile(str(path))
    return caught.value.message, caught.value.hint


def test_a_folder_that_is_not_there_a_folder_and_a_part_that_is_none_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no/out") == (
        f"cannot write to '{tmp_path}/no/out': No such file or directory",
        "make the folder first",
    )
    assert "it is a folder" in refusal(tmp_path)[0]
    assert "it is a folder" in refusal(f"{tmp_path}/")[0]
    (tmp_path / "file").touch()
    assert "part of the path is no folder" in refusal(tmp_path / "file/out")[1]
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_of_another_account_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("bait")
    caller = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: caller + 1)
    message, hint = refusal(tmp_path / "out")
    assert message == f"cannot write to '{tmp_path}/out': the file that is there belongs to another account"
    assert "choose another file" in hint
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out").read_text() == "bait"


def test_links_and_what_is_no_file_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert "symbolic link" in refusal(tmp_path / "link")[0]
    assert "symbolic link" in refusal(tmp_path / "dangling")[0]
    assert "no regular file" in refusal(tmp_path / "pipe")[0]
    assert "no regular file" in refusal("/dev/null")[0]
    assert (tmp_path / "real").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["dangling", "link", "pipe", "real"]


def test_a_long_name_is_said_to_be_one(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300))[1] == "choose a shorter name"
