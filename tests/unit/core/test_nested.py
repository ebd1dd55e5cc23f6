from fleet.core.nested import nested_lines
from fleet.core.values import Value


def test_scalars_are_written_as_they_are() -> None:
    assert [nested_lines(value) for value in (True, None, 1.10, "1.10", b"x\xff", "")] == [
        ["True"],
        ["None"],
        ["1.1"],
        ["1.10"],
        ["x\ufffd"],
        [],
    ]


def test_lists_have_a_dash_and_dictionaries_are_indented() -> None:
    value: Value = {"list": ["a", ["b", "c"], {"d": 1, "e": {"f": 2}}], "map": {"g": {}}}
    assert nested_lines(value) == [
        "list:",
        "    - a",
        "    - - b",
        "      - c",
        "    - d: 1",
        "      e:",
        "          f: 2",
        "map:",
        "    g: {}",
    ]


def test_text_of_several_lines_stands_under_its_name() -> None:
    assert nested_lines({"a": "1\n2\n", "b": ["3\n4"]}) == ["a:", "    1", "    2", "b:", "    - 3", "      4"]


def test_names_and_texts_cannot_reach_the_terminal() -> None:
    assert nested_lines({"a\x1b[2J\n": "b\x1b\tc"}) == ["a␛[2J␊: b␛\tc"]
