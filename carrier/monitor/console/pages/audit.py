"""Who has done what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from carrier.monitor.console.app import Console
from carrier.store import audit

_PAGE = 100


def page(request: Request, console: Console) -> Response:
    """The newest first."""
    given = request.query_params.get("before", "")
    before = int(given[:18]) if given.isascii() and given.isdigit() else None
    entries = audit.newest(_PAGE + 1, before)
    more = entries[_PAGE - 1].seq if len(entries) > _PAGE else None
    return console.page(request, "audit.html", entries=entries[:_PAGE], more=more)
