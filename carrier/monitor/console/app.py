"""The web application: its routes, and what all pages share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.monitor.console.forms import Refused
from carrier.monitor.console.gate import HEADERS, Gate, address_of
from carrier.monitor.console.orders import Orders
from carrier.monitor.console.passwords import Passwords, Role
from carrier.monitor.console.rendering import environment
from carrier.monitor.console.sampling import Sampling
from carrier.monitor.failed.index import Index
from carrier.store.errors import StoreUnavailable
from settings import Settings

_STATIC = Path(__file__).parent / "static"
#: What is said where an address leads to nothing, or does not take what was asked of it.
_NOT_THERE = {404: "there is no such page", 405: "this address takes forms alone, from its page"}


@dataclass(frozen=True)
class Console:
    """What the pages work with."""

    broker: Broker
    gate: Gate
    sampling: Sampling
    index: Index
    orders: Orders
    templates: Any

    def page(self, request: Request, name: str, status: int = 200, /, **values: Any) -> Response:
        """A page; or what changes of it, for a page that is there already."""
        session = request.state.session
        latest = self.sampling.latest() if session is not None else None
        text = self.templates.get_template(name).render(
            layout="live.html" if is_live(request) else "base.html",
            path=request.url.path,
            here=address_of(request),
            said=session.take_said() if session is not None and not is_live(request) else "",
            session=session,
            may_operate=session is not None and session.role is Role.OPERATE,
            has_login=self.gate.passwords.are_set,
            latest=latest,
            trouble=self.sampling.trouble,
            **values,
        )
        return HTMLResponse(text.encode("utf-8", "replace"), status)


def is_live(request: Request) -> bool:
    """Whether it is a page that looks for what has changed on it."""
    return "hx-request" in request.headers


Page = Callable[[Request, Console], Response]


def application(broker: Broker, settings: Settings) -> Starlette:
    """The console of a broker."""
    from carrier.monitor.console.pages import PAGES

    gate = Gate(Passwords(settings.console_password, settings.console_view_password))
    console = Console(broker, gate, Sampling(broker), Index(broker), Orders(broker), environment())

    def route(path: str, page: Page, methods: list[str]) -> Route:
        def answer(request: Request) -> Response:  # in a thread: pages ask brokers and stores, which takes its time
            return page(request, console)

        return Route(path, answer, methods=methods)

    def refuse(request: Request, status: int, why: str) -> Response:
        if is_live(request):
            return PlainTextResponse(f"{status}: {why}\n", status)
        return console.page(request, "refused.html", status, status=status, why=why)

    def trouble(request: Request, error: Exception) -> Response:
        return refuse(request, 503, str(error))

    def refused(request: Request, error: Exception) -> Response:
        return refuse(request, error.status, str(error))  # type: ignore[attr-defined]  # a Refused

    def not_there(request: Request, error: Exception) -> Response:
        status: int = error.status_code  # type: ignore[attr-defined]  # an HTTPException
        return refuse(request, status, _NOT_THERE.get(status) or str(error))

    def failure(request: Request, error: Exception) -> Response:  # the server logs it
        return PlainTextResponse("500: this page has failed; its log says why\n", 500, HEADERS)

    return Starlette(
        routes=[
            *(route(path, page, methods) for path, methods, page in PAGES),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=gate)],
        exception_handlers={
            HTTPException: not_there,
            Refused: refused,
            CarrierError: trouble,
            StoreUnavailable: trouble,
            Exception: failure,
        },
    )
