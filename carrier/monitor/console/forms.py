"""What a form has sent, read once and bounded."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

import anyio.from_thread
from starlette.requests import Request

from carrier.monitor.console.gate import LARGEST

#: Fields of one form.
_FIELDS = 10_000


class FormError(ValueError):
    """It cannot be read; the text says why."""


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
        FormError: it is too large, or none.
    """
    body = anyio.from_thread.run(_body, request)
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise FormError("a form is expected")
    try:
        return Form(parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS, errors="strict"))
    except ValueError as error:  # UnicodeDecodeError too
        raise FormError(f"the form cannot be read: {error}") from None


async def _body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST:
            raise FormError(f"it is larger than {LARGEST:,} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
