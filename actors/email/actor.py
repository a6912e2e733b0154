"""The actor of e-mail messages."""

from __future__ import annotations

from actors.email.payload import Email
from actors.handling import message_id
from carrier.configuration import current_settings
from carrier.messaging.actor import actor


# Greylists and full mailboxes want minutes to hours.
@actor("email", queue="email_queue", payload=Email, max_attempts=24, min_backoff=60_000, max_backoff=3_600_000)
def send_email(email: Email) -> None:
    """Send an e-mail."""
    from actors.email.handler import deliver

    deliver(email, message_id(), current_settings())
