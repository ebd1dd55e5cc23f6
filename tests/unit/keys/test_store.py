import os
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet.core.errors import KeyStoreError, NotFoundError, StateError
from fleet.core.names import MinionId
from fleet.keys.key_index import KeyIndex
from fleet.keys.minion_key import KeyState, MinionKey
from fleet.keys.store import SEEN_AGAIN_US, KeyStore

WEB = MinionId("web-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(folder: Path) -> Iterator[KeyStore]:
    with KeyStore.open(folder) as opened:
        yield opened


def raw(number: int) -> bytes:
    return number.to_bytes(32)


def offer(store: KeyStore, number: int, minion_id: str = WEB, now_us: int = 1) -> MinionKey:
    return store.offer(MinionId(minion_id), raw(number), "10.0.0.1", now_us)


def reopened(folder: Path) -> tuple[MinionKey, ...]:
    with KeyStore.open(folder) as store:
        return store.all()


def edit(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "keys.sqlite", isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def test_everything_is_there_after_a_restart(folder: Path) -> None:
    with KeyStore.open(folder) as store:
        store.accept([offer(store, 1, now_us=3)], 5)
        offer(store, 2, now_us=6)
        store.reject([offer(store, 3, "other", 7)], 8)
        offer(store, 4, "new", 9)
        expected = store.all()

    assert reopened(folder) == expected
    assert [(key.minion_id, key.state.value, key.first_seen_us, key.decided_us) for key in expected] == [
        ("new", "pending", 9, None),
        ("other", "rejected", 7, 8),
        ("web-1", "accepted", 3, 5),
        ("web-1", "denied", 6, None),
    ]


def test_all_look_ups_find_the_same_key(store: KeyStore) -> None:
    (key,) = store.accept([offer(store, 1)], 5)
    denied = offer(store, 2)

    assert store.accepted(WEB) == store.accepted_by_key(raw(1)) == store.find(WEB, key.fingerprint.upper()) == key
    assert store.by_state(KeyState.ACCEPTED) == (key,)
    assert store.by_state(KeyState.DENIED) == (denied,)
    assert set(store.of_id(WEB)) == {key, denied}
    assert store.accepted_by_key(raw(2)) is None
    assert store.accepted(MinionId("other")) is None
    assert store.find(MinionId("other"), key.fingerprint) is None


def test_a_second_machine_with_the_same_id_is_denied_until_the_first_is_deleted(store: KeyStore) -> None:
    (first,) = store.accept([offer(store, 1)], 5)
    second = offer(store, 2)

    assert second.state is KeyState.DENIED
    with pytest.raises(KeyStoreError, match="has another accepted key"):
        store.accept([second], 6)
    assert store.delete([first]) == (first,)
    assert store.accepted_by_key(raw(1)) is None
    (accepted,) = store.accept([second], 7)
    assert accepted.public_key == raw(2)


def test_several_keys_are_accepted_all_or_none(store: KeyStore, folder: Path) -> None:
    rivals = [offer(store, number) for number in (1, 2)]
    single = offer(store, 3, "other")

    with pytest.raises(KeyStoreError):
        store.accept([single, *rivals], 5)
    with pytest.raises(NotFoundError):
        store.delete([single, MinionKey(MinionId("gone"), raw(9), KeyState.PENDING, 0, 0, "")])
    assert {key.state for key in store.all()} == {KeyState.PENDING}
    assert len(store.all()) == 3
    store.close()
    assert {key.state for key in reopened(folder)} == {KeyState.PENDING}


def test_conflicts_are_the_ids_with_several_candidates(store: KeyStore) -> None:
    offer(store, 1)
    assert not store.conflicts()
    offer(store, 2)

    assert {minion_id: len(keys) for minion_id, keys in store.conflicts().items()} == {WEB: 2}


def test_a_flood_of_candidates_is_bounded_on_disk_too_and_counted(folder: Path) -> None:
    with KeyStore.open(folder, candidate_limit=10) as store:
        store.accept([offer(store, 0)], 1)
        for number in range(1, 101):
            offer(store, number, f"m{number}", number)
        assert store.candidates_dropped == 90

    with KeyStore.open(folder, candidate_limit=10) as store:
        assert [key.minion_id for key in store.by_state(KeyState.PENDING)] == sorted(f"m{n}" for n in range(91, 101))
        assert store.candidates_dropped == 90
        assert store.accepted(WEB) is not None
        offer(store, 101, "m101", 101)
        assert store.find(MinionId("m91"), MinionKey(WEB, raw(91), KeyState.PENDING, 0, 0, "").fingerprint) is None


def test_a_key_of_another_length_is_refused(store: KeyStore) -> None:
    for length in (0, 31, 33):
        with pytest.raises(KeyStoreError):
            store.offer(WEB, bytes(length), "", 1)
    assert store.all() == ()


@pytest.mark.parametrize("umask", [0, 0o077])
def test_files_are_private_under_any_umask_while_open_and_after(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with KeyStore.open(folder) as store:
            store.accept([offer(store, 1)], 1)
            while_open = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)

    assert set(while_open.values()) == {0o600}
    assert "keys.sqlite-wal" in while_open
    assert os.listdir(folder) == ["keys.sqlite"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_writer_is_kept_out(store: KeyStore, folder: Path) -> None:
    with pytest.raises(KeyStoreError, match="is used by another process"):
        KeyStore.open(folder)
    offer(store, 1)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o622])
def test_a_store_that_others_may_use_is_refused(folder: Path, bits: int) -> None:
    KeyStore.open(folder).close()
    (folder / "keys.sqlite").chmod(bits)

    with pytest.raises(StateError, match="open to other accounts"):
        KeyStore.open(folder)


def test_a_store_of_another_account_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyStore.open(folder).close()
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)

    with pytest.raises(StateError, match="belongs to the account"):
        KeyStore.open(folder)


