"""What this minion reports about itself. Grains choose targets; they never authorise anything."""

from ..core.functions import CommandFailedError, Context, function
from ..core.grain_path import find_grain
from ..core.values import Value


@function(instant=True)
def items(context: Context) -> dict[str, Value]:
    """Return every grain of this minion."""
    return dict(context.grains)


@function(instant=True)
def item(context: Context, *keys: str) -> dict[str, Value]:
    """Return the grains of these names; null where there is none.

    Args:
        keys: names of grains; 'a:b' is the member b of the grain a.
    """
    return {key: next(iter(find_grain(context.grains, key, ":")), None) for key in keys}


@function(instant=True)
def get(context: Context, key: str, default: Value = None, delimiter: str = ":") -> Value:
    """Return one grain, or a member of it.

    Args:
        key: the name of the grain; 'a:b' is the member b of the grain a, 'a:0' the first of a list.
        default: what to return when there is no such grain.
        delimiter: what separates the names in the key.
    """
    if not delimiter:
        raise CommandFailedError("the delimiter is empty: name at least one character")
    return next(iter(find_grain(context.grains, key, delimiter)), default)


@function(instant=True)
def ls(context: Context) -> list[str]:
    """List the names of the grains of this minion."""
    return sorted(context.grains)


@function(instant=True)
def has_value(context: Context, key: str) -> bool:
    """Tell whether this minion has a grain, whatever its value.

    Args:
        key: the name of the grain; 'a:b' is the member b of the grain a.
    """
    return bool(find_grain(context.grains, key, ":"))


@function(instant=True, changes=True)
def setval(context: Context, key: str, value: Value) -> dict[str, Value]:
    """Set a static grain: it goes into the grains file of this minion and wins over what the minion finds out itself.

    The file is written anew: comments in it are lost. A grain that ``minion.yaml`` sets is refused: what is set there counts.

    Args:
        key: the name of the grain, without ':' or white space; 'id' cannot be set.
        value: text, a number, true or false, a list or a mapping.
    """
    _check_key(key)
    if value is None:
        raise CommandFailedError("null is no value of a grain: grains.delval removes one")
    context.set_grain(key, value)
    return {key: value}


@function(instant=True, changes=True)
def delval(context: Context, key: str) -> bool:
    """Remove a static grain; one that the minion finds out itself has its own value again.

    One that ``minion.yaml`` sets is refused. Returns false when the minion had no such grain, which is no failure: what was wanted is so.

    Args:
        key: the name of the grain.
    """
    _check_key(key)
    existed = key in context.grains
    context.set_grain(key, None)
    return existed


def _check_key(key: str) -> None:
    if key == "id":
        raise CommandFailedError("the grain 'id' is the minion's name: it is set as `id` in minion.yaml")
    if not key or ":" in key or key != "".join(key.split()) or not key.isprintable():
        raise CommandFailedError(f"{key[:140]!r} cannot name a grain: no ':', no white space, not empty")
