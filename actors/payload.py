"""What the four payloads have in common."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_BREAK = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")


class Payload(BaseModel):
    """Checked when it is sent, and again when it arrives; fields that it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def as_read(text: str) -> str:
    """``text`` as a mail program reads it in a header: encoded words (RFC 2047) may hold anything, line breaks too."""
    if "=?" not in text:
        return text
    from email.policy import SMTP

    return str(SMTP.header_factory("Subject", text))


def _line(text: str) -> str:
    text = text.strip()
    if _BREAK.search(text) or _BREAK.search(as_read(text)):
        raise ValueError("must be one line, without control characters")
    return text


#: One line of text, as headers and titles take it.
Line = Annotated[str, AfterValidator(_line)]


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold NUL characters")
    return text


#: Text of any number of lines.
Text = Annotated[str, AfterValidator(_storable)]
