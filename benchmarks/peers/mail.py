"""The e-mail that every system sends, and the note of each that was sent."""

from __future__ import annotations

import os
import time
from functools import cache

SUBJECT = "Your invoice of November"
BODY = "Dear customer,\n\nplease find your invoice in your account.\n\n" + "Thank you for your trust. " * 8
HTML = f"<html><body><p>{BODY}</p></body></html>"


def recipient(n: int) -> str:
    """One for each e-mail."""
    return f"user-{n}@example.com"


@cache
def _notes() -> int:
    return os.open(os.environ["BENCH_NOTES"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)


def note() -> None:
    """One more is sent."""
    os.write(_notes(), f"{time.time()}\n".encode())


def plainly(n: int) -> None:
    """As the examples of most documentations have it: an EmailMessage, and a connection each."""
    import smtplib
    from email.message import EmailMessage

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "us@example.com", recipient(n), SUBJECT
    message.set_content(BODY)
    message.add_alternative(HTML, subtype="html")
    with smtplib.SMTP("127.0.0.1", int(os.environ["BENCH_SMTP_PORT"])) as server:
        server.send_message(message)
    note()
