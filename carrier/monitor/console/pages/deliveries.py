"""What mail servers have said of each recipient."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from carrier.monitor.console.app import Console
from carrier.store import deliveries
from carrier.store.deliveries import State

#: Recipients of a page.
_PAGE = 100


def page(request: Request, console: Console) -> Response:
    """The newest first."""
    query = request.query_params
    text, state = query.get("text", "").strip(), next((each for each in State if each == query.get("state")), None)
    given = query.get("page", "1")
    page = max(1, int(given[:6]) if given.isascii() and given.isdigit() else 1)
    found = deliveries.newest(_PAGE + 1, offset=(page - 1) * _PAGE, text=text, state=state)
    return console.page(
        request,
        "deliveries.html",
        text=text,
        state=state,
        states=list(State),
        entries=found[:_PAGE],
        number=page,
        more=len(found) > _PAGE,
        lately=deliveries.lately(),
    )
