"""The payload of an e-mail message."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from actors.email.address import parse
from actors.email.headers import check_headers
from actors.payload import Line, Payload, Text

#: Recipients in all: as many as every server must take at a time (RFC 5321, section 4.5.3.1.8).
MAX_RECIPIENTS = 100


def _address(text: str) -> str:
    parse(text)
    return text.strip()


def _addresses(value: str | list[str]) -> str | list[str]:
    if isinstance(value, str):
        return _address(value)
    if not 1 <= len(value) <= MAX_RECIPIENTS:
        raise ValueError(f"must be an e-mail address or a list of 1 to {MAX_RECIPIENTS} of them")
    return [_address(text) for text in value]


def _name(text: str) -> str:
    # The base name alone leaves the machine.
    name = text.replace("\\", "/").rpartition("/")[2]
    if not name:
        raise ValueError("must be a file's name")
    return name


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    return text


Address = Annotated[str, AfterValidator(_address)]
#: One address or several; it stays what it was.
Addresses = Annotated[str | list[str], AfterValidator(_addresses)]


class Attachment(Payload):
    """A file: ``content`` is its bytes in base64."""

    filename: Annotated[Line, Field(min_length=1, max_length=255), AfterValidator(_name)]
    content: Annotated[str, AfterValidator(_base64)]
    content_type: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9.+-]+/[a-zA-Z0-9.+-]+$")


class Email(Payload):
    """An e-mail. ``to``, ``cc``, ``bcc`` and ``reply_to`` take one address or a list."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    to: Addresses
    subject: Annotated[Line, Field(max_length=2000)]
    body: Text
    html: Text | None = None
    cc: Addresses | None = None
    bcc: Addresses | None = None
    reply_to: Addresses | None = None
    from_: Address | None = Field(default=None, alias="from")
    attachments: list[Attachment] | None = Field(default=None, max_length=50)
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] | None = None

    def mailboxes(self, field: str) -> list[str]:
        """The addresses of ``to``, ``cc``, ``bcc`` or ``reply_to``, as a list."""
        value = getattr(self, field)
        return [] if value is None else [value] if isinstance(value, str) else list(value)
