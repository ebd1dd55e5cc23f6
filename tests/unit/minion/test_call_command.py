from pathlib import Path

import pytest

from fleet.minion.call_command import main


@pytest.mark.parametrize("words", [("nosuch.fn",), ("test.nosuch",), ("nosuch",), ("test.ping", "a"), ()])
def test_a_function_that_is_not_there_or_does_not_fit_is_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert main([*words, "--root", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
