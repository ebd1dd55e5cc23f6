"""Reading YAML without its guessing."""

import time
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import SettingsError
from fleet.core.values import Value
from fleet.core.yaml_tree import DEPTH_LIMIT, Entries, Entry, Items, Word, plain_value, read_yaml


@pytest.fixture(autouse=True, scope="module", params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run everything with the fast parser and with the one that stands in where it was not built."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.delattr(yaml, "CSafeLoader", raising=False)
        yield


def value_of(text: str) -> Value:
    tree = read_yaml(text)
    assert tree is not None
    return plain_value(tree)


def test_a_tree_keeps_spelling_quotes_and_lines() -> None:
    assert read_yaml("a: 1.10\n\nb:\n  - 'no'\n  - ~\n") == Entries(
        (
            Entry("a", Word("1.10", is_plain=True, line=1), 1),
            Entry("b", Items((Word("no", is_plain=False, line=4), Word("~", is_plain=True, line=5)), 4), 3),
        ),
        1,
    )


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "---\n...\n", "null"])
def test_nothing_is_none(text: str) -> None:
    assert read_yaml(text) is None


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("4", 4),
        ("-4", -4),
        ("2.5", 2.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("text", "text"),
        ("'4'", "4"),
        ('"true"', "true"),
        ("1.10", "1.10"),
        ("0644", "0644"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-20", "2026-11-20"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("99999999999999999999", "99999999999999999999"),
        ("٣", "٣"),
        ("=", "="),
        ("[a, 1, [true]]", ["a", 1, [True]]),
        ("{b: {c: 1}}", {"b": {"c": 1}}),
        ("|\n  text\n", "text\n"),
    ],
)
def test_a_word_becomes_a_number_only_where_nothing_of_its_spelling_is_lost(written: str, value: Value) -> None:
    found = value_of(f"k: {written}")
    assert found == {"k": value}
    assert isinstance(found, dict)
    assert type(found["k"]) is type(value)


def test_keys_are_text_as_written() -> None:
    assert value_of("1: a\nyes: b\n'c': d\n<<: e") == {"1": "a", "yes": "b", "c": "d", "<<": "e"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system ['true']", "line 1, column 4: a tag"),
        ("a: !!python/name:os.system", "line 1, column 4: a tag"),
        ("!!python/object:os.system {}", "line 1, column 1: a tag"),
        ("a: !!binary aGk=", "line 1, column 4: a tag"),
        ("a: !own x", "line 1, column 4: a tag"),
        ("a: !!str 5", "line 1, column 4: a tag"),
        ("a: &x 1\nb: *x", "line 2, column 4: an alias"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}", "line 1, column 11: the key 'b' is given twice"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document"),
        ("? [a]\n: 1", "line 1, column 3: a key that is no text"),
        ("a: [1, 2", "line "),
        ("a: b: c", "line 1, column 5"),
        ("a: 'x", "line 1, column"),
        ("a:\n\t- b", "line 2, column 1"),
        ("a: \x07", "no YAML"),
        ("a: \udc80", "no YAML"),
    ],
)
def test_what_is_broken_or_refused_names_line_and_column(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_yaml(text)
    assert caught.value.message.startswith(message)
    assert caught.value.message.isprintable()


def test_a_billion_laughs_end_at_the_first_alias() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    started = time.monotonic()
    with pytest.raises(SettingsError, match="alias"):
        read_yaml("\n".join(lines))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_deep_nesting_ends_in_a_message(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    assert read_yaml(opening * 20 + "1" + closing * 20) is not None
    for times in (DEPTH_LIMIT + 2, 900, 20_000):
        with pytest.raises(SettingsError):
            read_yaml(opening * times)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.text(st.characters(codec="ascii"))),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_what_a_yaml_writer_writes_is_read_back(value: Value) -> None:
    assert value_of(yaml.safe_dump({"k": value}, default_flow_style=False)) == {"k": value}


@given(st.text(alphabet="ab1:-[]{},'\"|>&*!%#?~ \n\t\x00\udc80é", max_size=40))
def test_any_text_is_a_tree_or_a_settings_error(text: str) -> None:
    try:
        tree = read_yaml(text)
    except SettingsError:
        return
    if tree is not None:
        plain_value(tree)
