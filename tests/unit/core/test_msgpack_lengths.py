import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.errors import ProtocolError
from fleet.core.msgpack_lengths import count_items, has_more_items

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**40) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=25,
)


def items_of(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(items_of(item) for item in value)
    if isinstance(value, dict):
        return 1 + sum(1 + items_of(item) for item in value.values())
    return 1


@given(_VALUES)
def test_every_item_is_counted_at_every_depth(value: object) -> None:
    data, items = msgpack.packb(value), items_of(value)
    assert count_items(data) == items
    assert not has_more_items(data, items)
    assert has_more_items(data, items - 1)


def test_beyond_the_limit_nothing_is_looked_at() -> None:
    # A list of a million nulls, of which the second is a type that we refuse.
    document = b"\xdd\x00\x0f\x42\x40\xc0\xc1" + b"\xc0" * 999_998
    assert has_more_items(document, 1_000)
    with pytest.raises(ProtocolError, match="a type that we do not use"):
        count_items(document)


def test_what_announces_more_than_it_holds_is_refused() -> None:
    with pytest.raises(ProtocolError, match="more than it holds"):
        count_items(b"\x93\xc0")
    with pytest.raises(ProtocolError, match="cut off"):
        count_items(b"\xa5abc")
