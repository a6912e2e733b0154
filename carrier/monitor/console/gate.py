"""What every request goes through before a page sees it: who asks, from where, and whether they may.

Reading is GET, and changes nothing. Everything else is POST, by somebody with a session, from a page of this console
(Origin), with the token of the session, by a role that may.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from carrier.loopback import is_loopback
from carrier.monitor.console.passwords import Passwords, Role
from carrier.monitor.console.sessions import COOKIE, Sessions

#: What a browser is told of every answer: nothing from elsewhere, no script or style that stands in a page.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Paths that need no session.
_OPEN = ("/login", "/healthz", "/static/")


class Gate:
    """Decides on requests."""

    def __init__(self, passwords: Passwords) -> None:
        self.passwords, self.sessions = passwords, Sessions()

    async def __call__(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """The answer, from a page or from the gate itself."""
        refused, key = self._look(request)
        response = refused or await go_on(request)
        response.headers.update({**HEADERS, **dict(response.headers)})
        if request.url.path.startswith("/static/") and response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=3600"
        if key is not None:
            set_cookie(response, request, key)
        return response

    def _look(self, request: Request) -> tuple[Response | None, str | None]:
        """A refusal, and the key of a session that is new."""
        # Without a password the console answers to no other name, whatever it resolves to.
        if not self.passwords.are_set and not is_loopback(_host(request)):
            return PlainTextResponse("421: without CONSOLE_PASSWORD only this machine is answered\n", 421), None
        path = request.url.path
        session, key = self.sessions.get(request.cookies.get(COOKIE)), None
        if session is None and not self.passwords.are_set and not path.startswith(_OPEN):
            key, session = self.sessions.begin(Role.OPERATE, "local")
        request.state.session = session
        if request.method in ("GET", "HEAD"):
            if session is None and not path.startswith(_OPEN):
                return self._to_login(request), None
            return None, key
        if not _comes_from_here(request):
            return PlainTextResponse("403: this does not come from a page of this console\n", 403), key
        if path != "/login" and session is None:
            return self._to_login(request), None
        return None, key

    @staticmethod
    def _to_login(request: Request) -> Response:
        if request.method != "GET":
            return PlainTextResponse("401: log in\n", 401)
        address = address_of(request)
        login = "/login" if address == "/" else f"/login?{urlencode({'to': address})}"
        if request.headers.get("hx-request"):  # a fragment must not become a login form inside a page
            return PlainTextResponse("401: log in\n", 401, {"HX-Redirect": login})
        return RedirectResponse(login, 303)


def address_of(request: Request) -> str:
    """The page and what it shows, as they stand in the browser's address bar."""
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def is_of_here(address: str) -> bool:
    """Whether an address that somebody else may have made leads to a page of this console."""
    return re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", address) is not None


def set_cookie(response: Response, request: Request, key: str) -> None:
    """Have the browser come back with it."""
    response.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=request.url.scheme == "https")


def _host(request: Request) -> str:
    return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""


def _comes_from_here(request: Request) -> bool:
    """Browsers say where a POST comes from (Origin, or Sec-Fetch-Site); who says neither is no browser."""
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host")
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
