"""The actor of notification messages."""

from __future__ import annotations

from actors.handling import message_id
from actors.notification.payload import Notification
from carrier.messaging.actor import actor
from settings import get_settings


@actor("notification", queue="notification_queue", payload=Notification)
def send_notification(notification: Notification) -> None:
    """Notify a user."""
    from actors.notification.handler import notify

    notify(notification, message_id(), get_settings())
