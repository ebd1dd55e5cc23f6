"""Which offers of keys the master tells of, in its log and by the event ``fleet/auth``; pure, so the time comes in.

A stranger can prove ever new keys, hundreds a second, under any id. Were each of them told of, the log would fill the disk and
the ring of events would hold nothing else; so each source is told of once a minute, and so is each id that others claim.
"""

from ..core.log_limit import LineLimiter
from ..keys.minion_key import KeyState, MinionKey
from .enrolment_listener import source_of

#: More than a fleet has: an accepted key that is offered again is that minion's own, and limited by its id.
_MINIONS_LIMIT = 16_384


class OfferNotices:
    """Decides which offers are told of."""

    def __init__(self) -> None:
        """Begin with every source and every id free to be told of."""
        self._sources = LineLimiter()
        self._claimed = LineLimiter()
        self._kept_back = 0
        self._new = LineLimiter()
        self._again = LineLimiter()
        self._accepted = LineLimiter(keys_limit=_MINIONS_LIMIT)

    def line(self, key: MinionKey, now_us: int) -> int | None:
        """Ask whether the log may tell of a key that was never offered before.

        Returns:
            None when it is kept back; else how many of all sources were kept back since the last line.
        """
        # The id first: a source whose claim of a well-known id is kept back may still be told of for another one.
        is_told = key.state is not KeyState.DENIED or self._claimed.allow(key.minion_id, now_us) is not None
        if not is_told or self._sources.allow(source_of(key.address), now_us) is None:
            self._kept_back += 1
            return None
        kept_back, self._kept_back = self._kept_back, 0
        return kept_back

    def event(self, key: MinionKey, now_us: int, *, is_new: bool) -> bool:
        """Ask whether an event may tell of an offer; those that ask again do not stand in the way of a new key."""
        if key.state is KeyState.ACCEPTED:
            return self._accepted.allow(key.minion_id, now_us) is not None
        limiter = self._new if is_new else self._again
        return limiter.allow(source_of(key.address), now_us) is not None