def test_a_link_in_the_place_of_the_store_is_refused(folder: Path, tmp_path: Path) -> None:
    KeyStore.open(folder).close()
    (folder / "keys.sqlite").rename(tmp_path / "elsewhere")
    (folder / "keys.sqlite").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError):
        KeyStore.open(folder)


@pytest.mark.parametrize("content", [b"", b"x", bytes(511), b"no database " * 1000, b"SQLite format 3\0" + bytes(4080)])
def test_what_is_no_database_is_refused_and_left_alone(folder: Path, content: bytes) -> None:
    folder.mkdir(mode=0o700)
    (folder / "keys.sqlite").touch(mode=0o600)
    (folder / "keys.sqlite").write_bytes(content)

    with pytest.raises(KeyStoreError) as caught:
        KeyStore.open(folder)
    assert "backup" in caught.value.hint
    assert (folder / "keys.sqlite").read_bytes() == content


def test_a_database_of_something_else_is_refused_and_left_alone(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "keys.sqlite").touch(mode=0o600)
    edit(folder, "CREATE TABLE jobs (jid TEXT)")
    content = (folder / "keys.sqlite").read_bytes()

    with pytest.raises(KeyStoreError, match="is a database of something else"):
        KeyStore.open(folder)
    assert (folder / "keys.sqlite").read_bytes() == content


def test_a_store_of_a_newer_release_is_refused_and_left_alone(folder: Path) -> None:
    KeyStore.open(folder).close()
    edit(folder, "PRAGMA user_version = 2")
    content = (folder / "keys.sqlite").read_bytes()

    with pytest.raises(KeyStoreError, match="newer release") as caught:
        KeyStore.open(folder)
    assert (folder / "keys.sqlite").read_bytes() == content
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE minion_key SET minion_id = '../x'",
        "UPDATE minion_key SET minion_id = ''",
        "UPDATE minion_key SET minion_id = x'00'",
        "UPDATE minion_key SET public_key = x'00'",
        "UPDATE minion_key SET public_key = 'text'",
        "UPDATE minion_key SET state = 'trusted'",
        "UPDATE minion_key SET last_seen_us = 'yesterday'",
        "UPDATE minion_key SET address = x'00'",
        "UPDATE minion_key SET decided_us = 1.5",
    ],
)
def test_a_row_that_makes_no_sense_is_refused(folder: Path, statement: str) -> None:
    with KeyStore.open(folder) as store:
        offer(store, 1)
    edit(folder, "PRAGMA ignore_check_constraints = ON", statement)

    with pytest.raises(KeyStoreError, match="is damaged"):
        KeyStore.open(folder)


