import json
from math import inf, nan

import yaml
from hypothesis import given
from hypothesis import strategies as st

from fleet.client.documents import keys_document, portable
from fleet.client.output import json_document, json_line, yaml_document
from fleet.core.control_answers import KeyRow
from fleet.core.names import MinionId
from fleet.core.values import Value

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
TEXTS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_says_the_same_in_one_document_and_on_one_line(value: object) -> None:
    assert json.loads(json_document(value)) == value
    line = json_line(value)
    assert json.loads(line) == value
    assert line.count("\n") == 1


@given(st.dictionaries(TEXTS, SCALARS | TEXTS, max_size=4))
def test_yaml_says_the_same_and_hides_nothing(value: dict[str, object]) -> None:
    text = yaml_document(value)
    assert yaml.safe_load(text) == value
    assert "\u202e" not in text


def test_yaml_quotes_what_looks_like_something_else() -> None:
    assert yaml_document({"a": "1.10", "b": "yes", "c": "ä"}) == "a: '1.10'\nb: 'yes'\nc: ä\n"


def test_what_json_cannot_say_has_a_form_all_the_same() -> None:
    value: Value = {"a": (1, b"text"), "b": [b"\xff", nan, inf]}
    assert portable(value) == {"a": [1, "text"], "b": [{"base64": "/w=="}, None, None]}


def test_an_id_has_one_accepted_key_and_any_number_of_others() -> None:
    rows = [
        KeyRow(MinionId(minion), code, "", state, "", 0)
        for minion, code, state in (
            ("b", "2", "accepted"),
            ("a", "4", "pending"),
            ("a", "3", "pending"),
            ("b", "9", "denied"),
        )
    ]
    assert keys_document(rows, ("accepted", "pending", "rejected", "denied")) == {
        "accepted": {"b": "2"},
        "pending": {"a": ["3", "4"]},
        "rejected": {},
        "denied": {"b": ["9"]},
    }
