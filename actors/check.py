"""What is wrong with the settings of the four actors, for ``carrier check``."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from actors.backup.engines import engine_of
from actors.cleanup.handler import roots_of
from actors.email.address import parse
from actors.email.server import server_of
from carrier.messaging.broker import Broker
from carrier.messaging.errors import PermanentError
from settings import Settings


def problems(settings: Settings, _: Broker) -> Iterator[str]:
    """A line each: where, what, and what to do."""
    where = settings.carrier_config
    addresses = {f"{where}: recipients.{name}.email": each.email for name, each in settings.config.recipients.items()}
    for place, address in {"environment: EMAIL_FROM": settings.email_from, **addresses}.items():
        try:
            parse(address)
        except ValueError as error:
            yield f"{place}: {error}"
    for url in settings.smtp_urls:
        try:
            server_of(url)
        except ValueError as error:
            yield f"environment: {error}"
    for name in settings.config.cleanup:
        try:
            roots_of(name, settings)
        except PermanentError as error:
            yield f"{where}: {error}"
    for place, folder in (("CARRIER_HOME", settings.home), ("BACKUP_ROOT", settings.backups)):
        if folder.exists() and not folder.is_dir():
            yield f"environment: {place}: {folder} is not a folder"
    if settings.backups.is_dir() and settings.backups.stat().st_mode & stat.S_IWOTH:
        yield f"environment: BACKUP_ROOT: everybody may write into {settings.backups}; chmod o-w it"
    for place, path in (("BACKUP_IDENTITY", settings.backup_identity), ("ATTACHMENT_ROOT", settings.attachment_root)):
        if path is not None and not path.exists():
            yield f"environment: {place}: there is no {path}"
    for name, database in settings.databases.items():
        try:
            engine_of(database).program(database.tools)
        except PermanentError as error:
            yield f"{where}: databases.{name}: {error}"
