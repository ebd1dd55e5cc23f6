"""Which of the accepted minions a request means, and what to say when it means none. Pure."""

from collections.abc import Iterable, Mapping

from ..core.errors import ArgumentError, NoMatchError
from ..core.names import MinionId
from ..core.target_parser import parse_target
from ..core.targets import IdList, TargetKind, explicit_ids, select
from ..core.values import Value
from ..keys.minion_key import MinionKey
from .near_targets import explain_no_match

_Grains = Mapping[MinionId, Mapping[str, Value]]


def choose_minions(text: str, kind: str, accepted: _Grains) -> tuple[frozenset[MinionId], tuple[str, ...]]:
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


def nobody_matches(text: str, kind: str, accepted: _Grains, keys: Iterable[MinionKey]) -> NoMatchError:
    """Say that a target, which could be read, selects nobody, and what may have been meant."""
    return explain_no_match(text, parse_target(text, TargetKind(kind)), accepted, keys)


def no_such_minion(name: MinionId, accepted: _Grains, keys: Iterable[MinionKey]) -> NoMatchError:
    """Say that no minion has this id, and which one may have been meant."""
    hint = explain_no_match(name, IdList(frozenset({name})), accepted, keys).hint
    return NoMatchError(f"no minion {name} has an accepted key", hint)
