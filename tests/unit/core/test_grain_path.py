from hypothesis import given
from hypothesis import strategies as st

from fleet.core.grain_path import find_grain
from fleet.core.values import Value

GRAINS: dict[str, Value] = {
    "os": "Debian",
    "dns": {"search": ["a", "b"], "port": 53},
    "a:b": 1,
    "a": {"b": 2},
    "x": None,
}


def test_a_path_leads_through_mappings_by_name_and_through_lists_by_number() -> None:
    assert find_grain(GRAINS, "dns:search:1") == ("b",)
    assert find_grain(GRAINS, "dns.port", ".") == (53,)
    assert find_grain(GRAINS, "x") == (None,)


def test_what_is_not_there_is_nothing_and_a_whole_name_counts_first() -> None:
    assert [find_grain(GRAINS, path) for path in ("no", "dns:no", "dns:search:2", "dns:search:-1", "os:0", "")] == [
        ()
    ] * 6
    assert find_grain(GRAINS, "a:b") == (1,)


@given(
    st.recursive(
        st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.text(max_size=12),
)
def test_no_key_and_no_shape_of_grains_makes_the_search_fail(value: Value, key: str) -> None:
    assert len(find_grain({"top": value}, key, ":")) <= 1
    assert find_grain({"top": value}, "top", ":") == (value,)
