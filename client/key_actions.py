"""What ``fleet-key`` does: show keys, and accept, reject or delete those that were asked for."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from ..core.control_answers import KeyList, KeyRow
from ..core.names import MinionId
from ..keys.minion_key import KeyState
from ..keys.selection import KeyRequest, Selection, select_for_accept, select_for_delete, select_for_reject
from .documents import keys_document
from .exit_codes import OK, REQUEST_FAILED
from .invocation import Invocation
from .key_authority import KeyAuthority
from .key_options import FINGERPRINT, OUT, STATES, YES, KeyWish
from .key_text import key_line, sections
from .output import print_document
from .question import ask
from .verb_options import SHOW_LIMIT

_DONE = {"accept": "accepted", "reject": "rejected", "delete": "deleted"}


def show_keys(call: Invocation, authority: KeyAuthority, wish: KeyWish) -> int:
    """Print the keys that are asked for; ``finger`` for all adds the master's own fingerprint."""
    from fnmatch import fnmatchcase

    listed = authority.keys()
    rows = listed.keys
    if wish.action == "finger" and wish.patterns:
        rows = tuple(row for row in rows if any(fnmatchcase(row.minion, pattern) for pattern in wish.patterns))
        if not rows:
            return _nothing_fits(call, wish)
    states = wish.states or STATES
    fitting = sorted(
        (row for row in rows if row.state in states),
        key=lambda row: (states.index(row.state), row.minion, row.fingerprint),
    )
    shown = fitting[: call.options.count(SHOW_LIMIT.name, 0) or None]
    with_master = wish.action == "finger" and not wish.patterns
    form = call.options.text(OUT.name, "text")
    if form != "text":
        document = keys_document(shown, states)
        print_document({"master": listed.master_fingerprint, **document} if with_master else document, form)
        return OK
    if with_master:
        sys.stdout.write(f"Master:\n    {listed.master_fingerprint}\n")
    # A section whose keys the limit leaves out is not shown as if it had none.
    with_empty = (wish.action == "list" or with_master) and len(shown) == len(fitting)
    sys.stdout.write(sections(shown, states, with_empty=with_empty))
    sys.stdout.write(f"{len(shown)}/{len(listed.keys)}\n")
    if listed.candidates_dropped:
        call.report.warn(
            f"{listed.candidates_dropped} candidates were dropped for want of room: does somebody flood the list?"
        )
    return OK


def change_keys(call: Invocation, authority: KeyAuthority, wish: KeyWish) -> int:
    """Change the keys that are asked for; where those are not named one by one list and ask before. All are changed, or none."""
    selection = select(authority.keys().keys, wish, call.options.text(FINGERPRINT.name) or None)
    for row in selection.settled:
        call.report.say(f"The key of minion {row.minion} is {row.state} already.")
    _tell_of_conflicts(call, selection.conflicts, wish)
    if not selection.chosen:
        if selection.conflicts:
            return REQUEST_FAILED
        return OK if selection.settled else _nothing_fits(call, wish)
    is_asked = _is_broad(wish, selection.chosen) and not call.options.flag(YES.name)
    if is_asked and not _ask(call, selection.chosen, wish):
        call.report.say("Nothing was changed.")
        return REQUEST_FAILED
    _print_changed(call, authority.change(wish.action, selection.chosen), wish)
    return OK


def _is_broad(wish: KeyWish, chosen: Sequence[KeyRow]) -> bool:
    """Tell whether more may be meant than was thought of: all; and, of what is taken away, a glob or several keys of one id."""
    if wish.action == "accept" or not wish.patterns:
        return not wish.patterns
    return any(set(pattern) & set("*?[") for pattern in wish.patterns) or bool(_in_several(chosen))


def _in_several(rows: Sequence[KeyRow]) -> frozenset[MinionId]:
    """The ids of which there are several keys among these."""
    counts = Counter(row.minion for row in rows)
    return frozenset(minion for minion, count in counts.items() if count > 1)


def select(rows: Sequence[KeyRow], wish: KeyWish, fingerprint: str | None) -> Selection:
    """Choose the keys that a wish means; each once, however many patterns it fits.

    Raises:
        FleetError: see ``keys/selection.py``.
    """
    states: Sequence[KeyState | None] = tuple(map(KeyState, wish.states)) or (None,)
    parts: list[Selection] = []
    for pattern in wish.patterns or (None,):
        request = KeyRequest(pattern, fingerprint)
        for state in states:
            match wish.action:
                case "accept":
                    parts.append(select_for_accept(rows, request))
                case "reject":
                    parts.append(select_for_reject(rows, request, state))
                case _:
                    parts.append(select_for_delete(rows, request, state))
    return Selection(
        _each_once(row for part in parts for row in part.chosen),
        _each_once(row for part in parts for row in part.conflicts),
        _each_once(row for part in parts for row in part.settled),
    )


def _each_once(rows: Iterable[KeyRow]) -> tuple[KeyRow, ...]:
    found = {(row.minion, row.fingerprint): row for row in rows}
    return tuple(found[key] for key in sorted(found))


def _nothing_fits(call: Invocation, wish: KeyWish) -> int:
    """Say that there is nothing to do; that is an error only when something was named."""
    what = "pending key" if wish.action == "accept" else "key"
    if wish.patterns:
        from ..core.errors import NotFoundError

        raise NotFoundError(
            f"no {what} fits {' '.join(wish.patterns)}; nothing was changed", "fleet-key -L lists all keys"
        )
    call.report.say(f"There is no {what} to {wish.action}.")
    return OK


def _tell_of_conflicts(call: Invocation, conflicts: Sequence[KeyRow], wish: KeyWish) -> None:
    if not conflicts:
        return
    call.report.warn("several keys were offered under one id, so one of them may be an impostor's; compare and choose:")
    for row in conflicts:
        call.report.say(f"    {key_line(row)}")
    call.report.say(f"hint: fleet-key {wish.action} {conflicts[0].minion} --fingerprint CODE")


def _ask(call: Invocation, rows: Sequence[KeyRow], wish: KeyWish) -> bool:
    """List what is about to change and ask."""
    done = _DONE[wish.action]
    call.report.say(f"The following keys are going to be {done}:\n{sections(rows, STATES, with_empty=False)}".rstrip())
    # An empty line takes nothing away.
    return ask("Proceed?", is_yes=wish.action == "accept")


def _print_changed(call: Invocation, changed: KeyList, wish: KeyWish) -> None:
    done = _DONE[wish.action]
    rows = sorted(changed.keys, key=lambda row: (row.minion, row.fingerprint))
    form = call.options.text(OUT.name, "text")
    if form != "text":
        if done == "accepted":
            print_document({done: {row.minion: row.fingerprint for row in rows}}, form)
        else:
            prints: dict[str, list[str]] = {}
            for row in rows:
                prints.setdefault(row.minion, []).append(row.fingerprint)
            print_document({done: prints}, form)
        return
    several = _in_several(rows)
    for row in rows:
        which = f" ({row.fingerprint})" if row.minion in several else ""
        print(f"Key for minion {row.minion}{which} {done}.")
