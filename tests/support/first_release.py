"""``fleet-minion`` as the first release spoke: version 1 of the fleet's ports, and none of the kinds that came later."""

import sys
from types import MappingProxyType

from fleet.core import messages


def speak_version_1() -> None:
    """Take away what came later; before anything else reads the tables."""
    messages.PROTOCOL_VERSION = messages.PROTOCOL_FIRST
    for name in ("FROM_MINION", "FROM_MASTER"):
        kinds = {number: kind for number, kind in getattr(messages, name).items() if kind not in messages.SINCE}
        setattr(messages, name, MappingProxyType(kinds))


if __name__ == "__main__":
    speak_version_1()
    from fleet.minion.command import main

    sys.exit(main())
