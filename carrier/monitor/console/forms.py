"""What a form has sent, read once and bounded, by somebody who may send it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

import anyio.from_thread
from starlette.requests import Request

from carrier.monitor.console.passwords import Role

#: Bytes of a form: a payload has 10 MB at most, and three of its characters may stand for one.
LARGEST = 32 * 2**20
#: Fields of one form.
_FIELDS = 10_000


class Refused(Exception):
    """It is not done; the text says why, and ``status`` is that of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Form:
    """Its fields."""

    fields: dict[str, list[str]]

    def one(self, name: str) -> str:
        """The first value of a field, or nothing."""
        return self.fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self.fields.get(name, [])


def read(request: Request) -> Form:
    """The form that a request has brought along.

    Raises:
        Refused: it is too large, or none.
    """
    body = anyio.from_thread.run(_body, request)
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise Refused(400, "a form is expected")
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict"))
    except ValueError as error:  # UnicodeDecodeError too
        raise Refused(400, f"the form cannot be read: {error}") from None


def read_own(request: Request) -> Form:
    """The same, by a form that was made for this session.

    Raises:
        Refused: it was not.
    """
    form = read(request)
    if not request.state.session.has_token(form.one("token")):
        raise Refused(403, "the form is too old: go to its page and do it again")
    return form


def read_order(request: Request) -> Form:
    """The same, by somebody who may change anything.

    Raises:
        Refused: they may not.
    """
    form = read_own(request)
    check_role(request)
    return form


def check_role(request: Request) -> None:
    """Whether somebody may change anything.

    Raises:
        Refused: they may not.
    """
    if request.state.session.role is not Role.OPERATE:
        raise Refused(403, "you may look, but not change anything")


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST:
            raise Refused(400, f"it is larger than {LARGEST:,} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
