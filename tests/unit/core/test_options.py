import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import UsageError
from fleet.core.options import Option, complete, read_seconds, scan

OPTIONS = (
    Option(("-v", "--verbose"), "say more"),
    Option(("-C", "--compound"), "combine"),
    Option(("-t", "--timeout"), "wait", "seconds", "SECONDS"),
    Option(("--limit",), "how many", "count", "N"),
    Option(("--out",), "how", "choice", "FORM", ("json", "text")),
    Option(("--minion",), "which", "text", "ID", repeats=True),
)

#: Ways to write options, each with the name that it must be found under.
WRITTEN = {
    "--verbose": (["-v"], ["--verbose"]),
    "--compound": (["-C"], ["--compound"]),
    "--timeout": (["-t", "5"], ["-t5"], ["-t=5"], ["--timeout", "5"], ["--timeout=5"]),
    "--limit": (["--limit", "7"], ["--limit=7"]),
    "--out": (["--out", "json"], ["--out=json"]),
    "--minion": (["--minion", "-x"], ["--minion=-x"]),
}


@given(
    words=st.lists(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda word: not word.startswith("-") or word == "-"),
        max_size=5,
    ),
    chosen=st.lists(st.sampled_from(sorted(WRITTEN)), unique=True),
    data=st.data(),
)
def test_options_mean_the_same_wherever_they_stand(words: list[str], chosen: list[str], data: st.DataObject) -> None:
    pieces = [[word] for word in words]
    for name in chosen:
        written = data.draw(st.sampled_from(WRITTEN[name]))
        pieces.insert(data.draw(st.integers(0, len(pieces))), written)
    scanned = scan([part for piece in pieces for part in piece], OPTIONS)
    assert scanned.words == tuple(words)
    assert set(scanned.found) == set(chosen)
    assert scanned.seconds("--timeout") == (5.0 if "--timeout" in chosen else None)
    assert scanned.count("--limit", 1) == (7 if "--limit" in chosen else 1)
    assert scanned.text("--out", "text") == ("json" if "--out" in chosen else "text")
    assert scanned.texts("--minion") == (("-x",) if "--minion" in chosen else ())


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=6))
def test_after_two_dashes_every_word_is_a_word(words: list[str]) -> None:
    scanned = scan(["-v", "first", "--", *words], OPTIONS)
    assert (scanned.words, scanned.literals, scanned.is_separated) == (("first",), tuple(words), True)
    assert set(scanned.found) == {"--verbose"}


def test_flags_may_be_written_together_with_one_value_at_their_end() -> None:
    scanned = scan(["-vCt2m"], OPTIONS)
    assert (scanned.flag("--verbose"), scanned.flag("--compound"), scanned.seconds("--timeout")) == (True, True, 120.0)


def test_the_last_of_several_counts_and_what_repeats_is_kept() -> None:
    scanned = scan(["--limit", "1", "--limit=2", "--minion", "a", "--minion=b"], OPTIONS)
    assert scanned.count("--limit", 0) == 2
    assert scanned.texts("--minion") == ("a", "b")


def test_name_value_words_pass_through_untouched() -> None:
    assert scan(["cwd=/tmp", "a=", "=b", "x==y"], OPTIONS).words == ("cwd=/tmp", "a=", "=b", "x==y")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--tiemout", "3"], "'--tiemout' is no option", "did you mean --timeout?"),
        (["-x"], "'-x' is no option", "--help"),
        (["-vx"], "'-vx' is no option", "--help"),
        (["--limit"], "--limit needs a value: --limit N", ""),
        (["--limit", "--", "3"], "--limit needs a value", ""),
        (["--limit", "-3"], "--limit takes a whole number, not '-3'", ""),
        (["--limit=٣"], "--limit takes a whole number", ""),
        (["-t", "soon"], "-t takes seconds, not 'soon'", "10m"),
        (["-t", "nan"], "-t takes seconds", ""),
        (["-t-1"], "-t takes seconds", ""),
        (["--out=xml"], "--out takes no 'xml'", "json, text"),
        (["--verbose=1"], "--verbose takes no value", ""),
        (["-v=1"], "-v takes no value", ""),
        (["\udcff"], "is no UTF-8", ""),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_way_out(arguments: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        scan(arguments, OPTIONS)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_times_are_seconds_or_have_a_unit() -> None:
    assert [read_seconds(text) for text in ("0", "1.5", "90s", "10m", "2h", "7d")] == [0, 1.5, 90, 600, 7200, 604800]


def test_a_beginning_stands_for_the_one_name_that_has_it() -> None:
    names = ("jobs", "minions", "status", "stop")
    assert [complete(word, names) for word in ("jobs", "jo", "m", "x", "")] == ["jobs", "jobs", "minions", "", ""]
    with pytest.raises(UsageError, match="several") as caught:
        complete("st", names)
    assert "status, stop" in caught.value.hint


@pytest.mark.parametrize(
    ("argument", "shown"),
    [("gr\udcff", r"'gr\xff' is no UTF-8"), ("\ud800", "'?' is no UTF-8"), ("\udcff\ud800", "is no UTF-8")],
)
def test_bytes_that_are_no_utf8_are_shown(argument: str, shown: str) -> None:
    with pytest.raises(UsageError) as caught:
        scan([argument], ())
    assert shown in caught.value.message


def test_utf8_that_the_locale_could_not_read_is_read() -> None:
    as_ascii_reads_it = "grüße".encode().decode("ascii", "surrogateescape")
    assert scan([as_ascii_reads_it, "grüße"], ()).words == ("grüße", "grüße")
