"""Which of the accepted minions a request means, and what to say when it means none. Pure."""

from collections.abc import Mapping

from ..core.errors import ArgumentError, NoMatchError
from ..core.names import MinionId
from ..core.options import nearest
from ..core.target_parser import parse_target
from ..core.targets import TargetKind, explicit_ids, select
from ..core.values import Value

_ALL = "`fleet minions` lists those there are, `fleet-key -L` all keys"


def choose_minions(
    text: str, kind: str, accepted: Mapping[MinionId, Mapping[str, Value]]
) -> tuple[frozenset[MinionId], tuple[str, ...]]:
    """Choose the minions that a target selects; and the ids that it names and nobody has.

    Args:
        text: the target.
        kind: how it is written.
        accepted: the grains of every minion with an accepted key.

    Raises:
        ArgumentError: there is no such kind.
        TargetError: the target cannot be read.
    """
    try:
        target_kind = TargetKind(kind)
    except ValueError as problem:
        raise ArgumentError(f"{kind[:40]!r} is no kind of target", ", ".join(TargetKind)) from problem
    target = parse_target(text, target_kind)
    return select(target, accepted), tuple(sorted(name for name in explicit_ids(target) if name not in accepted))


def nobody_matches(text: str, unknown: tuple[str, ...], accepted: Mapping[MinionId, object]) -> NoMatchError:
    """Say that a target selects nobody; of one that is an id, which id may have been meant."""
    named = f"; no accepted key has the id {', '.join(unknown)}" if unknown else ""
    return NoMatchError(
        f"no minion matches {text[:200]!r}{named}", _hint(unknown[0] if len(unknown) == 1 else "", accepted)
    )


def no_such_minion(name: str, accepted: Mapping[MinionId, object]) -> NoMatchError:
    """Say that no minion has this id, and which one may have been meant."""
    return NoMatchError(f"no minion {name} has an accepted key", _hint(name, accepted))


def _hint(name: str, accepted: Mapping[MinionId, object]) -> str:
    near = nearest(name, list(accepted))
    return f"did you mean {near}? {_ALL}" if near else _ALL