@pytest.mark.parametrize(
    "rows",
    ["('a', x'{0}', 'accepted'), ('a', x'{1}', 'accepted')", "('a', x'{0}', 'accepted'), ('b', x'{0}', 'accepted')"],
)
def test_the_database_itself_refuses_two_accepted_keys_of_an_id_or_ids_of_a_key(folder: Path, rows: str) -> None:
    KeyStore.open(folder).close()
    values = rows.format("00" * 32, "11" * 32).replace("'accepted'", "'accepted', 0, 0, '', 0")

    with pytest.raises(sqlite3.IntegrityError):
        edit(folder, f"INSERT INTO minion_key VALUES {values}")


@pytest.mark.parametrize("rows", ["('a', x'{0}'), ('a', x'{1}')", "('a', x'{0}'), ('b', x'{0}')"])
def test_an_id_or_key_that_is_accepted_twice_is_damage_where_the_indexes_are_lost(folder: Path, rows: str) -> None:
    KeyStore.open(folder).close()
    values = rows.format("00" * 32, "11" * 32).replace("')", "', 'accepted', 0, 0, '', 0)")
    edit(
        folder,
        "DROP INDEX one_accepted_key_an_id",
        "DROP INDEX one_id_an_accepted_key",
        f"INSERT INTO minion_key VALUES {values}",
    )

    with pytest.raises(KeyStoreError, match="accepted twice"):
        KeyStore.open(folder)


def test_damage_anywhere_is_a_key_store_error_or_harmless(folder: Path) -> None:
    with KeyStore.open(folder) as store:
        for number in range(30):
            offer(store, number, f"m{number}")
        store.accept(store.all()[:10], 5)
    path = folder / "keys.sqlite"
    whole = path.read_bytes()
    hints: list[str] = []

    for position in [*range(0, 120, 3), *range(120, len(whole), 97)]:
        path.write_bytes(whole[:position] + bytes((whole[position] ^ 0x55,)) + whole[position + 1 :])
        try:
            with KeyStore.open(folder) as store:
                assert len(store.by_state(KeyState.ACCEPTED)) <= 10
        except KeyStoreError as error:
            hints.append(error.hint)

    assert all(hints)
    assert len(hints) > 20


def test_a_torn_store_is_refused(folder: Path) -> None:
    with KeyStore.open(folder) as store:
        store.accept([offer(store, 1)], 5)
    path = folder / "keys.sqlite"
    path.write_bytes(path.read_bytes()[:-2000])

    with pytest.raises(KeyStoreError):
        KeyStore.open(folder)


def test_a_full_disk_changes_nothing(store: KeyStore, folder: Path) -> None:
    before = store.all()
    # As many pages as there are now.
    store._connection.execute("PRAGMA max_page_count = 1")

    def fill() -> None:
        nonlocal before
        for number in range(1000):
            before = store.all()
            offer(store, number, f"m{number}")

    with pytest.raises(KeyStoreError, match="disk is full") as caught:
        fill()
    assert "free some space" in caught.value.hint
    assert store.all() == before
    store.close()
    assert reopened(folder) == before


def test_a_read_only_disk_changes_nothing(store: KeyStore, folder: Path) -> None:
    keys = [offer(store, number, f"m{number}") for number in range(3)]
    store._connection.execute("PRAGMA query_only = ON")

    calls: list[Callable[[], object]] = [
        lambda: store.accept(keys, 5),
        lambda: store.delete(keys),
        lambda: offer(store, 9),
    ]
    for call in calls:
        with pytest.raises(KeyStoreError, match="read-only"):
            call()
    assert store.all() == tuple(keys)
    store.close()
    assert reopened(folder) == tuple(keys)


def test_after_a_failed_write_the_next_one_works(store: KeyStore) -> None:
    key = offer(store, 1)
    store._connection.execute("PRAGMA query_only = ON")
    with pytest.raises(KeyStoreError):
        store.accept([key], 5)
    store._connection.execute("PRAGMA query_only = OFF")

    assert store.accepted(WEB) is None
    assert store.accept([key], 6)[0].decided_us == 6


def test_decisions_are_fsynced_and_offers_need_not_be(store: KeyStore) -> None:
    def level() -> int:
        (value,) = store._connection.execute("PRAGMA synchronous").fetchone()
        return int(value)

    key = offer(store, 1)
    assert level() == 1
    calls: list[Callable[[], object]] = [
        lambda: store.accept([key], 5),
        lambda: store.reject([key], 6),
        lambda: store.delete([key]),
    ]
    for call in calls:
        offer(store, 2)
        call()
        assert level() == 2


