"""Secrets do not print."""

import copy
import logging
import pickle
from dataclasses import asdict, dataclass

import pytest

from fleet.core.secret import Secret

TEXT = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    password: Secret


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r}".format, lambda secret: f"{secret}", lambda secret: f"{secret:}"]
)
def test_no_way_of_printing_shows_the_text(show: object) -> None:
    assert callable(show)
    shown = show(Secret(TEXT))
    assert TEXT not in shown
    assert "***" in shown


def test_a_structure_that_holds_a_secret_does_not_show_it_either() -> None:
    assert TEXT not in repr(Account("ann", Secret(TEXT)))


def test_a_log_line_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("t").warning("password %s %r", Secret(TEXT), Secret(TEXT))
    assert TEXT not in caplog.text
    assert "***" in caplog.text


def test_secrets_of_different_length_look_the_same() -> None:
    assert repr(Secret("a")) == repr(Secret("a" * 50))


def test_reveal_gives_the_text() -> None:
    assert Secret(TEXT).reveal() == TEXT


def test_equal_texts_are_equal_secrets_and_no_text_equals_a_secret() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(TEXT + "x")
    assert Secret("é\udc80") == Secret("é\udc80")
    assert Secret(TEXT) != TEXT


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_cannot_be_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(Secret(TEXT), protocol)


def test_it_cannot_be_copied_out_of_a_structure() -> None:
    with pytest.raises(TypeError, match="secret"):
        copy.deepcopy(Secret(TEXT))
    with pytest.raises(TypeError, match="secret"):
        asdict(Account("ann", Secret(TEXT)))


def test_it_has_no_hash_and_no_dictionary() -> None:
    with pytest.raises(TypeError):
        hash(Secret(TEXT))
    with pytest.raises(TypeError):
        vars(Secret(TEXT))


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")
