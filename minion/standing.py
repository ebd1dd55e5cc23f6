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

    def learned(self, document: MasterDocument, kept: bytes, *, is_first_contact: bool) -> None:
        """Keep what the master says of itself; loudly when nothing was known of it before."""
        if is_first_contact:
            log.warning(
                "FIRST CONTACT: nothing is configured about the master's key; believing for now the master with the fingerprint "
                "%s. Compare it with `fleet-master --fingerprint`, or set master_fingerprint in minion.yaml",
                fingerprint(document.identity),
            )
        self._kept = kept
        if self.pin is None or self.pin.identity != document.identity:
            self.pin = MasterPin(document.identity, provisional=True)
            save_pin(self._folder, self.pin)

    def accepted(self, identity: bytes) -> None:
        """That master has accepted this minion: the pin is final, and the document that it has just shown is kept."""
        if self.pin is None or self.pin.provisional:
            log.info("the master with the fingerprint %s is pinned", fingerprint(identity))
        self.pin = MasterPin(identity, provisional=False, document=self._kept)
        save_pin(self._folder, self.pin)

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
