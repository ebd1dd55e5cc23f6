import hashlib

import pytest

import fleet
from fleet.core.functions import CommandFailedError
from fleet.modules import test_ as subject


def test_instant_answers() -> None:
    assert subject.ping() is True
    assert subject.true() is True
    assert subject.false() is False
    assert subject.version() == fleet.__version__


def test_text_comes_back_as_it_went() -> None:
    assert subject.echo("1.10") == "1.10"
    assert subject.arg("a b", "1.10", "k=v", "") == ["a b", "1.10", "k=v", ""]


def test_keyword_arguments_come_back_with_their_types() -> None:
    assert subject.kwarg() == {}
    assert subject.kwarg(text="1.10", integer=1, flag=False, words=["a"], value={"x": 1}) == {
        "text": "1.10",
        "integer": 1,
        "flag": False,
        "words": ["a"],
        "value": {"x": 1},
    }


def test_versions_name_what_the_minion_is_built_on() -> None:
    report = subject.versions_report()
    assert report["fleet"] == fleet.__version__
    assert {"python", "kernel", "pyzmq", "psutil"} <= set(report)
    assert all(report.values())


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 1e12])
def test_a_time_that_cannot_be_waited_is_refused(seconds: float) -> None:
    with pytest.raises(CommandFailedError, match="cannot wait"):
        subject.sleep(seconds)
    with pytest.raises(CommandFailedError, match="cannot wait"):
        subject.rand_sleep(seconds)


def test_sleeping_waits_as_long_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    assert subject.sleep(1.5) is True
    told = subject.rand_sleep(3.0)
    assert waited == [1.5, told]
    assert 0.0 <= told <= 3.0


def test_an_exit_code_is_a_failure_unless_it_is_0() -> None:
    assert subject.retcode(0) is True
    with pytest.raises(CommandFailedError) as failed:
        subject.retcode(7)
    assert failed.value.retcode == 7
    with pytest.raises(CommandFailedError, match="256 is no exit code"):
        subject.retcode(256)


def test_a_bug_is_no_failure_of_a_command() -> None:
    with pytest.raises(RuntimeError, match="boom"):
        subject.exception("boom")


def test_fibonacci_numbers_up_to_the_last_that_fits_64_bits() -> None:
    assert [subject.fib(number) for number in range(8)] == [0, 1, 1, 2, 3, 5, 8, 13]
    assert subject.fib(92) == subject.fib(91) + subject.fib(90) < 2**63
    with pytest.raises(CommandFailedError):
        subject.fib(93)


def test_the_hash_is_of_as_many_random_bytes_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 2 * 1024 * 1024 + 17
    monkeypatch.setattr("os.urandom", lambda count: b"x" * count)
    assert subject.random_hash(size) == hashlib.sha256(b"x" * size).hexdigest()
    monkeypatch.undo()
    assert subject.random_hash(32) != subject.random_hash(32)
    for out_of_range in (0, -1, 10**12):
        with pytest.raises(CommandFailedError, match="out of range"):
            subject.random_hash(out_of_range)