def test_an_accepted_key_that_is_offered_again_is_not_written_each_time(store: KeyStore) -> None:
    (key,) = store.accept([offer(store, 1)], 5)
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)

    def again(moment_us: int, address: str = key.address) -> MinionKey:
        statements.clear()
        return store.offer(key.minion_id, key.public_key, address, moment_us)

    assert again(key.last_seen_us + SEEN_AGAIN_US - 1) == key
    assert statements == []
    assert again(key.last_seen_us + SEEN_AGAIN_US).last_seen_us == key.last_seen_us + SEEN_AGAIN_US
    assert statements
    assert again(key.last_seen_us + SEEN_AGAIN_US + 1, "192.0.2.77").address == "192.0.2.77"
    assert statements


def killed_at(statement: int, folder: Path, action: Callable[[KeyStore], object]) -> bool:
    """Open the store in a child and run the action, killed before its n-th statement; tell whether it was."""
    child = os.fork()
    if child == 0:
        try:
            store = KeyStore.open(folder)
            left = statement

            def count(_: str) -> None:
                nonlocal left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1

            store._connection.set_trace_callback(count)
            action(store)
            store._connection.set_trace_callback(None)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_a_kill_at_any_statement_leaves_all_of_a_change_or_nothing(folder: Path, tmp_path: Path) -> None:
    with KeyStore.open(folder) as store:
        store.accept([offer(store, 1)], 5)
        offer(store, 2)
        offer(store, 3)
        before = store.all()

    def change(store: KeyStore) -> None:
        store.delete([key for key in store.all() if key.state is KeyState.ACCEPTED])

    shutil.copytree(folder, tmp_path / "whole")
    with KeyStore.open(tmp_path / "whole") as store:
        change(store)
        after = store.all()

    statement = 0
    while killed_at(statement, folder, change):
        assert reopened(folder) == before
        statement += 1
    assert reopened(folder) == after
    assert {key.state for key in after} == {KeyState.PENDING}
    assert statement > 4


def test_a_kill_without_a_close_loses_no_decision(folder: Path) -> None:
    def decide_and_die(store: KeyStore) -> None:
        store.accept([offer(store, 1)], 5)
        os.kill(os.getpid(), signal.SIGKILL)

    assert killed_at(1000, folder, decide_and_die)
    assert [key.state for key in reopened(folder)] == [KeyState.ACCEPTED]


def test_a_kill_while_the_store_is_made_leaves_one_that_opens(folder: Path) -> None:
    real = sqlite3.connect
    kills = 0

    for statement in range(20):
        child = os.fork()
        if child == 0:
            try:
                left = statement

                def count(_: str) -> None:
                    nonlocal left
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)
                    left -= 1

                def connect(*arguments: str, **options: float | None) -> sqlite3.Connection:
                    connection: sqlite3.Connection = real(*arguments, **options)  # type: ignore[call-overload]
                    connection.set_trace_callback(count)
                    return connection

                sqlite3.connect = connect  # type: ignore[assignment]
                KeyStore.open(folder / str(statement))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        assert reopened(folder / str(statement)) == ()

    assert kills > 8


def test_ten_thousand_keys_are_looked_up_without_the_disk(folder: Path) -> None:
    KeyStore.open(folder).close()
    edit(
        folder,
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
        " INSERT INTO minion_key SELECT 'm' || i, randomblob(32), 'accepted', i, i, '10.0.0.1', i FROM n",
    )
    with KeyStore.open(folder) as store:
        keys = store.all()
        statements: list[str] = []
        store._connection.set_trace_callback(statements.append)
        found = [store.accepted_by_key(key.public_key) for key in keys]
        store._connection.set_trace_callback(None)

    assert len(keys) == 10_000
    assert found == list(keys)
    assert statements == []


def test_a_store_of_ten_thousand_decides_about_all_at_once(folder: Path) -> None:
    with KeyStore.open(folder, candidate_limit=20_000) as store:
        index = KeyIndex()
        for number in range(10_000):
            index.put(MinionKey(MinionId(f"m{number}"), raw(number), KeyState.PENDING, 0, 0, ""))
        store._index = index
        store.accept(store.all(), 5)

    assert {key.state for key in reopened(folder)} == {KeyState.ACCEPTED}


def test_a_store_that_was_not_opened_leaves_no_descriptor(folder: Path) -> None:
    KeyStore.open(folder).close()
    edit(folder, "PRAGMA user_version = 2")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyStoreError):
        KeyStore.open(folder)

    assert len(os.listdir("/proc/self/fd")) == before
