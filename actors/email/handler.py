"""Sends an e-mail. It knows nothing of queues and can be called from a plain script."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from actors.atomic import atomic_file, safe_name
from actors.email.address import Mailbox, parse
from actors.email.attached import parts
from actors.email.composition import Part, compose
from actors.email.payload import Email
from carrier.messaging.errors import Deferred, PermanentError
from settings import Settings


def deliver(email: Email, message_id: str, settings: Settings) -> None:
    """Send by SMTP when SMTP_URL is set, else write ``outbox/MESSAGE_ID.eml``: a repeat writes the same file again.

    Raises:
        PermanentError: all recipients are refused for good, or the e-mail cannot be made.
        TemporaryError: some recipients are to be asked again, or it was lost on its way.
        Deferred: no mail server can be used now.
        OSError: a file cannot be read or written.
    """
    try:
        sender = parse(email.from_ or settings.email_from)
    except ValueError as error:
        raise PermanentError(f"EMAIL_FROM: {error}") from None
    now = datetime.now(UTC)

    @cache
    def files() -> list[Part]:
        # Read once somebody is to get it: one that everybody has is done, whatever has become of its files.
        return parts(email.attachments or [], settings.attachment_root)

    def composed(allow_utf8: bool) -> bytes:
        return compose(email, sender=sender, message_id=message_id, date=now, parts=files(), allow_utf8=allow_utf8)

    if not settings.smtp_urls:
        with atomic_file(settings.outbox / f"{safe_name(message_id)}.eml") as file:
            file.write(composed(True))
        return
    # The outbox needs neither the store nor what speaks SMTP.
    from actors.email.sending import send
    from actors.email.server import server_of
    from actors.email.transaction import Letter

    try:
        known = [server_of(url) for url in settings.smtp_urls]
    except ValueError as error:
        raise Deferred(str(error)) from None
    recipients = _mailboxes(email, "to", "cc", "bcc")
    everybody = (sender, *recipients, *_mailboxes(email, "reply_to"))
    # An address that is named twice gets it once.
    unique = list({each.address: each for each in recipients}.values())
    letter = Letter(sender, unique, composed, is_international=not all(each.is_ascii for each in everybody))
    send(message_id, letter, known)


def _mailboxes(email: Email, *fields: str) -> list[Mailbox]:
    return [parse(text) for field in fields for text in email.mailboxes(field)]
