"""What a minion knows of its master on disk: the pin and the kept document, and how an identity that answers is judged."""

import logging
from pathlib import Path

from ..core.crypto import VerifyKey
from ..core.enrolment_messages import MasterDocument, verify_document
from ..core.enrolment_minion import Trust
from ..core.errors import ProtocolError
from ..keys.fingerprint import fingerprint, same_fingerprint
from ..keys.pin import MasterPin, load_pin, save_pin

log = logging.getLogger(__name__)

#: A provisional pin is written no more often: who answers there may show another identity each time, and a write is an fsync.
PROVISIONAL_PIN_US = 60_000_000


class Standing:
    """The pinned master (DESIGN T1).

    Args:
        folder: the minion's state folder.
        expected: the configured fingerprint; empty when none is.
    """

    def __init__(self, folder: Path, expected: str) -> None:
        self._folder = folder
        self._expected = expected
        self._kept = b""
        self.pin = load_pin(folder)
        self._is_written = True
        self._write_us = 0

    def judge(self, identity: VerifyKey) -> Trust:
        """Say whether this identity is the master's: by the configured fingerprint, else by the pin, else it is a first contact.

        A provisional pin does not bind: until a master has accepted this minion, another may still turn out to be the right one.
        """
        code = fingerprint(identity.raw)
        if self._expected:
            return Trust.KNOWN if same_fingerprint(code, self._expected) else Trust.CHANGED
        if self.pin is None:
            return Trust.FIRST_CONTACT
        if self.pin.identity == identity.raw:
            return Trust.KNOWN
        return Trust.FIRST_CONTACT if self.pin.provisional else Trust.CHANGED

    def learned(self, document: MasterDocument, kept: bytes, now_us: int) -> bool:
        """Keep what the master says of itself; return whether it has taken the place of another one.

        The pin on disk may be older, by ``PROVISIONAL_PIN_US`` at the most: a provisional one does not bind.
        """
        self._kept = kept
        before = self.pin
        is_other = before is not None and before.identity != document.identity
        if before is None or is_other:
            self.pin = MasterPin(document.identity, provisional=True)
            self._is_written = False
        if self.pin is not None and not self._is_written and now_us >= self._write_us:
            save_pin(self._folder, self.pin)
            self._is_written, self._write_us = True, now_us + PROVISIONAL_PIN_US
        return is_other

    def accepted(self, identity: bytes) -> None:
        """That master has accepted this minion: the pin is final, and the document that it has just shown is kept."""
        if self.pin is None or self.pin.provisional:
            log.info("the master with the fingerprint %s is pinned", fingerprint(identity))
        self.pin = MasterPin(identity, provisional=False, document=self._kept)
        save_pin(self._folder, self.pin)
        self._is_written = True

    def document(self) -> MasterDocument | None:
        """The kept document of the master that has accepted this minion, with its signature checked; None without one."""
        if self.pin is None or self.pin.provisional or not self.pin.document:
            return None
        if self._expected and not same_fingerprint(fingerprint(self.pin.identity), self._expected):
            return None
        try:
            return verify_document(self.pin.document, VerifyKey(self.pin.identity))
        except ProtocolError as problem:
            log.warning("the kept document of the master is of no use: %s", problem.message)
            return None
