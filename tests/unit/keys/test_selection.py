import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.control_answers import KeyRow
from fleet.core.errors import KeyStoreError, NotFoundError, UsageError
from fleet.core.names import MinionId
from fleet.keys.fingerprint import fingerprint, pairing_code
from fleet.keys.key_index import KeyIndex
from fleet.keys.minion_key import KeyState, MinionKey
from fleet.keys.selection import (
    KeyRequest,
    Selection,
    key_row,
    select_for_accept,
    select_for_delete,
    select_for_reject,
)

MASTER = bytes(32)
P, A, R, D = KeyState.PENDING, KeyState.ACCEPTED, KeyState.REJECTED, KeyState.DENIED


def raw(number: int) -> bytes:
    return bytes((number,)) * 32


def rows(*keys: tuple[str, int, KeyState]) -> list[KeyRow]:
    return [
        key_row(MinionKey(MinionId(name), raw(number), state, 0, 0, "10.0.0.1"), MASTER) for name, number, state in keys
    ]


def shown(part: tuple[KeyRow, ...]) -> list[tuple[str, str]]:
    return [(row.minion, row.state) for row in part]


FLEET = rows(("web-1", 1, P), ("web-2", 2, P), ("web-2", 3, P), ("db-1", 4, A), ("db-1", 5, D), ("old", 6, R))


def test_a_row_shows_both_codes() -> None:
    key = MinionKey(MinionId("web-1"), raw(1), P, 7, 9, "10.0.0.1")

    assert key_row(key, MASTER) == KeyRow(
        MinionId("web-1"), fingerprint(raw(1)), pairing_code(MASTER, raw(1)), "pending", "10.0.0.1", 7
    )


@pytest.mark.parametrize("pattern", [None, "*", "[a-z]*"])
def test_a_broad_acceptance_takes_what_is_pending_without_a_rival_and_names_the_rest(pattern: str | None) -> None:
    selection = select_for_accept(FLEET, KeyRequest(pattern))

    assert shown(selection.chosen) == [("web-1", "pending")]
    assert shown(selection.conflicts) == [("web-2", "pending"), ("web-2", "pending")]
    assert selection.settled == ()


def test_a_glob_is_about_whole_ids_and_their_case() -> None:
    assert shown(select_for_accept(FLEET, KeyRequest("web-?")).chosen) == [("web-1", "pending")]
    assert select_for_accept(FLEET, KeyRequest("eb-*")) == Selection()
    assert select_for_accept(FLEET, KeyRequest("WEB-*")) == Selection()


def test_an_exact_id_takes_its_one_pending_key() -> None:
    assert shown(select_for_accept(FLEET, KeyRequest("web-1")).chosen) == [("web-1", "pending")]


def test_an_exact_id_with_rivals_needs_a_fingerprint() -> None:
    selection = select_for_accept(FLEET, KeyRequest("web-2"))

    assert selection.chosen == ()
    assert len(selection.conflicts) == 2


@pytest.mark.parametrize("code", [fingerprint(raw(3)), pairing_code(MASTER, raw(3)), fingerprint(raw(3)).upper()])
def test_fingerprint_or_pairing_code_pick_one_of_several(code: str) -> None:
    selection = select_for_accept(FLEET, KeyRequest("web-2", code))

    assert [row.fingerprint for row in selection.chosen] == [fingerprint(raw(3))]


