"""The actor of backup messages."""

from __future__ import annotations

from actors.backup.payload import Backup
from actors.handling import message_id
from carrier.configuration import current_settings
from carrier.messaging.actor import actor
from carrier.messaging.errors import TemporaryError
from carrier.store.errors import StoreUnavailable

#: Milliseconds: more than any time_limit of a database.
TIME_LIMIT = 25 * 3_600_000
#: Milliseconds: what keeps a backup from being made is seldom over in a minute, and it is to be there by the morning.
_LEAST, _MOST = 5 * 60_000, 3_600_000


@actor(
    "backup",
    queue="backup_queue",
    payload=Backup,
    time_limit=TIME_LIMIT,
    max_attempts=8,
    min_backoff=_LEAST,
    max_backoff=_MOST,
)
def send_backup(backup: Backup) -> None:
    """Back up a database."""
    from actors.backup.run import back_up
    from actors.backup.trouble import BackupError

    try:
        back_up(backup, message_id(), current_settings())
    except (BackupError, StoreUnavailable, OSError) as error:
        raise TemporaryError(str(error), least=_LEAST) from error
