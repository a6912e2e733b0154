"""Where e-mail is handed over: SMTP_URL, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from carrier.loopback import is_loopback

#: How the connection is protected: from its first byte, by STARTTLS before anything else is said, or not at all.
Protection = Literal["implicit", "starttls", "none"]


#: How the name of one begins, for people.
KIND = "mail server "


@dataclass(frozen=True)
class Server:
    """A mail server.

    Attributes:
        ca: a file of certificates that are trusted instead of the system's.
    """

    host: str
    port: int
    protection: Protection
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{KIND}{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@cache  # each e-mail asks
def server_of(url: str) -> Server:
    """The server that a URL of SMTP_URL names.

    ``smtp://user:password@host:587`` demands STARTTLS, except of a server on this machine; ``?tls=none`` does without
    and ``?tls=starttls`` demands it everywhere. ``smtps://host:465`` speaks TLS from the first byte.
    ``?ca=/etc/ssl/own.pem`` trusts the certificates of a file.

    Raises:
        ValueError: it cannot be understood; the text does not repeat it.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True))
    except ValueError:
        raise ValueError("SMTP_URL: must be as smtp://user:password@host:587") from None
    if parts.scheme not in ("smtp", "smtps") or not host or port == 0 or parts.path.strip("/") or parts.fragment:
        raise ValueError("SMTP_URL: must be as smtp://user:password@host:587")
    tls, ca = options.pop("tls", None), options.pop("ca", None)
    if options or tls not in (None, "none", "starttls") or (parts.scheme == "smtps" and tls is not None):
        raise ValueError("SMTP_URL: its options are ?tls=starttls or ?tls=none (of smtp://), and ?ca=FILE")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if any("\0" in each for each in (user, password)):
        raise ValueError("SMTP_URL: user and password must not hold NUL characters")
    protection: Protection = "starttls"
    if parts.scheme == "smtps":
        protection = "implicit"
    elif tls == "none" or (tls is None and is_loopback(host)):
        protection = "none"
    standard = 465 if protection == "implicit" else 587 if user else 25
    return Server(host, port or standard, protection, user, password, ca)
