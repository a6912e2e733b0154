"""What has failed: by its causes, one by one, and mended by the hundred."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carrier.monitor.console.app import Console
from carrier.monitor.console.forms import Form, Refused, read_order
from carrier.monitor.console.orders import VERBS
from carrier.monitor.failed import Counted
from carrier.monitor.failed.index import Wanted

#: Messages of a page.
_PAGE = 50
#: Causes that are shown at first.
_CAUSES = 20


def page(request: Request, console: Console) -> Response:
    """What has failed, or of that what is looked for."""
    return console.page(request, "failed.html", **_values(request, console))


def do(request: Request, console: Console) -> Response:
    """Send back, or throw away: the messages that are chosen, or all that are wanted up to the last one counted."""
    form = read_order(request)
    verb = next((each for each in VERBS if each == form.one("do")), None)
    if verb is None:
        raise Refused(400, "nothing to do is named")
    counted, what = _chosen(form, console)
    if counted.number:
        console.orders.give(verb, counted, what, request.state.session.who)
    else:
        request.state.session.said = "Nothing is done: what was meant is gone. Somebody has dealt with it meanwhile."
    return RedirectResponse(_back(form), 303)


def stop(request: Request, console: Console) -> Response:
    """End an order between two messages."""
    form = read_order(request)
    number = form.one("order")
    if not number.isascii() or not number.isdigit() or not console.orders.stop(int(number[:9])):
        raise Refused(404, "there is no such order any more")
    return RedirectResponse(_back(form), 303)


def _chosen(form: Form, console: Console) -> tuple[Counted, str]:
    """Exactly what was on the page."""
    counted = Counted()
    if keys := form.all("key"):
        for key in dict.fromkeys(keys):
            if (failed := console.index.one(key)) is not None:
                counted.add(failed)
        return counted, "chosen one by one"
    last = form.one("last")
    if not last.isascii() or not last.isdigit():
        return counted, ""
    wanted = Wanted(form.one("group"), form.one("text"), int(last[:18]))
    first = next(iter(console.index.entries(wanted, limit=1)), None)
    what = "everything"
    if wanted.fingerprint and first is not None:
        what = f"{first.type or 'no message'}: {first.error.rpartition('.')[2]}: {first.message}"[:300]
    if wanted.text:
        what += f" with “{wanted.text[:100]}”"
    return console.index.counted(wanted), what


def _back(form: Form) -> str:
    given = {name: form.one(name) for name in ("group", "text") if form.one(name) and not form.one("leave")}
    return f"/failed?{urlencode(given)}" if given else "/failed"


def _values(request: Request, console: Console) -> dict[str, Any]:
    query = request.query_params
    wanted = Wanted(query.get("group", ""), query.get("text", "").strip())
    # Before anything is counted: a button acts on no more than its page has shown.
    last_of_all = console.index.last()
    number, last = console.index.number(wanted)
    given = query.get("page", "1")
    page = min(max(1, int(given[:9]) if given.isascii() and given.isdigit() else 1), max(1, -(-number // _PAGE)))
    groups = console.index.groups()
    shown_groups = groups if query.get("causes") == "all" else groups[:_CAUSES]
    shown = next((each for each in groups if each.fingerprint == wanted.fingerprint), None)
    chosen = {name: value for name, value in (("group", wanted.fingerprint), ("text", wanted.text)) if value}
    return {
        "wanted": wanted,
        "chosen": urlencode(chosen),
        "group": shown,
        "groups": shown_groups,
        "more_causes": len(groups) - len(shown_groups),
        "last_of_all": last_of_all,
        "entries": console.index.entries(wanted, offset=(page - 1) * _PAGE, limit=_PAGE),
        "number": number,
        "last": last,
        "page": page,
        "pages": max(1, -(-number // _PAGE)),
        "orders": console.orders.shown(),
        "cut_off": console.orders.cut_off(),
        "is_whole": console.index.is_whole,
        "index_trouble": console.index.trouble,
    }
