"""The actor of e-mail messages."""

from __future__ import annotations

from actors.email.payload import Email
from actors.handling import message_id
from carrier.messaging.actor import actor
from settings import get_settings


@actor("email", queue="email_queue", payload=Email)
def send_email(email: Email) -> None:
    """Send an e-mail."""
    from actors.email.handler import deliver

    deliver(email, message_id(), get_settings())
