"""Hands an e-mail to a server. Certificates are checked, and a password never goes in the clear to another machine."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from carrier.messaging.errors import PermanentError

logger = logging.getLogger(__name__)

#: Seconds that a server may take for an answer (RFC 5321, section 4.5.3.2, allows minutes; a worker waits less).
TIMEOUT = 60.0


def send(url: str, message: EmailMessage, sender: str, recipients: Sequence[str]) -> None:
    """Send to all ``recipients``; those that are refused beside others that are not are logged.

    Parameters:
        url: ``smtp://user:password@host:587`` with STARTTLS where it is offered, or ``smtps://…:465``.

    Raises:
        PermanentError: the server refuses the e-mail or all of its recipients for good (5xx).
        OSError, smtplib.SMTPException: it cannot be reached, or says to try later.
    """
    try:
        with contextlib.closing(_connect(url)) as server:
            refused = server.send_message(message, sender, list(recipients))
            for address, (code, _) in refused.items():
                logger.warning("e-mail %s: the server refused %s with %d", message["Message-ID"], address, code)
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()  # it has the e-mail: what goes wrong now does not undo that
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        if all(code >= 500 for code in codes):
            raise PermanentError(f"the mail server refused all recipients: {sorted(set(codes))}") from None
        raise
    except smtplib.SMTPNotSupportedError as error:
        raise PermanentError(f"the mail server cannot do what this e-mail needs: {error}") from None
    except smtplib.SMTPResponseException as error:
        if error.smtp_code >= 500:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
            raise PermanentError(f"the mail server refused it: {error.smtp_code} {text[:300]}") from None
        raise


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise PermanentError("SMTP_URL: its port is no number") from None
    host, user = parts.hostname or "localhost", unquote(parts.username or "")
    trust = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port or 465, timeout=TIMEOUT, context=trust)
    else:
        server = smtplib.SMTP(host, port or (587 if user else 25), timeout=TIMEOUT)
    try:
        server.ehlo_or_helo_if_needed()
        if parts.scheme != "smtps":
            if server.has_extn("starttls"):
                server.starttls(context=trust)
                server.ehlo()
            elif user and not _is_loopback(host):
                raise PermanentError("SMTP_URL: the server offers no STARTTLS; the password would go in the clear")
        if user:
            server.login(user, unquote(parts.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
