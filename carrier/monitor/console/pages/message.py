"""One failed message: all of it, its life, and its payload put right."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carrier.monitor.console.app import Console
from carrier.monitor.console.forms import Refused, check_role, read_order
from carrier.monitor.failed import FailedMessage, editing
from carrier.monitor.failed.editing import EditError
from carrier.store import audit

#: Characters of a message that a page shows, and of a draft that a page can edit.
_SHOWN, _EDITED = 100_000, 2_000_000
#: What is shown of an attempt; strangers may have left any of it out.
_ATTEMPT = ("attempt", "at", "worker", "error", "message")


def page(request: Request, console: Console) -> Response:
    """All of it."""
    key = request.query_params.get("key", "")
    failed = console.index.one(key)
    if failed is None:
        return _gone(request, console)
    details = failed.details()
    content = details.get("envelope") or details.get("body")
    text = content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False)
    return console.page(
        request,
        "message.html",
        key=key,
        details=details,
        reason=str(details["failure"].get("reason", "unknown")),
        traceback=str(details["failure"].get("traceback", "")),
        attempts=[{name: each.get(name, "") for name in _ATTEMPT} for each in details["failure"].get("attempts", [])],
        text=text[:_SHOWN],
        left_out=max(0, len(text) - _SHOWN),
    )


def edit(request: Request, console: Console) -> Response:
    """Its draft."""
    check_role(request)
    key = request.query_params.get("key", "")
    failed = console.index.one(key)
    if failed is None:
        return _gone(request, console)
    draft = editing.draft(failed)
    if len(draft) > _EDITED:
        raise Refused(413, "it is too large for a page: carrier failed edit")
    return _form(request, console, key, failed, draft)


def send(request: Request, console: Console) -> Response:
    """Check what was made of it, and send it in its place."""
    form = read_order(request)
    session, key = request.state.session, form.one("key")
    failed = console.index.one(key)
    if failed is None:
        return _gone(request, console)
    draft = form.one("draft").replace("\r\n", "\n")
    try:
        out = editing.edited(failed, draft, by=session.who)
    except EditError as error:
        return _form(request, console, key, failed, draft, str(error))
    audited = audit.record(session.who, "edit", f"{failed.id}, as {out.id}")
    mended = editing.send(console.broker, failed, out, by=session.who)
    sent = "sent" if mended.done else str(mended.stopped or "it was gone already")
    audit.complete(audited, sent)
    if not mended.done:
        return _form(request, console, key, failed, draft, f"It is not sent: {sent}")
    console.index.forget(key)
    session.said = f"Sent as {out.id}."
    return RedirectResponse("/failed", 303)


def _form(
    request: Request, console: Console, key: str, failed: FailedMessage, draft: str, problem: str = ""
) -> Response:
    return console.page(
        request, "edit.html", 422 if problem else 200, key=key, failed=failed.summary(), draft=draft, problem=problem
    )


def _gone(request: Request, console: Console) -> Response:
    return console.page(request, "gone.html", 404)
