"""One mailbox, checked: what cannot be understood as exactly one address goes into no header and no SMTP command."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

#: A dot-atom (RFC 5322, section 3.2.3), with the letters of all languages (RFC 6531, section 3.3).
_LOCAL = re.compile(r'[^\s\x00-\x20\x7f-\x9f()<>\[\]:;@\\,."]+(?:\.[^\s\x00-\x20\x7f-\x9f()<>\[\]:;@\\,."]+)*')
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Mailbox:
    """One address; ``domain`` is in small ASCII letters (IDNA), and ``text`` is what was given."""

    name: str
    local: str
    domain: str
    text: str

    @property
    def address(self) -> str:
        """The address as SMTP takes it."""
        return f"{self.local}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        """Whether every server takes it; the others need SMTPUTF8 (RFC 6531)."""
        return self.local.isascii()

    def __str__(self) -> str:
        return self.text


@lru_cache(4096)  # it is asked when an e-mail is sent, when it arrives, and when it is written
def parse(text: str) -> Mailbox:
    """``user@example.com`` or ``A Name <user@example.com>``. Quoted local parts and address literals are not taken.

    Raises:
        ValueError: it is not exactly one address; the text does not repeat it.
    """
    wrong = ValueError("must be one e-mail address, such as user@example.com or A Name <user@example.com>")
    if len(text) > 500 or _CONTROL.search(text):
        raise wrong
    name, address = ("", text.strip()) if "<" not in text else _split(text, wrong)
    local, _, domain = address.rpartition("@")
    try:
        ascii_domain = domain.lower() if domain.isascii() else _idna(domain)
        octets = len(local.encode())
    except UnicodeError:  # which the errors of idna are
        raise wrong from None
    # RFC 5321, section 4.5.3.1: 64 octets before the @, 254 in all without the angle brackets.
    if not _LOCAL.fullmatch(local) or octets > 64 or octets + 1 + len(ascii_domain) > 254:
        raise wrong
    if not _DOMAIN.fullmatch(ascii_domain):
        raise wrong
    return Mailbox(name, local, ascii_domain, text)


def _idna(domain: str) -> str:
    """As IDNA 2008 has it, after the mapping of UTS 46: capitals, wide letters."""
    import idna

    return idna.encode(domain, uts46=True).decode("ascii")


def _split(text: str, wrong: ValueError) -> tuple[str, str]:
    """Name and address, by the standard library's parser."""
    from email import policy

    before, _, rest = text.rpartition("<")
    if not rest.rstrip().endswith(">"):
        raise wrong
    # The address is checked by our own pattern; a plain one in its place lets the parser judge the name alone.
    header = policy.SMTP.header_factory("To", f"{before}<name@example.com>")
    if header.defects or len(header.addresses) != 1 or len(header.groups) != 1 or header.groups[0].display_name:
        raise wrong
    # Readers take any white space for one space.
    return " ".join(header.addresses[0].display_name.split()), rest.rstrip()[:-1]
