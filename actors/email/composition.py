"""An e-mail in the form in which it travels (RFC 5322 and MIME), written line by line.

Python's own writer puts encoded words into addresses, where no server understands them, lets line breaks through in
some of its releases, and takes a millisecond. Its parser is the judge of this one in the tests.

What comes in is checked already: no value has control characters. No line is longer than 998 octets, and all are ASCII,
except for addresses in UTF-8 where the server has said that it takes them.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from actors.atomic import safe_name
from actors.email.address import Mailbox, parse
from actors.email.payload import Email
from actors.email.plain_text import plain_text

#: Octets of a line without its end: as they should be, and as they must be (RFC 5322, section 2.1.1).
_GOOD, _MOST = 78, 998
#: Bytes of text in an encoded word of at most 75 characters (RFC 2047, section 2).
_WORD = 45
#: A phrase of atoms, which needs no quotes (RFC 5322, section 3.2.3).
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PRINTABLE = re.compile(r"[ -~]*")
#: What a reader would take for an encoded word, and what it may write in another way.
_ENCODED, _SPACES = re.compile(r"=\?[^?]*\?[^?]*\?.*\?="), re.compile(r"  |^ | $")
_FILE_NAME = re.compile(r"[ !#-;=?-\[\]-~]{1,60}")  # what some readers take for quotes is left out
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Part:
    """A file that goes along."""

    name: str
    data: bytes
    kind: str | None = None


def compose(
    email: Email,
    *,
    sender: Mailbox,
    message_id: str,
    date: datetime,
    parts: Sequence[Part] = (),
    allow_utf8: bool = False,
) -> bytes:
    """The message, without a Bcc header. Its Message-ID follows from ``message_id``: a repeat has the same one.

    Parameters:
        allow_utf8: write addresses in UTF-8 where they have such letters (RFC 6532); without it they are only named,
            as RFC 6857, section 3.1.8, has it.
    """
    lines = [_addresses("From", [sender], allow_utf8)]
    for name, field in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
        if given := email.mailboxes(field):
            lines.append(_addresses(name, [parse(text) for text in given], allow_utf8))
    lines += [
        _text("Subject", email.subject),
        f"Date: {format_datetime(date)}\r\n",
        f"Message-ID: <{safe_name(message_id)}@{sender.domain}>\r\n",
        "MIME-Version: 1.0\r\n",
        *(_text(name, value) for name, value in (email.headers or {}).items()),
    ]
    content = _content(email)
    if parts:
        content = _multipart("mixed", [content, *map(_attachment, parts)])
    return "".join(lines).encode() + content + (b"" if content.endswith(b"\r\n") else b"\r\n")


# Headers


def _text(name: str, text: str) -> str:
    """A header of plain text, folded. Its text begins on the first line: a space before it would be read as its own."""
    if _PRINTABLE.fullmatch(text) and not _ENCODED.search(text) and not _SPACES.search(text):
        items = text.split(" ")
        if len(name) + 2 + max(map(len, items)) <= _MOST:
            return _header(name, items)
    return _header(name, _words(text, _GOOD - len(name) - 2))


def _header(name: str, items: Sequence[str]) -> str:
    """Items with a space before each, in lines of at most 78 octets where they let it."""
    written, used = [f"{name}: {items[0]}"], len(name) + 2 + len(items[0])
    for item in items[1:]:
        if used + 1 + len(item) > _GOOD:
            written.append("\r\n")
            used = 0
        written.append(f" {item}")
        used += 1 + len(item)
    return "".join(written) + "\r\n"


def _words(text: str, room: int = _GOOD) -> list[str]:
    """Encoded words (RFC 2047), cut between characters; the first has at most ``room`` octets, if that is enough."""
    words, chunk = [], b""
    most = min(_WORD, max(12, (room - len("=?utf-8?b??=")) // 4 * 3))
    for character in text:
        data = character.encode()
        if len(chunk) + len(data) > most:
            words.append(chunk)
            chunk, most = b"", _WORD
        chunk += data
    words.append(chunk)
    return [f"=?utf-8?b?{base64.b64encode(each).decode()}?=" for each in words]


def _addresses(name: str, mailboxes: Sequence[Mailbox], allow_utf8: bool) -> str:
    items = []
    for number, mailbox in enumerate(mailboxes, 1):
        items += _mailbox(mailbox, allow_utf8)
        if number < len(mailboxes):
            items[-1] += ","
    return _header(name, items)


def _mailbox(mailbox: Mailbox, allow_utf8: bool) -> list[str]:
    if not mailbox.is_ascii and not allow_utf8:
        *before, last = _words(f"{mailbox.name} {mailbox.address}".lstrip())
        return [*before, f"{last}:;"]
    if not mailbox.name:
        return [mailbox.address]
    return [*_phrase(mailbox.name), f"<{mailbox.address}>"]


def _phrase(text: str) -> list[str]:
    if text.isascii() and not _ENCODED.search(text):
        if _ATOMS.fullmatch(text):
            return [text]
        if _PRINTABLE.fullmatch(text):
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            return [f'"{quoted}"']
    return _words(text)


# Bodies


def _content(email: Email) -> bytes:
    """Header and body of the part that is read."""
    if email.html is None:
        return _readable("plain", email.body or "")
    text = plain_text(email.html) if email.body is None else email.body
    return _multipart("alternative", [_readable("plain", text), _readable("html", email.html)])


def _readable(subtype: str, text: str) -> bytes:
    data = _BREAK.sub("\r\n", text).encode()
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\n"
    if data.isascii() and (len(data) <= _MOST or max(map(len, data.split(b"\r\n"))) <= _MOST):
        return f"{head}Content-Transfer-Encoding: 7bit\r\n\r\n".encode() + data
    return head.encode() + _base64(data)


def _base64(data: bytes) -> bytes:
    """The rest of a part, in lines of 76 octets (RFC 2045, section 6.8)."""
    text = base64.b64encode(data)
    lines = b"\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    return b"Content-Transfer-Encoding: base64\r\n\r\n" + lines


def _multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    boundary = f"=_{digest.hexdigest()[:32]}"  # nobody can write a part that has its own digest in it
    # The line's end before a boundary belongs to the boundary (RFC 2046, section 5.1.1).
    between = f"\r\n--{boundary}\r\n".encode()
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n'.encode()
    return head + b"".join(between + part for part in parts) + f"\r\n--{boundary}--".encode()


def _attachment(part: Part) -> bytes:
    kind = part.kind
    if kind is None:
        guessed, encoding = mimetypes.guess_type(part.name)
        # A guessed "text/x with gzip around it" is gzip to the reader.
        kind = guessed if guessed and not encoding else "application/octet-stream"
    if kind.lower().startswith(("multipart/", "message/")):  # which may not be encoded (RFC 2046, section 5.2.1)
        kind = "application/octet-stream"
    head = f"Content-Type: {kind}\r\nContent-Disposition: attachment;{_file_name(part.name)}\r\n"
    return head.encode() + _base64(part.data)


def _file_name(name: str) -> str:
    """The parameter, in pieces where it is long (RFC 2231)."""
    if _FILE_NAME.fullmatch(name) and not _ENCODED.search(name):
        return f' filename="{name}"'
    pieces, piece = [], "utf-8''"
    for character in name:
        escaped = quote(character, safe="")
        if len(piece) + len(escaped) > 55:
            pieces.append(piece)
            piece = ""
        piece += escaped
    pieces.append(piece)
    if len(pieces) == 1:
        return f"\r\n filename*={piece}"
    return ";".join(f"\r\n filename*{number}*={each}" for number, each in enumerate(pieces))
