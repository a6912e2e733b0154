"""The payload of an e-mail message."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, model_validator

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
    if not value:
        raise ValueError("must be an e-mail address or a list of them")
    return [_address(text) for text in value]


def _name(text: str) -> str:
    # The base name alone leaves the machine.
    name = text.replace("\\", "/").rpartition("/")[2].strip()
    if not name:
        raise ValueError("must be a file's name")
    return name


def _path(text: str) -> str:
    if text.startswith("/") or any(part in ("", ".", "..") for part in text.split("/")):
        raise ValueError("must be the path of a file under ATTACHMENT_ROOT, without . and ..")
    return text


def _characters(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not hold half a surrogate pair") from None
    return text


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    return text


Address = Annotated[str, AfterValidator(_address)]
#: One address or several; it stays what it was.
Addresses = Annotated[str | list[str], AfterValidator(_addresses)]


#: Text that can be written in UTF-8.
Readable = Annotated[Text, AfterValidator(_characters)]
OneLine = Annotated[Line, AfterValidator(_characters)]


class Attachment(Payload):
    """A file: ``content`` is its bytes in base64, or ``path`` names it under ATTACHMENT_ROOT of the worker."""

    filename: Annotated[OneLine, Field(min_length=1, max_length=255), AfterValidator(_name)] | None = None
    content: Annotated[str, AfterValidator(_base64)] | None = None
    path: Annotated[OneLine, Field(min_length=1, max_length=1000), AfterValidator(_path)] | None = None
    content_type: str | None = Field(default=None, pattern=r"^[a-zA-Z0-9.+-]{1,70}/[a-zA-Z0-9.+-]{1,70}$")

    @model_validator(mode="after")
    def _is_one_file(self) -> Attachment:
        if (self.content is None) == (self.path is None):
            raise ValueError("give either content (base64) or path (under ATTACHMENT_ROOT)")
        if self.content is not None and self.filename is None:
            raise ValueError("filename is needed beside content")
        return self

    @property
    def name(self) -> str:
        """What the file is called in the e-mail."""
        return self.filename or (self.path or "").rpartition("/")[2]


class Email(Payload):
    """An e-mail. ``to``, ``cc``, ``bcc`` and ``reply_to`` take one address or a list; without a ``body`` the text is
    made from ``html``."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        json_schema_extra={"anyOf": [{"required": ["body"]}, {"required": ["html"]}]},
    )

    to: Addresses
    subject: Annotated[OneLine, Field(max_length=2000)]
    body: Readable | None = None
    html: Readable | None = None
    cc: Addresses | None = None
    bcc: Addresses | None = None
    reply_to: Addresses | None = None
    from_: Address | None = Field(default=None, alias="from")
    attachments: list[Attachment] | None = Field(default=None, max_length=50)
    headers: Annotated[dict[str, str], AfterValidator(check_headers)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Email:
        if self.body is None and self.html is None:
            raise ValueError("give body or html")
        if sum(len(self.mailboxes(field)) for field in ("to", "cc", "bcc")) > MAX_RECIPIENTS:
            raise ValueError(f"to, cc and bcc have more than {MAX_RECIPIENTS} addresses together")
        if len(self.mailboxes("reply_to")) > MAX_RECIPIENTS:
            raise ValueError(f"reply_to has more than {MAX_RECIPIENTS} addresses")
        return self

    def mailboxes(self, field: str) -> list[str]:
        """The addresses of ``to``, ``cc``, ``bcc`` or ``reply_to``, as a list."""
        value = getattr(self, field)
        return [] if value is None else [value] if isinstance(value, str) else list(value)
