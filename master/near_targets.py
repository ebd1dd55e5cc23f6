"""Why a target selects no minion, and what was probably meant: near ids, keys that wait for a decision, grains that there are.

Pure, and bounded: whoever mistypes a target among ten thousand minions must not hold up the master's loop.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from heapq import nlargest
from itertools import islice

from ..core.dataclass import dataclass
from ..core.errors import NoMatchError, TargetError
from ..core.excerpt import shorten
from ..core.names import MinionId
from ..core.targets import And, Glob, GrainGlob, IdList, Not, Or, Regex, Target, explicit_ids, has_wildcard, select
from ..core.values import Value
from ..keys.minion_key import KeyState, MinionKey

#: How many parts of a target are explained, and how many names are offered for each.
PARTS_LIMIT = 3
NAMES_LIMIT = 5
#: difflib takes 35 µs a name; of more than these only the most alike by their beginnings and ends are looked at.
COMPARED_LIMIT = 300
#: Grains are a minion's own words, and may be vast. Names of more than so many characters are like nothing that anybody types …
NAME_LIMIT_CHARACTERS = 255
#: … of more names than these the rest is not looked at, and so of the elements of one grain …
NAMES_LOOKED_AT = 20_000
ELEMENTS_LOOKED_AT = 100
#: … and so many texts, cut to this length, are enough to find what was meant.
TEXTS_LIMIT = 1_000
_TEXT_LIMIT_CHARACTERS = 60

_LIST_ALL = "`fleet minions` lists those there are, `fleet-key -L` all keys"
_ADVICE = {
    KeyState.PENDING: "compare its fingerprint (fleet-key -F {id}), then accept it: fleet-key -a {id}",
    KeyState.REJECTED: "`fleet-key -a {id}` accepts it all the same",
}

_Grains = Mapping[MinionId, Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What is wrong with one part of a target, where that says more than the target itself, and what to do about it."""

    why: str
    hint: str = ""


def explain_no_match(text: str, target: Target, accepted: _Grains, keys: Iterable[MinionKey]) -> NoMatchError:
    """Make the error for a target that selects no minion.

    Args:
        text: the target as it was typed.
        target: the same as a tree.
        accepted: the grains of every accepted minion.
        keys: all keys, in whatever state.
    """
    undecided = {key.minion_id: key.state for key in keys if key.minion_id not in accepted}
    message = f"no minion matches {shorten(text)}"
    if not accepted:
        waiting = sum(state is KeyState.PENDING for state in undecided.values())
        hint = (
            f"{waiting} of them wait: fleet-key -L shows them, fleet-key -a ID accepts one"
            if waiting
            else "start fleet-minion on a machine, then accept its key: fleet-key -L"
        )
        return NoMatchError(f"{message}: no key is accepted yet", hint)
    findings: list[_Finding] = []
    parts = iter(_parts(target))
    for part in parts:
        findings += _explain(part, accepted, undecided)
        if len(findings) >= PARTS_LIMIT:
            break
    if not findings:
        return NoMatchError(f"{message}: each part of it selects some, together they select none", _LIST_ALL)
    more = len(findings) - PARTS_LIMIT
    whys = [finding.why for finding in findings[:PARTS_LIMIT] if finding.why] + (
        [f"and {more} more"] if more > 0 else []
    )
    if next(parts, None) is not None:
        whys.append("its further parts were not looked at")
    hints = list(dict.fromkeys(finding.hint for finding in findings[:PARTS_LIMIT] if finding.hint))
    return NoMatchError("; ".join([message, *whys]), "; ".join(hints) or _LIST_ALL)


def near_names(name: str, known: Iterable[str], limit: int = NAMES_LIMIT) -> list[str]:
    """Find the names that look most like ``name``, the best first; those that look unlike it are left out."""
    name = name[:NAME_LIMIT_CHARACTERS]
    known = [each for each in islice(known, NAMES_LOOKED_AT) if len(each) <= NAME_LIMIT_CHARACTERS]
    if len(known) > COMPARED_LIMIT:
        backwards = name[::-1]
        known = nlargest(COMPARED_LIMIT, known, lambda each: _shared(each, name) + _shared(each[::-1], backwards))
    return get_close_matches(name, known, limit)


def _shared(one: str, other: str) -> int:
    """Count the characters at the beginning that are the same."""
    count = 0
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            break
        count += 1
    return count


def _parts(target: Target) -> list[Glob | IdList | GrainGlob | Regex]:
    """The leaves of a target, without those that only exclude."""
    match target:
        case And(parts) | Or(parts):
            return [leaf for part in parts for leaf in _parts(part)]
        case Not():
            return []
        case leaf:
            return [leaf]


