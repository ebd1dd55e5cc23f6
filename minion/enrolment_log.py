"""What enrolment writes into the minion's log: one sentence a case and master, each at most once a minute.

What is said holds words of whoever answers there, so the sentence itself is not what is limited: a stranger would vary it.
"""

import logging

from ..core.enrolment_messages import KeyStanding
from ..core.enrolment_minion import Applicant, Learned
from ..core.log_limit import LineLimiter
from ..keys.fingerprint import fingerprint, pairing_code

_log = logging.getLogger(__name__)


class EnrolmentLog:
    """Says how the enrolment goes, with the commands to type."""

    def __init__(self, applicant: Applicant) -> None:
        """Speak for this minion."""
        self._minion_id = applicant.minion_id
        self._public_key = applicant.curve.public.raw
        self._fingerprint = fingerprint(self._public_key)
        self._lines = LineLimiter()

    def first_contact(self, master: str, shown: str, now_us: int) -> None:
        """A master answers of which nothing was known before."""
        self._say(
            logging.WARNING,
            f"first contact {master}",
            "FIRST CONTACT: nothing is configured about the master's key; believing for now the master with the fingerprint "
            f"{shown}. Compare it with `fleet-master --fingerprint`, or set master_fingerprint in minion.yaml",
            now_us,
        )

    def changed(self, master: str, shown: str, now_us: int) -> None:
        """Another master answers than the one that is configured or pinned."""
        self._say(
            logging.ERROR,
            f"changed {master}",
            f"the master at {master} shows the fingerprint {shown}, which is not that of the master this minion belongs "
            "to: refused. If the master was set up anew, correct master_fingerprint in minion.yaml, "
            "and remove master.pin from the state folder of this minion",
            now_us,
        )

    def verdict(self, master: str, standing: KeyStanding, learned: Learned, retry_seconds: float, now_us: int) -> None:
        """The master has said where the key stands."""
        case = f"{standing.value} {master}"
        again = f"asking again in {retry_seconds:.0f} s"
        match standing:
            case KeyStanding.ACCEPTED:
                _log.info("the master has accepted the key of %s (%s)", self._minion_id, self._fingerprint)
            case KeyStanding.PENDING:
                code = pairing_code(learned.document.identity, self._public_key)
                self._say(
                    logging.INFO,
                    case,
                    f"waiting for the master to accept the key of {self._minion_id}: fleet-key -a {self._minion_id} "
                    f"(fingerprint {self._fingerprint}, pairing code {code})",
                    now_us,
                )
            case KeyStanding.REJECTED:
                self._say(
                    logging.ERROR,
                    case,
                    f"the master has rejected the key of {self._minion_id} ({self._fingerprint}); "
                    f"`fleet-key -a {self._minion_id}` accepts it all the same; {again}",
                    now_us,
                )
            case KeyStanding.DENIED:
                self._say(
                    logging.ERROR,
                    case,
                    f"the master denies the key of {self._minion_id} ({self._fingerprint}), because another one is "
                    f"accepted under that id: give this minion another `id`, or, if the machine was set up anew, "
                    f"`fleet-key -d {self._minion_id}` and accept the new one; {again}",
                    now_us,
                )

    def failed(self, master: str, reason: str, hint: str, now_us: int) -> None:
        """An attempt has come to nothing; what to look at, if anything, is the case."""
        advice = f" ({hint})" if hint else ""
        line = f"no enrolment at {master}: {reason}{advice}; trying again"
        self._say(logging.WARNING, f"failed {master} {hint}", line, now_us)

    def _say(self, level: int, case: str, line: str, now_us: int) -> None:
        kept_back = self._lines.allow(case, now_us)
        if kept_back is not None:
            _log.log(level, "%s%s", line, f" ({kept_back} lines like this kept back)" if kept_back else "")
