"""The errors of fleet: one tree, one class for each thing that can go wrong.

::

    FleetError                 something a person must be told
     ├─ UsageError             the words on the command line do not fit
     ├─ SettingsError          a configuration file or variable is wrong
     ├─ StateError             a file or folder of ours is damaged, foreign or locked
     │   ├─ KeyStoreError      the store of minion keys cannot be used
     │   └─ StoreFullError     the job cache can take nothing more for now
     ├─ UnreachableError       the master does not answer on its control socket
     ├─ NotPermittedError      this account may not do that
     ├─ NoMatchError           the target selects no minion
     ├─ TargetError            the target expression cannot be read
     ├─ ArgumentError          a function's arguments do not fit its signature
     ├─ NotFoundError          there is no such job, minion, key or function
     ├─ TransportError         a port or socket cannot be opened
     ├─ OutputError            results cannot be written where they should go
     └─ ProtocolError          bytes from the other side are not a message
         ├─ VersionError       the other side speaks no version that we speak
         └─ CryptoError        a signature, a box or a seal does not open

Every message says what happened and why; ``hint`` says what to do next. ``exit_code`` is the exit code of
the command that ends with the error (``docs/reference.md`` has the table).
"""


class FleetError(Exception):
    """Something went wrong that a person must be told.

    Attributes:
        message: what happened and why, one sentence without a final full stop.
        hint: what to do next; empty when there is nothing to add.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the two parts apart, so that each front end may show them its own way."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(FleetError):
    """The words on the command line do not fit the command; its ``--help`` shows what does."""

    exit_code = 2


class SettingsError(FleetError):
    """A configuration file or environment variable is wrong; the message names file, key and the nearest valid name."""


class StateError(FleetError):
    """A file or folder of ours is damaged, belongs to somebody else or is in use by another process."""


class KeyStoreError(StateError):
    """The store of minion keys is damaged, locked, or would be left inconsistent by the request."""


class StoreFullError(StateError):
    """The job cache can take nothing more for now: its disk is full, fails or is locked, or too much waits for it.

    What it has stored is safe, and it goes on by itself when the cause is gone.
    """


class UnreachableError(FleetError):
    """The master does not answer on its control socket; start it, or name its socket with ``--root``."""


class NotPermittedError(FleetError):
    """This account may not do that; run the command as root or as the account of the master."""

    exit_code = 4


class NoMatchError(FleetError):
    """The target selects no minion; ``fleet minions`` lists those that there are."""

    exit_code = 3


class TargetError(FleetError):
    """The target expression cannot be read; the message points at the place."""

    exit_code = 2


class ArgumentError(FleetError):
    """A function's arguments do not fit its signature; ``fleet doc FUNCTION`` shows it."""

    exit_code = 2


class NotFoundError(FleetError):
    """There is no such job, minion, key or function; the hint lists the nearest names."""


class TransportError(FleetError):
    """A port or socket cannot be opened, most often because another process holds it."""


class OutputError(FleetError):
    """Results cannot be written where they should go; they are in the job cache: ``fleet jobs show JID``."""


class ProtocolError(FleetError):
    """Bytes from the other side are not a message that we accept: counted and dropped, never a crash."""


class VersionError(ProtocolError):
    """The other side speaks no protocol version that this side speaks; upgrade the older one."""


class CryptoError(ProtocolError):
    """A signature, a box or a seal does not open: the bytes were altered or made by somebody else."""
