"""The account that this process runs as."""

import os
import pwd


def user_name() -> str:
    """Its name, or its number where the system knows no name for it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