def _explain(
    part: Glob | IdList | GrainGlob | Regex, accepted: _Grains, undecided: Mapping[MinionId, KeyState]
) -> list[_Finding]:
    """Say of one part why it selects nothing; nothing when it selects something."""
    if select(part, accepted):
        return []
    match part:
        case GrainGlob():
            return [_explain_grain(part, accepted)]
        case Regex(pattern):
            return [_explain_regex(pattern, accepted, undecided)]
        case Glob(pattern) if has_wildcard(pattern):
            return [_explain_pattern(part, pattern, accepted, undecided)]
        case _:
            ids = sorted(explicit_ids(part))
            explained = [_explain_id(minion, accepted, undecided) for minion in ids[:PARTS_LIMIT]]
            return explained + [_Finding(minion) for minion in ids[PARTS_LIMIT:]]


def _explain_id(minion: MinionId, accepted: _Grains, undecided: Mapping[MinionId, KeyState]) -> _Finding:
    state = undecided.get(minion)
    if state is not None:
        return _Finding(f"the key of {minion} is {state}", _ADVICE.get(state, _LIST_ALL).format(id=minion))
    why = f"no accepted key has the id {minion}"
    near = near_names(minion, [*accepted, *undecided])
    states = {name: undecided.get(MinionId(name)) for name in near}
    shown = [name if state is None else f"{name} (its key is {state})" for name, state in states.items()]
    return _Finding(why, f"did you mean {_either(shown)}?" if shown else "")


def _explain_pattern(
    part: Glob | Regex, pattern: str, accepted: _Grains, undecided: Mapping[MinionId, KeyState]
) -> _Finding:
    """Of a pattern: the keys that it would select if they were accepted, else ids that look like it."""
    waiting = sorted(select(part, {minion: {} for minion in undecided}))
    if waiting:
        shown = ", ".join(f"{minion} ({undecided[minion]})" for minion in waiting[:NAMES_LIMIT])
        more = f" and {len(waiting) - NAMES_LIMIT} more" if len(waiting) > NAMES_LIMIT else ""
        return _Finding(
            f"only keys that are not accepted: {shown}{more}", "fleet-key -L shows them, fleet-key -a ID accepts one"
        )
    near = near_names(pattern, list(accepted))
    return _Finding("", f"did you mean {_either(near)}?" if near else "")


def _explain_regex(pattern: str, accepted: _Grains, undecided: Mapping[MinionId, KeyState]) -> _Finding:
    wider = f".*(?:{pattern}).*"
    try:
        within = select(Regex(wider), accepted)
    except TargetError:  # wider than RE2 allows
        within = frozenset()
    if within:
        return _Finding(
            f"{shorten(pattern)} fits a part of {_shown(sorted(within))}",
            f"it must fit the whole id: -E {shorten('.*' + pattern + '.*')}",
        )
    return _explain_pattern(Regex(pattern), pattern, accepted, undecided)


def _explain_grain(part: GrainGlob, accepted: _Grains) -> _Finding:
    mute = sum(not grains for grains in accepted.values())
    unheard = f"; {mute} of {len(accepted)} minions have not reported their grains yet" if mute else ""
    values = [grains[part.key] for grains in accepted.values() if part.key in grains]
    if not values:
        names = sorted(_distinct(islice(grains, ELEMENTS_LOOKED_AT) for grains in accepted.values()))
        near = near_names(part.key, names) or ([] if len(names) > 2 * NAMES_LIMIT else names)
        hint = f"did you mean {_either(near)}?" if near else "fleet '*' grains.ls lists the grains"
        return _Finding(f"no minion has a grain {shorten(part.key)}{unheard}", hint)
    texts = sorted(_distinct(grain_texts(value) for value in values))
    near = near_names(part.pattern, texts)
    others = [text for text in texts if text not in near]
    return _Finding(
        f"no {part.key} is {shorten(part.pattern)}{unheard}", f"there are: {_shown([*near, *others])}" if texts else ""
    )


def grain_texts(value: Value) -> list[str]:
    """The patterns that would fit a grain, without wildcards and cut; of ``ELEMENTS_LOOKED_AT`` of its elements."""
    return [text for text in islice(_texts(value, ""), ELEMENTS_LOOKED_AT) if text]


def _texts(value: Value, path: str) -> Iterable[str]:
    """Give something for each element, be it empty: so that whoever counts what comes has counted the work."""
    if isinstance(value, Mapping):
        yield ""
        for name, inner in value.items():
            yield from _texts(inner, f"{path}{name[:_TEXT_LIMIT_CHARACTERS]}:"[:_TEXT_LIMIT_CHARACTERS])
    elif isinstance(value, list | tuple):
        yield ""
        for item in value:
            yield from _texts(item, path)
    elif isinstance(value, str | bool | int | float):
        yield f"{path}{str(value)[:_TEXT_LIMIT_CHARACTERS]}"[:_TEXT_LIMIT_CHARACTERS]
    else:
        yield ""


def _distinct(groups: Iterable[Iterable[str]]) -> set[str]:
    """What the groups hold, until it is ``TEXTS_LIMIT``."""
    found: set[str] = set()
    for group in groups:
        found.update(group)
        if len(found) >= TEXTS_LIMIT:
            break
    return found


def _shown(names: Sequence[str]) -> str:
    more = len(names) - NAMES_LIMIT
    return ", ".join(names[:NAMES_LIMIT]) + (f" and {more} more" if more > 0 else "")


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)
