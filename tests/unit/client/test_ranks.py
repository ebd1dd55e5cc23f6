from dataclasses import replace

import pytest

from fleet.client.exit_codes import exit_code_of
from fleet.client.ranks import Only, Rank, rank_of, read_only
from fleet.client.results import MinionResult, read_result
from fleet.core.errors import UsageError
from fleet.core.job_states import JobState
from fleet.core.values import Value
from support.fake_master import JID, ran, returned, without_value


def result(state: JobState) -> MinionResult:
    return read_result(JID, without_value("a", state, ""))


@pytest.mark.parametrize("state", JobState)
def test_a_rank_is_what_the_exit_code_says(state: JobState) -> None:
    codes = {11: Rank.FAILED, 12: Rank.SILENT, 13: Rank.REFUSED, 0: Rank.OK}
    assert rank_of(result(state)) is codes[exit_code_of([state])]


@pytest.mark.parametrize(
    ("values", "ranks", "non_empty"),
    [
        ((), set(Rank), False),
        (("failed",), {Rank.FAILED}, False),
        (("failed,silent", "ok"), {Rank.FAILED, Rank.SILENT, Rank.OK}, False),
        ((" refused , ok",), {Rank.REFUSED, Rank.OK}, False),
        (("non-empty",), set(Rank), True),
        (("ok", "non-empty"), {Rank.OK}, True),
    ],
)
def test_words_are_repeated_or_stand_between_commas(values: tuple[str, ...], ranks: set[Rank], non_empty: bool) -> None:
    assert read_only(values) == Only(frozenset(ranks), non_empty)


@pytest.mark.parametrize("value", ["", "silnt", "ok,", "all", "OK"])
def test_another_word_is_no_choice(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_only(["ok", value])
    assert "failed,silent,refused,ok,non-empty" in caught.value.hint
    assert ("did you mean silent?" in caught.value.hint) == (value == "silnt")


@pytest.mark.parametrize("value", [None, "", b"", [], {}])
def test_an_empty_value_is_nothing_to_show(value: Value) -> None:
    assert not Only(non_empty=True).shows(read_result(JID, returned("a", value)))
    assert Only().shows(read_result(JID, returned("a", value)))


@pytest.mark.parametrize("value", [False, 0, 0.0, " ", [None], {"": None}])
def test_false_and_zero_are_something(value: Value) -> None:
    assert Only(non_empty=True).shows(read_result(JID, returned("a", value)))


def test_output_on_either_stream_and_a_traceback_are_something() -> None:
    shows = Only(non_empty=True).shows
    quiet = replace(ran("a", retcode=1), has_value=False)
    assert not shows(read_result(JID, quiet))
    for loud in (ran("a", b"x"), ran("a", b"", b"x"), replace(quiet, traceback="T")):
        assert shows(read_result(JID, loud))
    assert not shows(read_result(JID, replace(ran("a", b"", b"x"), value_from="stdout")))


def test_unknown_ids_are_among_the_silent() -> None:
    assert [
        only.shows_unknown for only in (Only(), read_only(["silent"]), read_only(["ok"]), read_only(["non-empty"]))
    ] == [
        True,
        True,
        False,
        False,
    ]
