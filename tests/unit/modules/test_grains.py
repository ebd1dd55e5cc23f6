import pytest

from fleet.core.functions import CommandFailedError, Context
from fleet.core.values import Value
from fleet.modules import grains


def test_items_are_every_grain_and_a_copy(context: Context) -> None:
    everything = grains.items(context)
    assert everything == context.grains
    everything["os"] = "changed"
    assert context.grains["os"] == "Debian"


def test_item_shows_null_for_a_grain_that_is_not_there(context: Context) -> None:
    assert grains.item(context, "os", "nothing", "dns:port") == {"os": "Debian", "nothing": None, "dns:port": 53}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("os", "Debian"),
        ("dns:port", 53),
        ("dns:search:0", "example.net"),
        ("roles:1", "db"),
        ("roles:2", "default"),
        ("roles:-1", "default"),
        ("roles:web", "default"),
        ("os:0", "default"),
        ("dns:nothing", "default"),
        ("a:b", "whole name"),
        ("empty", ""),
    ],
)
def test_get_walks_into_mappings_and_lists(context: Context, key: str, value: Value) -> None:
    assert grains.get(context, key, "default") == value


def test_another_delimiter_can_be_chosen(context: Context) -> None:
    assert grains.get(context, "dns/port", None, "/") == 53
    with pytest.raises(CommandFailedError, match="delimiter"):
        grains.get(context, "dns", None, "")


def test_names_are_listed_sorted(context: Context) -> None:
    assert grains.ls(context) == ["a:b", "dns", "empty", "id", "os", "roles"]


def test_a_grain_with_an_empty_value_is_there(context: Context) -> None:
    assert grains.has_value(context, "empty")
    assert not grains.has_value(context, "nothing")


def test_a_grain_is_set_and_removed(context: Context) -> None:
    assert grains.setval(context, "rack", 7) == {"rack": 7}
    assert context.grains["rack"] == 7
    assert grains.delval(context, "rack") is True
    assert "rack" not in context.grains
    assert grains.delval(context, "rack") is False


@pytest.mark.parametrize("key", ["id", "", "a:b", "a b", "a\nb", "\x1b[31m"])
def test_a_name_that_is_the_minions_own_or_no_name_is_refused(context: Context, key: str) -> None:
    before = dict(context.grains)
    with pytest.raises(CommandFailedError):
        grains.setval(context, key, "x")
    with pytest.raises(CommandFailedError):
        grains.delval(context, key)
    assert context.grains == before


def test_null_is_no_value(context: Context) -> None:
    with pytest.raises(CommandFailedError, match=r"grains\.delval"):
        grains.setval(context, "rack", None)
