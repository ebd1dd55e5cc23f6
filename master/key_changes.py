"""Changes of minion keys on a running master: durable first, then at once in force everywhere."""

import logging
from collections.abc import Callable, Sequence

from ..core.control_requests import KeyChoice
from ..core.dataclass import dataclass, field
from ..core.enrolment_messages import KeyStanding
from ..core.errors import NotFoundError, UsageError
from ..core.names import MinionId
from ..keys.minion_key import KeyState, MinionKey
from ..keys.store import KeyStore
from .conductor import Conductor
from .offer_notices import OfferNotices
from .store import ForgetMinion

log = logging.getLogger(__name__)

ACTIONS = ("accept", "reject", "delete")


@dataclass(slots=True)
class KeyChanges:
    """The one writer of the key store while the master runs.

    Args:
        auto_accept: accept new keys by themselves.
        decided: tells those that wait at the enrolment port.
        notices: which offers are told of.
    """

    store: KeyStore
    conductor: Conductor
    auto_accept: bool
    decided: Callable[[MinionKey], None]
    notices: OfferNotices = field(default_factory=OfferNotices)

    def change(self, action: str, choices: Sequence[KeyChoice], user: str) -> tuple[MinionKey, ...]:
        """Accept, reject or delete exactly these keys, all or none.

        Raises:
            UsageError: no such action.
            NotFoundError: a key is not there (any more).
            KeyStoreError: the store refuses, or cannot be written.
        """
        if action not in ACTIONS:
            raise UsageError(f"{action[:40]!r} is no action on keys", ", ".join(ACTIONS))
        keys = [self._find(choice) for choice in choices]
        before = {key.minion_id: self.store.accepted(key.minion_id) for key in keys}
        now_us = self.conductor.clock.now_us()
        if action == "accept":
            changed = self.store.accept(keys, now_us)
        elif action == "reject":
            changed = self.store.reject(keys, now_us)
        else:
            changed = self.store.delete(keys)
        for minion, accepted in before.items():
            if accepted is not None and self.store.accepted_by_key(accepted.public_key) is None:
                self._erase(minion, is_deleted=action == "delete")
        for key in changed:
            self._announce(action, key, user)
        return changed

    def offered(self, minion: MinionId, public_key: bytes, address: str) -> KeyStanding:
        """A minion has proved its key at the enrolment port; accept it by itself only where that is configured.

        Raises:
            KeyStoreError: it cannot be kept.
        """
        now_us = self.conductor.clock.now_us()
        is_new = all(key.public_key != public_key for key in self.store.of_id(minion))
        key = self.store.offer(minion, public_key, address, now_us)
        if self.auto_accept and key.state is KeyState.PENDING and minion not in self.store.conflicts():
            (key,) = self.store.accept([key], now_us)
            self._announce("accept", key, "auto_accept")
        elif is_new and (kept_back := self.notices.line(key, now_us)) is not None:
            self._tell_of(key, kept_back)
        if self.notices.event(key, now_us, is_new=is_new):
            self.conductor.publish_event(
                "fleet/auth", minion=minion, fingerprint=key.fingerprint, state=key.state.value, address=address
            )
        return KeyStanding(key.state.value)

    def _tell_of(self, key: MinionKey, kept_back: int) -> None:
        """Log a new candidate, with the command that accepts it."""
        more = (
            f" ({kept_back} other new keys kept out of the log: fleet-key -L shows those that are kept)"
            if kept_back
            else ""
        )
        if key.state is KeyState.DENIED:
            log.warning(
                "another key (%s) claims to be %s from %s: denied; the accepted one keeps its place%s",
                key.fingerprint,
                key.minion_id,
                key.address,
                more,
            )
        else:
            log.info(
                "the key of %s (%s) from %s is %s; accept it with: fleet-key -a %s%s",
                key.minion_id,
                key.fingerprint,
                key.address,
                key.state.value,
                key.minion_id,
                more,
            )

    def _find(self, choice: KeyChoice) -> MinionKey:
        key = self.store.find(choice.minion, choice.fingerprint)
        if key is None:
            raise NotFoundError(
                f"{choice.minion} has no key with the fingerprint {choice.fingerprint[:80]}",
                "`fleet-key -L` lists all keys",
            )
        return key

    def _erase(self, minion: MinionId, *, is_deleted: bool) -> None:
        """The accepted key of a minion is no more: from this moment it is sent nothing and nothing is taken from it (T6)."""
        conductor = self.conductor
        now_us = conductor.clock.now_us()
        conductor.perform(conductor.jobs.removed(minion, now_us))
        conductor.give_up_pings(conductor.pings.left(minion), "its key was removed")
        for connection in conductor.sessions.remove(minion, now_us):
            conductor.end_connection(connection.descriptor, connection.address)
        conductor.end_connections(minion)
        conductor.epochs.not_held_by(minion)
        conductor.epochs.expose(now_us)
        if is_deleted:
            conductor.facts.forget(minion)
            conductor.commit((ForgetMinion(minion),))
        # What it had still to forget stays owed: should its key be accepted again, it comes back with that.
        conductor.on_left(minion)

    def _announce(self, action: str, key: MinionKey, user: str) -> None:
        self.decided(key)
        log.info("key of %s (%s): %s by %s", key.minion_id, key.fingerprint, action, user)
        self.conductor.publish_event(
            f"fleet/key/{action}", minion=key.minion_id, fingerprint=key.fingerprint, user=user
        )
