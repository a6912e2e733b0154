"""In and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carrier.monitor.console.app import Console
from carrier.monitor.console.forms import read, read_own
from carrier.monitor.console.gate import is_of_here, set_cookie
from carrier.monitor.console.passwords import TooMany
from carrier.monitor.console.sessions import COOKIE
from carrier.store import audit


def page(request: Request, console: Console) -> Response:
    """The form; nothing for who is in, or needs no password."""
    if request.state.session is not None or not console.gate.passwords.are_set:
        return RedirectResponse("/", 303)
    return _form(request, console)


def enter(request: Request, console: Console) -> Response:
    """Check the password."""
    address = request.client.host if request.client else "?"
    try:
        form = read(request)
        role = console.gate.passwords.role(form.one("password"), address)
    except TooMany as error:
        response = _form(request, console, 429, f"{str(error).capitalize()}.", form.one("to"))
        response.headers["Retry-After"] = str(round(error.seconds) + 1)
        return response
    if role is None:
        audit.record(address, "login", "console", "wrong password")
        return _form(request, console, 403, "That is not the password.", form.one("to"))
    who = f"{role.value} at {address}"
    key, _ = console.gate.sessions.begin(role, who)
    audit.record(who, "login", "console", "let in")
    to = form.one("to")
    entered = RedirectResponse(to if is_of_here(to) else "/", 303)
    set_cookie(entered, request, key)
    return entered


def _form(request: Request, console: Console, status: int = 200, problem: str = "", to: str = "") -> Response:
    """``to`` is the page that somebody wanted to see."""
    return console.page(request, "login.html", status, problem=problem, to=to or request.query_params.get("to", ""))


def leave(request: Request, console: Console) -> Response:
    """End the session."""
    read_own(request)
    console.gate.sessions.end(request.cookies.get(COOKIE))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
