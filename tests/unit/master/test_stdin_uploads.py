"""Uploads of stdin: in parts, in order, within bounds, and gone with their connection."""

import pytest

from fleet.core.control import STDIN_PART_BYTES
from fleet.core.control_requests import UploadStdin
from fleet.core.crypto import digest
from fleet.core.errors import ArgumentError, UnreachableError
from fleet.master.stdin_uploads import Stdin, StdinUploads


def uploads(stdin_limit_bytes: int = 10, limit_bytes: int = 25) -> StdinUploads:
    return StdinUploads(stdin_limit_bytes, limit_bytes)


def held(some: StdinUploads) -> int:
    return some.figures()["stdin_uploads_bytes"][0]


def test_parts_become_the_stdin_of_the_job_that_names_its_length() -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 5, b"abc"))
    some.take(2, UploadStdin(0, 1, b"x"))
    some.take(1, UploadStdin(3, 5, b"de"))
    assert held(some) == 6
    assert some.finish(1, 5) == Stdin(b"abcde", digest(b"abcde"))
    assert some.finish(2, 1) == Stdin(b"x", digest(b"x"))
    assert held(some) == 0


def test_a_job_without_a_stdin_has_none() -> None:
    assert uploads().finish(1, 0) == Stdin()


@pytest.mark.parametrize("length", [0, 4, 6])
def test_a_job_that_speaks_of_another_stdin_is_refused_and_nothing_is_held(length: int) -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 5, b"abcde"))
    with pytest.raises(ArgumentError, match="5 were uploaded"):
        some.finish(1, length)
    assert held(some) == 0


def test_one_that_is_not_whole_is_no_stdin() -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 5, b"abc"))
    with pytest.raises(ArgumentError, match="5 bytes, and 3 were uploaded"):
        some.finish(1, 5)


@pytest.mark.parametrize(
    "part",
    [
        UploadStdin(2, 5, b"cd"),
        UploadStdin(4, 5, b"e"),
        UploadStdin(3, 6, b"de"),
        UploadStdin(3, 5, b"def"),
        UploadStdin(3, 5, b""),
        UploadStdin(-1, 5, b"a"),
    ],
)
def test_a_part_that_does_not_follow_is_refused(part: UploadStdin) -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 5, b"abc"))
    with pytest.raises(ArgumentError):
        some.take(1, part)
    some.take(1, UploadStdin(3, 5, b"de"))
    assert some.finish(1, 5) == Stdin(b"abcde", digest(b"abcde"))


def test_a_part_without_a_beginning_is_refused() -> None:
    with pytest.raises(ArgumentError):
        uploads().take(1, UploadStdin(3, 5, b"de"))


def test_a_part_has_a_limit_of_its_own() -> None:
    some = uploads(2**30, 2**30)
    with pytest.raises(ArgumentError):
        some.take(1, UploadStdin(0, 2**29, bytes(STDIN_PART_BYTES + 1)))


def test_the_limit_is_known_from_the_first_part_on() -> None:
    with pytest.raises(ArgumentError, match="11 bytes, this master takes 10") as refused:
        uploads().take(1, UploadStdin(0, 11, b"a"))
    assert "stdin_limit_bytes" in refused.value.hint


def test_all_together_have_a_limit_which_ends_with_their_connections() -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 10, b"a"))
    some.take(2, UploadStdin(0, 10, b"a"))
    with pytest.raises(UnreachableError, match="20 bytes of stdin") as refused:
        some.take(3, UploadStdin(0, 10, b"a"))
    assert refused.value.hint == "try again"
    some.drop(1)
    some.drop(1)
    some.take(3, UploadStdin(0, 10, b"a"))
    assert held(some) == 20


def test_a_connection_may_begin_anew() -> None:
    some = uploads()
    some.take(1, UploadStdin(0, 10, b"a"))
    some.take(1, UploadStdin(0, 2, b"xy"))
    assert held(some) == 2
    assert some.finish(1, 2) == Stdin(b"xy", digest(b"xy"))
