"""An e-mail in the form in which it travels (RFC 5322 and MIME)."""

from __future__ import annotations

import base64
import mimetypes
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

from actors.atomic import safe_name
from actors.email.address import Mailbox, parse
from actors.email.payload import Attachment, Email

#: Seven bits, so that no server on the way has to convert it.
_POLICY = SMTP.clone(cte_type="7bit")


def compose(email: Email, *, sender: Mailbox, message_id: str, date: datetime) -> EmailMessage:
    """The message, without a Bcc header. Its Message-ID follows from ``message_id``: a repeat has the same one."""
    visible = [parse(text) for field in ("to", "cc", "reply_to") for text in email.mailboxes(field)]
    international = not all(mailbox.local.isascii() for mailbox in (sender, *visible))
    message = EmailMessage(_POLICY.clone(utf8=True) if international else _POLICY)
    message["From"] = sender.header
    for name, field in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
        if addresses := email.mailboxes(field):
            message[name] = [parse(text).header for text in addresses]
    message["Subject"] = email.subject
    message["Date"] = date
    message["Message-ID"] = f"<{safe_name(message_id)}@{sender.domain}>"
    for name, value in (email.headers or {}).items():
        message[name] = value
    message.set_content(email.body)
    if email.html is not None:
        message.add_alternative(email.html, subtype="html")
    for attachment in email.attachments or ():
        _attach(message, attachment)
    return message


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    kind = attachment.content_type
    if kind is None:
        guessed, encoding = mimetypes.guess_type(attachment.filename)
        # A guessed "text/x with gzip around it" is gzip to the reader.
        kind = guessed if guessed and not encoding else "application/octet-stream"
    if kind.startswith(("multipart/", "message/")):
        kind = "application/octet-stream"
    maintype, _, subtype = kind.partition("/")
    data = base64.b64decode(attachment.content)
    message.add_attachment(data, maintype=maintype, subtype=subtype, filename=attachment.filename)
