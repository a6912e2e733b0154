"""Custom headers: they may say what they like, except what Carrier says itself or what decides where mail goes."""

from __future__ import annotations

import re

from actors.payload import as_read

#: ftext (RFC 5322, section 3.6.8): what a header's name may be made of.
_NAME = re.compile(r"[!-9;-~]{1,70}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")

#: In small letters.
_RESERVED = (
    # Carrier's own.
    *("to", "from", "cc", "bcc", "reply-to", "sender", "subject", "date", "message-id", "mime-version"),
    # The servers' own.
    *("return-path", "received", "authentication-results", "dkim-signature", "domainkey-signature"),
    # Where mail, bounces and receipts go.
    *("apparently-to", "delivered-to", "envelope-to", "x-original-to", "errors-to"),
    *("return-receipt-to", "disposition-notification-to"),
)
_RESERVED_PREFIXES = ("content-", "resent-", "arc-", "received-")


def check_headers(headers: dict[str, str]) -> dict[str, str]:
    """``headers`` themselves.

    Raises:
        ValueError: a name is not a header's name or is reserved, or a value has line breaks or is too long.
    """
    seen = set()
    for name, value in headers.items():
        lowered = name.lower()
        if not _NAME.fullmatch(name):
            raise ValueError("a header's name must be 1 to 70 printable ASCII characters without a colon")
        if lowered in _RESERVED or lowered.startswith(_RESERVED_PREFIXES):
            raise ValueError(f"the header {name} cannot be set here: Carrier sets it, or it decides where mail goes")
        if lowered in seen:
            raise ValueError(f"the header {name} is given twice")
        if len(value) > 4_000 or not _VALUE.fullmatch(value) or not _VALUE.fullmatch(as_read(value)):
            raise ValueError(f"the header {name} must be one line of at most 4000 characters")
        seen.add(lowered)
    return headers
