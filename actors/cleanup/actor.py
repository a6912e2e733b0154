"""The actor of cleanup messages."""

from __future__ import annotations

from actors.cleanup.payload import Cleanup
from carrier.configuration import current_settings
from carrier.messaging.actor import actor

#: Milliseconds that one cleanup may take: an hour.
TIME_LIMIT = 3600 * 1000


@actor("cleanup", queue="cleanup_queue", payload=Cleanup, time_limit=TIME_LIMIT)
def send_cleanup(cleanup: Cleanup) -> None:
    """Delete old files."""
    from actors.cleanup.handler import clean_up

    clean_up(cleanup, current_settings())