@pytest.mark.parametrize("select", [select_for_accept, select_for_reject, select_for_delete])
def test_a_code_that_does_not_fit_is_an_error(select: type[Selection]) -> None:
    for wrong in (fingerprint(raw(1)), pairing_code(raw(9), raw(2))):
        with pytest.raises(NotFoundError, match="nothing was changed"):
            select(FLEET, KeyRequest("web-2", wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["", "z46p", fingerprint(raw(3))[:-1], fingerprint(raw(3)) + "a"])
def test_a_part_of_a_fingerprint_is_refused(code: str) -> None:
    with pytest.raises(UsageError):
        select_for_accept(FLEET, KeyRequest("web-2", code))


@pytest.mark.parametrize("pattern", [None, "web-*", "web-[2]"])
def test_a_fingerprint_goes_with_one_id_only(pattern: str | None) -> None:
    for select in (select_for_accept, select_for_reject, select_for_delete):
        with pytest.raises(UsageError):
            select(FLEET, KeyRequest(pattern, fingerprint(raw(3))))


def test_a_denied_key_is_not_accepted_and_the_error_says_what_to_do_first() -> None:
    for request in (KeyRequest("db-1"), KeyRequest("db-1", fingerprint(raw(5)))):
        with pytest.raises(KeyStoreError) as caught:
            select_for_accept(FLEET, request)
        assert "fleet-key -d db-1" in caught.value.hint


def test_what_is_accepted_already_is_settled() -> None:
    assert shown(select_for_accept(FLEET, KeyRequest("db-1", fingerprint(raw(4)))).settled) == [("db-1", "accepted")]
    assert shown(select_for_accept(rows(("a", 1, A)), KeyRequest("a")).settled) == [("a", "accepted")]


def test_a_rejected_key_is_accepted_by_its_exact_id_only() -> None:
    assert shown(select_for_accept(FLEET, KeyRequest("old")).chosen) == [("old", "rejected")]
    assert select_for_accept(FLEET, KeyRequest("ol?")) == Selection()


def test_one_of_several_rejected_keys_is_accepted_by_its_fingerprint_only() -> None:
    keys = rows(("old", 1, R), ("old", 2, R))

    assert len(select_for_accept(keys, KeyRequest("old")).conflicts) == 2
    assert len(select_for_accept(keys, KeyRequest("old", fingerprint(raw(2)))).chosen) == 1


def test_a_rejected_key_beside_an_accepted_one_is_not_accepted() -> None:
    with pytest.raises(KeyStoreError):
        select_for_accept(rows(("a", 1, A), ("a", 2, R)), KeyRequest("a", fingerprint(raw(2))))


def test_one_key_under_two_ids_is_taken_by_its_exact_id_and_fingerprint_only() -> None:
    keys = rows(("a", 1, P), ("b", 1, P))

    assert select_for_accept(keys, KeyRequest(None)).chosen == ()
    assert select_for_accept(keys, KeyRequest("a")).chosen == ()
    assert shown(select_for_accept(keys, KeyRequest("a", fingerprint(raw(1)))).chosen) == [("a", "pending")]


def test_an_unknown_id_is_an_error_that_names_near_ones() -> None:
    for select in (select_for_accept, select_for_reject, select_for_delete):
        with pytest.raises(NotFoundError) as caught:
            select(FLEET, KeyRequest("web1"))
        assert "web-1" in caught.value.hint


def test_a_glob_that_fits_nothing_chooses_nothing() -> None:
    for select in (select_for_accept, select_for_reject, select_for_delete):
        assert select(FLEET, KeyRequest("nothing*")) == Selection()


def test_a_broad_rejection_takes_what_a_broad_acceptance_would() -> None:
    assert select_for_reject(FLEET, KeyRequest(None)) == select_for_accept(FLEET, KeyRequest(None))


def test_an_exact_rejection_takes_the_one_key_that_is_not_rejected() -> None:
    assert shown(select_for_reject(rows(("a", 1, A), ("a", 2, R)), KeyRequest("a")).chosen) == [("a", "accepted")]
    assert shown(select_for_reject(FLEET, KeyRequest("old")).settled) == [("old", "rejected")]
    assert shown(select_for_reject(FLEET, KeyRequest("db-1")).conflicts) == [("db-1", "accepted"), ("db-1", "denied")]
    denied = select_for_reject(FLEET, KeyRequest("db-1", fingerprint(raw(5))))
    assert shown(denied.chosen) == [("db-1", "denied")]


def test_a_state_takes_all_in_it_also_those_in_conflict() -> None:
    assert shown(select_for_reject(FLEET, KeyRequest(None), P).chosen) == [
        ("web-1", "pending"),
        ("web-2", "pending"),
        ("web-2", "pending"),
    ]
    assert shown(select_for_delete(FLEET, KeyRequest("db-*"), D).chosen) == [("db-1", "denied")]
    assert shown(select_for_delete(FLEET, KeyRequest(None), D).chosen) == [("db-1", "denied")]


def test_a_deletion_takes_the_accepted_key_so_that_the_denied_ones_become_pending() -> None:
    for pattern in ("db-1", "db-*"):
        assert shown(select_for_delete(FLEET, KeyRequest(pattern)).chosen) == [("db-1", "accepted")]


def test_a_deletion_takes_all_keys_of_an_id_without_an_accepted_one_unless_in_conflict() -> None:
    assert shown(select_for_delete(rows(("a", 1, P), ("a", 2, R)), KeyRequest("a")).chosen) == [
        ("a", "pending"),
        ("a", "rejected"),
    ]
    for pattern in ("web-2", "web-[2]"):
        selection = select_for_delete(FLEET, KeyRequest(pattern))
        assert (selection.chosen, len(selection.conflicts)) == ((), 2)


def test_the_deletion_of_everything_takes_everything() -> None:
    assert len(select_for_delete(FLEET, KeyRequest(None)).chosen) == len(FLEET)


ids = st.sampled_from(["a", "b", "c"])
offers = st.lists(st.tuples(ids, st.integers(1, 5), st.sampled_from(["offer", "accept", "reject"])), max_size=12)


@given(offers, st.sampled_from([None, "*", "a*", "[ab]"]))
def test_what_a_broad_request_chooses_is_pending_without_a_rival_and_can_be_accepted(
    steps: list[tuple[str, int, str]], pattern: str | None
) -> None:
    index = KeyIndex()
    for name, number, action in steps:
        key = index.offer(MinionKey(MinionId(name), raw(number), P, 0, 0, ""), 100).key
        try:
            if action == "accept":
                index.accept(key, 1)
            if action == "reject":
                index.reject(key, 1)
        except KeyStoreError:
            continue

    chosen = select_for_accept([key_row(key, MASTER) for key in index], KeyRequest(pattern)).chosen

    before = {row.minion: index.of_id(row.minion) for row in chosen}
    assert {row.minion for row in chosen}.isdisjoint(index.conflicts())
    for row in chosen:
        assert [key.fingerprint for key in before[row.minion] if key.state.is_candidate] == [row.fingerprint]
        (key,) = (key for key in before[row.minion] if key.fingerprint == row.fingerprint)
        assert key.state is P
        assert index.accept(key, 2).key.state is A
