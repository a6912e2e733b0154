"""The actor of notification messages."""

from __future__ import annotations

from actors.handling import message_id
from actors.notification.payload import Notification
from carrier.configuration import current_settings
from carrier.messaging.actor import actor


# As an e-mail, which some are sent by.
@actor(
    "notification",
    queue="notification_queue",
    payload=Notification,
    max_attempts=24,
    min_backoff=60_000,
    max_backoff=3_600_000,
)
def send_notification(notification: Notification) -> None:
    """Notify a user."""
    from actors.notification.handler import notify

    notify(notification, message_id(), current_settings())
