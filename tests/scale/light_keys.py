"""The keys of light minions: made from a seed and a number, and accepted before the master starts."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fleet.core.crypto import CurveSecret, digest
from fleet.core.names import MinionId, check_minion_id
from fleet.core.paths import Paths
from fleet.keys.lock import lock_state_folder
from fleet.keys.minion_key import KeyState
from fleet.keys.store import KeyStore


@dataclass(frozen=True, slots=True)
class LightNames:
    """Which light minions are meant.

    Attributes:
        prefix: of their ids; the number follows, with five digits.
        seed: of their keys: the same seed and number give the same key.
    """

    prefix: str = "light-"
    seed: str = "light"

    def minion_id(self, number: int) -> MinionId:
        """The id of one of them."""
        return check_minion_id(f"{self.prefix}{number:05}")

    def secret(self, number: int) -> CurveSecret:
        """The key of one of them."""
        return CurveSecret.generate(digest(f"{self.seed} {number}".encode()))


def accept_keys(root: Path, names: LightNames, numbers: Iterable[int]) -> None:
    """Accept the keys of these minions in the key store of a master that does not run: one commit accepts them all."""
    folder = Paths(root).master_state
    now_us = time.time_ns() // 1000
    with lock_state_folder(folder, "the test of scale"), KeyStore.open(folder, candidate_limit=1_000_000) as store:
        for number in numbers:
            store.offer(names.minion_id(number), names.secret(number).public.raw, "127.0.0.1", now_us)
        store.accept(store.by_state(KeyState.PENDING), now_us)
