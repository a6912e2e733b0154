"""Who gives a command."""

from __future__ import annotations

import getpass
import socket


def person() -> str:
    """The person, as others know them: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        user = "?"
    return f"{user}@{socket.gethostname()}"
