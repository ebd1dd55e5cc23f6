"""Which function can be given the stdin of its job."""

import pytest

from fleet.core.arguments import Call, bind
from fleet.core.errors import ArgumentError
from fleet.core.names import FunctionName
from fleet.core.stdin_fit import check_stdin_fits
from fleet.modules.catalogue import function_specs

SPECS = function_specs()


def check(function: str, *words: str, stdin_bytes: int = 1) -> None:
    spec = SPECS[FunctionName(function)]
    check_stdin_fits(spec, bind(spec, Call(words)), stdin_bytes)


def test_a_function_with_a_process_of_its_own_takes_it() -> None:
    check("cmd.run", "cat")
    check("cmd.run", "cat", "stdin=")
    check("cmd.exec", "cat", "-n", "stdin")


def test_an_instant_function_reads_none() -> None:
    with pytest.raises(ArgumentError, match=r"test\.ping reads no stdin: it is instant"):
        check("test.ping")


def test_two_of_them_are_one_too_many() -> None:
    with pytest.raises(ArgumentError, match="another one by its own argument 'stdin'"):
        check("cmd.run", "cat", "stdin=mine")


def test_none_fits_everywhere() -> None:
    check("test.ping", stdin_bytes=0)
    check("cmd.run", "cat", "stdin=mine", stdin_bytes=0)
