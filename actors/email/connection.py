"""A connection to a mail server, up to where it takes e-mail.

Certificates and names are checked, nothing of a password is sent before that, and never in the clear unless SMTP_URL
says so. The standard library speaks; what it would do silently (go on without TLS, try one login after another) is
decided here.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import smtplib
import socket
import ssl

from actors.email.server import Server
from actors.email.trouble import Misconfigured, ServerAway

logger = logging.getLogger(__name__)

#: Seconds for connecting and for each answer until e-mail can be sent.
CONNECTING = 20.0
#: Seconds for each answer after that (RFC 5321, section 4.5.3.2, allows minutes; a worker waits less).
TIMEOUT = 60.0


def connect(server: Server) -> smtplib.SMTP:
    """A connection on which e-mail can be sent.

    Raises:
        ServerAway: not now.
        Misconfigured: not before something is mended.
    """
    try:
        smtp = _greeted(server)
    except (OSError, smtplib.SMTPException) as error:
        raise _trouble(server, "its greeting", error) from None
    try:
        _prepare(smtp, server)
        socket_of(smtp).settimeout(TIMEOUT)
    except (OSError, smtplib.SMTPException) as error:
        smtp.close()
        raise _trouble(server, "STARTTLS", error) from None
    except BaseException:
        smtp.close()
        raise
    return smtp


def _greeted(server: Server) -> smtplib.SMTP:
    # The name is set before EHLO; without one smtplib asks the resolver for its own, which may take seconds.
    if server.protection == "implicit":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, local_hostname="localhost", timeout=CONNECTING, context=_trust(server)
        )
    else:
        smtp = smtplib.SMTP(server.host, server.port, local_hostname="localhost", timeout=CONNECTING)
    smtp.local_hostname = _own_name(smtp)
    return smtp


def _prepare(smtp: smtplib.SMTP, server: Server) -> None:
    _hello(smtp)
    if server.protection == "starttls":
        if not smtp.has_extn("starttls"):
            raise Misconfigured(
                "it offers no STARTTLS; use a port that does, smtps:// for TLS from the start,"
                " or ?tls=none in SMTP_URL if e-mail may go in the clear"
            )
        smtp.starttls(context=_trust(server))
        _hello(smtp)
    if server.user:
        if server.protection == "none" and not server.is_local:
            logger.warning("%s: the password goes in the clear, as SMTP_URL says (?tls=none)", server)
        _log_in(smtp, server)


def _hello(smtp: smtplib.SMTP) -> None:
    code, said = smtp.ehlo()
    if 500 <= code < 600:  # it may be very old
        code, said = smtp.helo()
    if not 200 <= code < 300:
        raise _refused("EHLO", code, said)


def _log_in(smtp: smtplib.SMTP, server: Server) -> None:
    """By one mechanism: servers lock accounts after a few failures, and smtplib would try all that there are."""
    offered = smtp.esmtp_features.get("auth", "").upper().split()
    user, password = server.user.encode(), server.password.encode()
    if "PLAIN" in offered:  # RFC 4616
        code, said = smtp.docmd("AUTH", f"PLAIN {_base64(bytes([0]) + user + bytes([0]) + password)}")
    elif "LOGIN" in offered:
        code, said = smtp.docmd("AUTH", "LOGIN")
        for each in (user, password):
            if code == 334:
                code, said = smtp.docmd(_base64(each))
    else:
        names = ", ".join(offered) or "none"
        raise Misconfigured(
            f"SMTP_URL has a user, and the server offers neither AUTH PLAIN nor LOGIN (it has: {names})"
        )
    if code != 235:
        trouble = _refused("the login", code, said)
        if isinstance(trouble, Misconfigured):
            trouble = Misconfigured(f"{trouble}; check user and password in SMTP_URL")
        raise trouble


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _trust(server: Server) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"the certificates of ?ca= in SMTP_URL cannot be read: {error}") from None


def _own_name(smtp: smtplib.SMTP) -> str:
    """A full name, or else the address that the server sees (RFC 5321, section 4.1.3)."""
    name = socket.gethostname()
    if "." in name.strip(".") and name.isascii():
        return name
    address = socket_of(smtp).getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _refused(what: str, code: int, said: bytes | str) -> ServerAway | Misconfigured:
    text = f"it answers {what} with {line(code, said)}"
    return Misconfigured(text) if 500 <= code < 600 else ServerAway(text)


def line(code: int, said: bytes | str) -> str:
    """A reply in one line, without what a terminal would obey: it is a stranger's."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    text = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split())[:500])
    return f"{code} {text}".rstrip()


def _trouble(server: Server, what: str, error: OSError | smtplib.SMTPException) -> ServerAway | Misconfigured:
    match error:
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():  # it has gone
            return ServerAway(_away(server, error))
        case ssl.SSLError():
            return Misconfigured(_of_tls(server, error))
        case smtplib.SMTPResponseException():
            return _refused(what, error.smtp_code, error.smtp_error)
        case _:
            return ServerAway(_away(server, error))


def _of_tls(server: Server, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}; mend it, or name its issuer's with ?ca=FILE"
    text = f"TLS fails: {error.reason or error}"
    if server.protection == "implicit":
        text += f"; if port {server.port} wants STARTTLS, write smtp:// in SMTP_URL instead of smtps://"
    return text


def _away(server: Server, error: Exception) -> str:
    text = str(error) or type(error).__name__
    # smtplib makes one of its own errors of a timeout, for an answer that does not come.
    is_silent = isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)
    if is_silent and server.protection != "implicit":
        text += f" (if port {server.port} speaks TLS from the start, write smtps:// in SMTP_URL)"
    return " ".join(text.split())[:500]


def socket_of(smtp: smtplib.SMTP) -> socket.socket:
    """Its socket.

    Raises:
        smtplib.SMTPServerDisconnected: it is closed.
    """
    if smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("the connection is closed")
    return smtp.sock


def quit(smtp: smtplib.SMTP) -> None:
    """Take leave. What goes wrong now undoes nothing."""
    with contextlib.suppress(smtplib.SMTPException, OSError):
        socket_of(smtp).settimeout(2)
        smtp.quit()
    smtp.close()
