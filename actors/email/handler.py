"""Sends an e-mail. It knows nothing of queues and can be called from a plain script."""

from __future__ import annotations

from datetime import UTC, datetime

from actors.atomic import atomic_file, safe_name
from actors.email import smtp
from actors.email.address import parse
from actors.email.composition import compose
from actors.email.payload import Email
from carrier.messaging.errors import PermanentError
from settings import Settings


def deliver(email: Email, message_id: str, settings: Settings) -> None:
    """Send by SMTP when SMTP_URL is set, else write ``outbox/MESSAGE_ID.eml``: a repeat writes the same file again.

    Raises:
        PermanentError: the server refuses it for good, or a setting is wrong.
        OSError, smtplib.SMTPException: another attempt may succeed.
    """
    try:
        sender = parse(email.from_ or settings.email_from)
    except ValueError as error:
        raise PermanentError(f"EMAIL_FROM: {error}") from None
    message = compose(email, sender=sender, message_id=message_id, date=datetime.now(UTC))
    if settings.smtp_url is None:
        with atomic_file(settings.outbox / f"{safe_name(message_id)}.eml") as file:
            file.write(bytes(message))
    else:
        recipients = [parse(text).address for field in ("to", "cc", "bcc") for text in email.mailboxes(field)]
        smtp.send(settings.smtp_url.get_secret_value(), message, sender.address, list(dict.fromkeys(recipients)))
