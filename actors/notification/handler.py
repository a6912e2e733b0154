"""Notifies a user. It knows nothing of queues and can be called from a plain script."""

from __future__ import annotations

import json
import re

from pydantic import ValidationError

from actors.email.handler import deliver
from actors.email.payload import Email
from actors.notification.payload import Notification
from carrier.messaging.errors import PermanentError, describe
from carrier.store import inbox
from settings import Settings

#: A key that TOML takes without quotes (https://toml.io/en/v1.0.0#keys).
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def notify(notification: Notification, message_id: str, settings: Settings) -> None:
    """Put the notification in the user's inbox, once, and send it by e-mail if that is its channel.

    Raises:
        PermanentError: no address is configured for the user; the notification is in the inbox all the same.
        TemporaryError, Deferred, OSError: as those of an e-mail.
    """
    inbox.add(
        message_id,
        user_id=notification.user_id,
        title=notification.title,
        message=notification.message,
        data=notification.data,
    )
    if notification.type == "email":
        recipient = settings.config.recipients.get(notification.user_id)
        if recipient is None:
            user = notification.user_id
            key = user if _BARE_KEY.fullmatch(user) else json.dumps(user, ensure_ascii=False)
            # What is quoted is left out of a failure's cause: one cause for all who have no address.
            raise PermanentError(
                f"no address for {user!r}: add '[recipients.{key}]' with email = \"…\" to carrier.toml"
            )
        try:
            email = Email(to=recipient.email, subject=notification.title, body=notification.message)
        except ValidationError as error:
            where = f"an e-mail to recipients.{notification.user_id}"
            raise PermanentError(describe(error, where)) from None
        deliver(email, message_id, settings)
