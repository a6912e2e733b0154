"""The actor of backup messages."""

from __future__ import annotations

from actors.backup.payload import Backup
from actors.handling import message_id
from carrier.messaging.actor import actor
from settings import get_settings

#: Milliseconds that one backup may take: four hours.
TIME_LIMIT = 4 * 3600 * 1000


@actor("backup", queue="backup_queue", payload=Backup, time_limit=TIME_LIMIT)
def send_backup(backup: Backup) -> None:
    """Back up a database."""
    from actors.backup.handler import back_up

    back_up(backup, message_id(), get_settings())
